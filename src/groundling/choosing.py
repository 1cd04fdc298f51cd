"""One of some labels for a text, and never anything else: the one path that prediction, evaluation and recipes take.

A model of this machine says how likely it finds each label as its reply (`Local.scores`); the likeliest is chosen, and its likelihood is its share.
Any other is asked for one of the labels by a schema; a reply that is none of them is asked for again once, and then there is no choice.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from .llm.base import Message, Model, Request
from .llm.structured import Failed, choice, structured
from .records import Example, Passage
from .seeds import rng

REPLY = 120  # tokens of a reply that names a label
TOO_LONG = "the text and the labels do not fit into the model's context"
Scorer = Callable[[list[Message], list[str]], Awaitable[list[float]]]


class Asking(NamedTuple):
    """A prompt and the labels that may answer it."""

    messages: list[Message]
    labels: list[str]


class Choice(NamedTuple):
    """The label chosen, "" where there is none (`fault` says why). `shares` are the labels' probabilities in the order asked, () where not known."""

    label: str
    shares: tuple[float, ...] = ()
    fault: str = ""


def is_choice(example: Example) -> bool:
    """Whether an example's answer is one of the labels that it shows: it rests on no passage, and is no refusal whatever it says."""
    return example.oracle is None and any(p.title == example.answer for p in example.passages)


def scorer(model: Any) -> Scorer | None:
    """What tells how likely the model finds each of some replies (log-probabilities); None for a model that can only be asked."""
    found: Scorer | None = getattr(model, "scores", None) or getattr(getattr(model, "inner", None), "scores", None)
    return found


def shown(labels: Sequence[Passage], seed: int, text: str) -> list[Passage]:
    """All labels in an order that the text draws: where a label stands tells nothing, and the same text is always asked alike."""
    found = sorted(labels, key=lambda label: label.title)
    rng(seed, "order of labels", text).shuffle(found)
    return found


def shares(scores: Sequence[float]) -> tuple[float, ...]:
    """Log-probabilities of what excludes each other as shares of 1."""
    most = max(scores)
    weights = [math.exp(s - most) for s in scores]
    return tuple(w / sum(weights) for w in weights)


async def choose(model: Model, asked: Sequence[Asking]) -> list[Choice]:
    """A choice for each prompt, in their order."""
    scores, fits = scorer(model), getattr(model, "fits", None)
    found: list[Choice] = []
    if scores is None:
        return list(await asyncio.gather(*(_named(model, one) for one in asked)))
    for one in asked:
        if fits and not fits(Request(messages=one.messages, max_tokens=REPLY)):
            found.append(Choice("", fault=TOO_LONG))
            continue
        told = shares(await scores(one.messages, one.labels))
        found.append(Choice(one.labels[told.index(max(told))], told))
    return found


async def _named(model: Model, one: Asking) -> Choice:
    request = Request(messages=one.messages, max_tokens=REPLY, task="label", inputs={"labels": one.labels})
    said: Any = await structured(model, request, choice(one.labels))
    return Choice("", fault=said.told) if isinstance(said, Failed) else Choice(said.choice)
