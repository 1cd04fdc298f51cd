"""Five prompts on both sides: the run's own model through groundling's door, and what was exported. A difference is told, never smoothed over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..llm.base import Request
from ..llm.local import Local
from .job import Job, Packed, Prompt, Said
from .stock import TOKENS, likelihood, told

PROMPTS = 5
NEAR = {"fp32": 1e-2, "bf16": 0.5, "fp16": 0.1}  # how far a number of the other side may be off: a mean log-probability, or a score


class Verdict(NamedTuple):
    """`state` is verified, differs or unverified; `says` a sentence for its reader; `gap` the largest difference of a number."""

    state: str
    says: str
    asked: int = 0
    same: int = 0
    gap: float | None = None

    def plain(self) -> dict[str, Any]:
        return self._asdict()


def own(job: Job) -> tuple[list[Prompt], list[Said]]:
    """What the run's own model makes of the prompts, and the prompts with what it replied. Quotes are not held to the passages here: no other
    engine does that, so the bare model is asked."""
    import torch

    if not isinstance(job.model, Local):
        scores = [asyncio.run(job.model.scores([prompt]))[0] for prompt in job.prompts]
        return list(job.prompts), [Said(None, score) for score in scores]
    prompts, found = [], []
    for prompt in job.prompts:  # one by one: padding changes the last bits
        reply = asyncio.run(job.model.replies([Request(messages=prompt.messages, max_tokens=TOKENS)]))[0]
        prompts.append(prompt._replace(reply=reply.text))
        with torch.inference_mode():
            found.append(Said(reply.text, likelihood(job.model.network, job.model.tokenizer, prompts[-1])))
    return prompts, found


def release(job: Job) -> None:
    """Let go of the run's own network, so that there is room for the other side."""
    job.model.__dict__.pop("network", None)


def verdict(prompts: Sequence[Prompt], ours: Sequence[Said], packed: Packed) -> Verdict:
    """Ask the exported side and compare."""
    from safetensors import SafetensorError

    if packed.ask is None:
        return Verdict("unverified", packed.why_not)
    if not prompts:
        return Verdict("unverified", "Unverified: no prompt of the run, with room for a reply, fits what the model reads, so neither side was asked.")
    try:
        theirs = packed.ask(prompts)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise told(error) from error
    return compared(ours, theirs, packed)


def compared(ours: Sequence[Said], theirs: Sequence[Said], packed: Packed) -> Verdict:
    """Same replies, and numbers as near as the precision allows."""
    near = NEAR.get(packed.precision, NEAR["bf16"])
    gaps = [abs(a.number - b.number) for a, b in zip(ours, theirs, strict=True) if a.number is not None and b.number is not None]
    same = [a.text == b.text and _near(a, b, near) for a, b in zip(ours, theirs, strict=True)]
    gap = max(gaps, default=None)
    what = "replies" if ours[0].text is not None else "scores"
    if all(same):
        says = f"Verified: {packed.asked} gave the same {what} as the run's own model to {len(same)} of {len(same)} prompts (greedy)."
        return Verdict("verified", says, len(same), len(same), gap)
    n = same.index(False)
    says = f"NOT verified: {packed.asked} gave other {what} than the run's own model to {len(same) - sum(same)} of {len(same)} prompts. "
    return Verdict("differs", says + _first(n, ours[n], theirs[n]), len(same), sum(same), gap)


def _near(a: Said, b: Said, near: float) -> bool:
    """A reward model's scores have no scale of their own: a large one may be off by as much of its size."""
    if a.number is None or b.number is None:
        return True
    return abs(a.number - b.number) <= near * (max(1.0, abs(a.number)) if a.text is None else 1.0)


def _first(n: int, ours: Said, theirs: Said) -> str:
    if ours.text != theirs.text:
        return f"Prompt {n + 1}: {_short(ours.text)} here, {_short(theirs.text)} there."
    number = "the score" if ours.text is None else "the mean log-probability of the same reply"
    return f"Prompt {n + 1}: {number} is {ours.number:.4g} here, {theirs.number:.4g} there."


def _short(text: str | None) -> str:
    found = " ".join((text or "").split())
    return f'"{found[:80]}…"' if len(found) > 80 else f'"{found}"'
