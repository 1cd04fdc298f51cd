"""Texts and their labels: from a labelled file, written by a teacher for labels that are only described, or labelled by it where that helps most.

Source: the TOSHISTATS notebooks (Livedoor news, CFPB complaints); margin sampling. Makes: texts with all labels and what they mean in the prompt, in
an order that tells nothing; a stratified part of them held out. Costs: nothing from labels; a call for each few texts written and one for each of
them checked blind; a call for each row labelled. Use when: a text is to get one of some labels, with labelled texts or with none at all.

What the published notebooks get wrong and this does not: five of nine labels in the instruction; replies that are no label (labels are scored, see
`choosing.py`); licence files taken for news; a hundred texts to judge by and no interval.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field, field_validator

from ...choosing import Asking, choose, shown
from ...config import Synthesize
from ...errors import ConfigError
from ...grounding import Labels
from ...llm.base import Request
from ...llm.structured import Failed, Text, structured
from ...records import Chunk, Example
from ...seeds import seed_of
from .. import Bench, RecipeOptions, example_id
from ..items import Item, items
from ..labelled import Row, normal
from ..shelf import alike

INPUT = Item
DOCUMENTS = False
FORMATS = ("labels",)
WRITE = (
    "Write {count} {about} that belong to the label below and to none of the other labels. Write as such texts really are written, each about "
    "something else than the others; do not name the label and do not explain.\n\nLabel: {label}{meaning}\n\nOther labels:\n{others}\n\n"
    "One text for each line, in this order:\n{profiles}{before}\n\n"
    'Reply with JSON: {{"texts": ["…"]}}'
)
BEFORE = "\n\nThese were written already; write other ones:\n{texts}"
PERSONAS = (
    "somebody in a hurry", "somebody who tells the whole story", "an expert who uses the terms of the trade", "somebody new to all this",
    "somebody annoyed", "somebody very polite", "an older person", "a student", "the owner of a small business", "a parent with little time",
    "somebody who writes for another person", "somebody who writes in a foreign language and makes small mistakes",
)  # fmt: skip
ask = Labels().prompt


class Options(RecipeOptions):
    labels: dict[str, str] | list[str] = {}  # every label with what it means, or just the labels; with data, those of the data where empty
    data: str = ""  # texts with their labels: a table, or a folder with a folder of texts for each label
    test: str = ""  # further such texts, all of them held out; nothing else is held out then
    text: str = ""  # the field of the text; empty: text, message, sentence, content, body, input or question
    label: str = ""  # the field of the label; empty: label, category, class, intent, output or answer
    skip_lines: int = Field(0, ge=0)  # lines at the head of a file in a folder that are no text (an address, a date)
    longest: int = Field(6000, ge=20)  # characters; a longer text is dropped and counted, never cut
    per_label: int = Field(0, ge=0)  # texts wanted of each label to train on: what the data lacks of it, the teacher writes
    about: str = "short texts"  # what the texts are, for the teacher: "messages that customers write to a web shop"
    together: int = Field(5, ge=1, le=25)  # texts asked for in one call; they stay on one side of the split
    personas: list[str] = list(PERSONAS)  # who writes, drawn for each text
    attributes: dict[str, list[str]] = {"tone": ["plain", "friendly", "formal", "upset"]}  # a value of each is drawn for each text
    lengths: list[str] = ["one sentence", "two or three sentences", "a paragraph of four to six sentences"]
    near: float = Field(0.7, ge=0, le=1)  # share of three-word runs in common from which two texts of a label's call are the same
    again: int = Field(1, ge=0, le=5)  # how often what is missing of a call's texts is asked for once more
    check: bool = True  # a written text stays only where the teacher, asked blind, chooses the label it was written for
    unlabelled: str = ""  # a table of texts without labels
    active: int = Field(0, ge=0)  # so many of them are labelled by the teacher: those that the student is least sure of
    candidates: int = Field(2000, ge=1)  # texts that the student scores for that, drawn by the seed

    @field_validator("labels")
    @classmethod
    def _named(cls, labels: dict[str, str] | list[str]) -> dict[str, str]:
        pairs = labels.items() if isinstance(labels, dict) else [(name, "") for name in labels]
        found = {" ".join(str(name).split()): meaning.strip() for name, meaning in pairs}
        if len(found) < len(labels) or "" in found:
            raise ValueError("each label needs a name of its own")
        if len(found) == 1:
            raise ValueError("one label is no choice: give two at least")
        return found

    @field_validator("personas", "lengths")
    @classmethod
    def _some(cls, values: list[str]) -> list[str]:
        if not values:
            raise ValueError("give at least one")
        return values


class Written(BaseModel):
    texts: list[Text]


def needs(options: Options) -> str:
    """What a language model is needed for; empty for texts that have their labels."""
    if options.per_label:
        return " to write texts (synthesize.options.per_label)"
    return " to label texts (synthesize.options.active)" if options.active else ""


NEEDS_MODEL = needs


def asks(options: Options, named: Collection[str]) -> bool:
    """Whether the teacher is asked: to write texts, or to label them."""
    return bool(needs(options))


ASKS = asks


def files(options: Options) -> list[str]:
    """The files that the output hangs on."""
    return [name for name in (options.data, options.test, options.unlabelled) if name]


def check(options: Options, section: Synthesize) -> None:
    """Raise ConfigError where there is nothing to make texts from."""
    if not (options.data or options.per_label or options.active):
        raise ConfigError(
            "The recipe classification needs texts with labels (synthesize.options.data: a table or a folder), or labels with what they mean and how "
            "many texts the teacher shall write of each (synthesize.options.labels and .per_label)."
        )
    if not options.labels and not options.data:
        raise ConfigError("synthesize.options.labels is empty. Without data, name every label and what it means: labels: {refund: wants money back}.")
    if options.active and not (options.unlabelled and section.student):
        raise ConfigError(
            "synthesize.options.active needs texts without labels (synthesize.options.unlabelled) and the model that is to get better, which says "
            "what it is unsure of (synthesize.student: run:NAME of an earlier round, or nano)."
        )


def units(chunks: Sequence[Chunk], bench: Bench, options: Options) -> list[Item]:
    """The rows of the files, the calls in which the teacher writes, and the rows that it is to label. Raises InputError for files that do not fit."""
    return items(bench, options)


async def make(unit: Item, bench: Bench, options: Options) -> list[Example]:
    """The example of a row, or those of the texts that the teacher writes for a label."""
    if unit.kind == "labelled":
        return [_example(unit, bench, unit.text, unit.label)]
    if unit.kind == "active":
        [label] = await _chosen(unit, bench, [unit.text])
        return [_example(unit, bench, unit.text, label)] if label else []
    texts: list[str] = []
    for attempt in range(1 + options.again):
        if len(texts) < unit.count:
            texts += await _written(unit, bench, options, texts, attempt)
    return [_example(unit, bench, text, unit.label) for text in texts]


async def _written(unit: Item, bench: Bench, options: Options, before: Sequence[str], attempt: int) -> list[str]:
    """Texts that are new, of a fit length, and belong to the label as the teacher sees it blind. At most as many as are missing."""
    count = unit.count - len(before)
    request = Request(
        messages=[{"role": "user", "content": _order(unit, bench, options, before, attempt)}], max_tokens=200 + 250 * count, temperature=0.8,
        task="texts", inputs={"label": unit.label, "count": count}, draw=attempt,
    )  # fmt: skip
    said: Any = await structured(bench.teacher, request, Written)
    if isinstance(said, Failed):
        bench.fail(f"no list of texts: {said.reason}", unit.id, said.told)
        return []
    good: list[str] = []
    for text in said.texts[:count]:
        if fault := _fault(text, [*before, *good], unit, options):
            bench.drop(fault, {"label": unit.label, "text": text})
        else:
            good.append(text)
    if not options.check or not good:
        return good
    return [text for text, label in zip(good, await _chosen(unit, bench, good), strict=True) if label]


def _order(unit: Item, bench: Bench, options: Options, before: Sequence[str], attempt: int) -> str:
    """The prompt: the label among the others, and who writes each text, how and at what length, drawn by the seed."""
    r = bench.rng(unit.id, f"profiles {attempt}")
    profiles = []
    for n in range(1, unit.count - len(before) + 1):
        drawn = [f"{name}: {r.choice(values)}" for name, values in sorted(options.attributes.items()) if values]
        profiles.append(f"{n}. by {r.choice(options.personas)}; {''.join(f'{d}; ' for d in drawn)}length: {r.choice(options.lengths)}")
    own = next(p for p in unit.labels if p.title == unit.label)
    return WRITE.format(
        count=len(profiles), about=options.about, label=own.title, meaning=f": {own.text}" if own.text else "", profiles="\n".join(profiles),
        others="\n".join(f"- {p.title}: {p.text}" if p.text else f"- {p.title}" for p in unit.labels if p is not own),
        before=BEFORE.format(texts="\n".join(f"- {text}" for text in before)) if before else "",
    )  # fmt: skip


def _fault(text: str, others: Sequence[str], unit: Item, options: Options) -> str:
    """Why a written text is not taken; empty where it is."""
    if not re.search(r"\w", text):
        return "an empty text"
    if len(text) > options.longest:
        return "a text longer than options.longest"
    if any(normal(text) == normal(other) for other in others):
        return "a text that was written before"
    if any(alike(text, other, options.near) for other in others):
        return "nearly a text that was written before"
    own = next(p for p in unit.labels if p.title == unit.label)
    return "a text that only repeats its label" if normal(text).strip(".") in (normal(own.title), normal(own.text).strip(".")) else ""


async def _chosen(unit: Item, bench: Bench, texts: Sequence[str]) -> list[str]:
    """The teacher's choice for each text, asked without a hint. "" where it made none, or another than the text was written for."""
    prompts = [shown(unit.labels, seed_of(bench.seed, "blind"), text) for text in texts]
    asked = [Asking(ask(text, labels), [p.title for p in labels]) for text, labels in zip(texts, prompts, strict=True)]
    found = []
    for text, made in zip(texts, await choose(bench.teacher, asked), strict=True):
        if made.fault:
            bench.fail("the teacher chose no label", {"unit": unit.id, "text": text}, made.fault)
        elif unit.label and made.label != unit.label:
            bench.drop("asked blind, the teacher chose another label", {"label": unit.label, "chosen": made.label, "text": text})
        found.append(made.label if made.label in (unit.label or made.label,) else "")
    return found


