"""What the export of a trained model is asked for, and what a package (a file in `packages/`) makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..grounding import Message

if TYPE_CHECKING:
    from ..llm.local import Local
    from ..llm.reward import Reward

PRECISIONS = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


class Prompt(NamedTuple):
    """What both sides are asked. `reply` is what a reward model scores; else the run's own reply, once it is known."""

    messages: list[Message]
    reply: str = ""


class Said(NamedTuple):
    """What one side made of a prompt: its greedy reply, and a number for the prompt's `reply` (its mean log-probability, or its score).

    None where a side cannot tell: a reward model writes nothing, an engine behind HTTP gives no number.
    """

    text: str | None
    number: float | None


Ask = Callable[[Sequence[Prompt]], list[Said]]


class Wish(NamedTuple):
    """What the command line asks for beside the target. `precision` is empty for that in which the run's own model computes here."""

    precision: str = ""
    llama_cpp: str = ""
    licence: str = ""
    watts: float = 0
    carbon: float = 0


class Part(NamedTuple):
    """One training on the way from the first base to this model: the run's name, what its `train.base` was, its record."""

    name: str
    base: str
    record: Mapping[str, Any]


class Facts(NamedTuple):
    """What the run knows, for the card. `scores` are those of this very model, with `headline` its setting; `spent` what endpoints charged."""

    stages: Mapping[str, Mapping[str, Any]]
    teacher: str
    seed: int
    parts: Sequence[Part]
    scores: Sequence[Mapping[str, Any]] = ()
    setting: str = ""
    why_no_scores: str = ""
    spent: tuple[int, float] | None = None  # tokens, USD


class Job(NamedTuple):
    """One export. `model` is the run's own, through groundling's door; `described` its groundling.json; `base` names what its adapters stand on."""

    target: str
    out: Path
    name: str
    model: Local | Reward
    described: Mapping[str, Any]
    base: str
    prompts: Sequence[Prompt]
    facts: Facts
    wish: Wish = Wish()

    @property
    def is_reward(self) -> bool:
        """Whether the model gives a number and writes nothing."""
        return self.described.get("objective") == "reward"

    @property
    def tokenizer_folder(self) -> Path:
        """Where the trained model's tokenizer and chat template lie: with what was trained last."""
        return Path(self.model.weights.outermost)


class Packed(NamedTuple):
    """What a package left: how it is used (lines for a shell or Python), what its reader must know, and how it is asked.

    `ask` is None where nothing here can; `why_not` says then why, and what to do.
    """

    usage: Sequence[str]
    language: str = "python"
    notes: Sequence[str] = ()
    ask: Ask | None = None
    asked: str = ""  # what answered: "stock transformers"
    why_not: str = ""
    base: str = ""  # what has to be there besides; empty where the folder is the whole model
    precision: str = "fp32"
    engine: str = ""  # a program that this is for and that was not run
