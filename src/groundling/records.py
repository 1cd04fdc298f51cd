"""The nouns that travel between stages. Frozen, typed, written as one JSON object a line.

Passages in prompts carry *local numbers* 0…k-1 (their place in the list); ids of chunks never enter a prompt.
"""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

Support = Literal["cited", "memory", "abstain"]
Split = Literal["train", "held_out"]


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all records: immutable, keyword-only, unknown fields refused when read back."""


R = TypeVar("R", bound=Record)


class Document(Record):
    """One source file as plain text. `pages` holds the character offset at which each page starts (paged formats only)."""

    id: str
    path: str
    title: str
    text: str
    pages: list[int] = []


class Chunk(Record):
    """A span of a document: `document.text[start:end] == text`. `title` names the document and the headings above the span."""

    id: str
    document: str
    path: str
    title: str
    text: str
    start: int
    end: int
    page: int | None = None


class Hit(Record):
    """A chunk that search found, with the retriever's own score (only its order has meaning)."""

    chunk: Chunk
    score: float


class Passage(Record):
    """What a prompt shows of a chunk."""

    id: str
    title: str
    text: str


class Quote(Record):
    """A verbatim piece of passage number `passage` (its local number)."""

    text: str
    passage: int


class Turn(Record):
    """An earlier exchange of a conversation: what was asked and what was answered."""

    question: str
    answer: str


class Example(Record):
    """One training example. `oracle` is the local number of the passage that holds the answer, None where it is absent.

    `support` says what the answer rests on: a passage (`cited`), nothing shown (`memory`), or it is a refusal (`abstain`).
    `unit` is the chunk (or row) that the example was made from, `document` the document of that chunk. `kind` is a recipe's own word for what
    sort of question it is; `history` what was asked and answered before it in the same conversation, which it may refer to.
    `reasoning` leads from the quotes to the answer, in words of the teacher's own; empty where the answer follows at once.
    `score` is what a judge or a reward model gave it, more is better; None where nothing judged it.
    """

    id: str
    recipe: str
    unit: str
    document: str
    question: str
    passages: list[Passage]
    oracle: int | None
    support: Support
    quotes: list[Quote]
    answer: str
    split: Split = "train"
    kind: str = ""
    history: list[Turn] = []
    score: float | None = None
    reasoning: str = ""


class Pair(Record):
    """A preference: the same prompt with a better and a worse reply, whole as a model writes them.

    `margin` is how much better, in the scorer's own measure. `unit` is the example (or row) it was made from.
    """

    id: str
    unit: str
    document: str
    question: str
    passages: list[Passage]
    chosen: str
    rejected: str
    margin: float | None = None
    recipe: str = ""
    split: Split = "train"
    history: list[Turn] = []


class Question(Record):
    """A question to be evaluated on. `document` and `passage` say where its answer stands, when that is known."""

    id: str
    question: str
    answers: list[str]
    answerable: bool
    document: str | None = None
    passage: str | None = None


class Source(Record):
    """A cited passage as it is shown to a person: the chunk, and where in the document the quote stands.

    `start` and `end` are character offsets of the quote in the document's text; None where no verbatim quote was given.
    """

    number: int
    chunk: str
    document: str
    path: str
    title: str
    page: int | None
    quote: str | None = None
    start: int | None = None
    end: int | None = None


class Answer(Record):
    """What came of one question: the reply and what was read out of it. `finish` is `stop`, `length` (cut) or `error` (no reply).

    `left_out` counts passages that did not fit into the model's context and were not shown.
    """

    question: str
    passages: list[Passage]
    turns: list[str]
    text: str
    abstained: bool
    quotes: list[Quote]
    citations: list[int]
    invalid: list[str] = []
    tokens_in: int = 0
    tokens_out: int = 0
    finish: str = "stop"
    left_out: int = 0


class Score(Record):
    """A metric over a set of questions. `low`…`high` is the 95 % interval; `unscored` of the questions could not be scored."""

    model: str
    setting: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unscored: int = 0
    questions: str = "all"


def to_line(record: Record) -> bytes:
    """One record as a line of JSON, newline included."""
    return msgspec.json.encode(record) + b"\n"


def from_line(line: bytes | str, kind: type[R]) -> R:
    """Read a line back. Raises `msgspec.ValidationError` where the line does not fit `kind`."""
    return msgspec.json.decode(line, type=kind)