def _example(unit: Item, bench: Bench, text: str, label: str) -> Example:
    bench.note(f"{unit.split}: {label}")
    return Example(
        id=example_id(bench.recipe, unit.id, text, label), recipe=bench.recipe, unit=unit.id, document=Row(text, label, "").id, question=text,
        passages=shown(unit.labels, bench.seed, text), oracle=None, support="memory", quotes=[], answer=label, split=unit.split, kind=unit.kind,
    )  # fmt: skip


def advice(options: Options, noted: Mapping[str, int], rows: int) -> list[str]:
    """How many texts each label has, and whether the least has enough."""
    found: dict[str, dict[str, int]] = {"train": {}, "held_out": {}}
    for key, count in noted.items():
        side, _, label = key.partition(": ")
        found[side][label] = count
    train, held = found["train"], found["held_out"]
    ranges = [_range(side, words) for side, words in ((train, "to train on"), (held, "held out")) if side]
    told = [f"{len({**train, **held})} labels: {', '.join(ranges)}"] if ranges else []
    alone = sorted(label for label in train if held and label not in held)
    return told + ([f"not evaluated, as no text of it is held out: {', '.join(alone)}"] if alone else [])


def _range(counts: Mapping[str, int], words: str) -> str:
    low, high = min(counts.values()), max(counts.values())
    return f"{low} to {high} texts of each {words}" if low < high else f"{low} texts of each {words}"
