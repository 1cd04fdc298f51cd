"""A question with the passages that it is shown with: the one that answers it among look-alikes, or left out. What `raft` and `questions` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Literal, NamedTuple

from pydantic import Field

from ..grounding import ABSTAIN, language
from ..records import Chunk, Example, Passage, Quote, Support
from . import Bench, example_id
from .presets import RecipeOptions
from .shelf import Told, hits

FEWER = "fewer distractors than asked for"
WITH, WITHOUT = "answerable, shown with the passage", "answerable, shown without it"
FEW = 200  # questions from which on chance leaves hardly ever another share than was asked for
FAR = 0.1  # off the share that was asked for
_RANKED = 200  # hits of search that passages are put in order by; what is not among them comes last


class Showing(RecipeOptions):
    """What a recipe lets one say about the passages of an example."""

    distractors: int = Field(4, ge=0)  # passages that look right and are not
    hard: float = Field(0.75, ge=0, le=1)  # share of the distractors that are retrieved; the rest are drawn at random
    near_duplicate: float = Field(0.8, gt=0, le=1)  # passages that share so much (Jaccard, runs of three words) never stand side by side
    oracle_probability: float = Field(0.8, ge=0, le=1)  # how often the right passage is present
    order: Literal["drawn", "retrieved"] = "drawn"  # the order of the passages: at random, or best first, as a user's question meets them
    vary: bool = True  # draw the number of distractors from 0…distractors, so that every k is met in training


class Draw(NamedTuple):
    """One draw about one question: its name, which its randomness hangs on; what the answer rests on; whether the chunk itself is shown."""

    name: str
    support: Support
    shown: bool


def example(unit: Chunk, bench: Bench, options: Showing, draw: Draw, told: Told, reasoning: str = "") -> Example | None:
    """One example about a chunk; None where there is nothing to show.

    A chunk that is not shown leaves its place to one more distractor: the number of passages must not tell whether it is there.
    """
    r = bench.rng(unit.id, f"passages:{draw.name}:{told.question}")
    count = (r.randint(0, options.distractors) if options.vary else options.distractors) + (not draw.shown)
    passages = distractors(unit, bench, options, told, count, r)
    if not passages and not draw.shown:
        bench.drop("no passage to show in place of the right one", {"unit": unit.id, "question": told.question})
        return None
    if draw.shown:
        passages.insert(r.randint(0, len(passages)), unit)
    if options.order == "retrieved":
        ranks = {c.id: n for n, c in enumerate(hits(bench.search(told.question, _RANKED)))}
        passages.sort(key=lambda c: ranks.get(c.id, len(ranks)))
    oracle = passages.index(unit) if draw.shown and draw.support == "cited" else None
    return Example(
        id=example_id(bench.recipe, unit.id, told.question, draw.name), recipe=bench.recipe, unit=unit.id, document=unit.document,
        question=told.question, passages=[Passage(id=c.id, title=c.title, text=c.text) for c in passages], oracle=oracle, support=draw.support,
        quotes=[Quote(text=q, passage=oracle) for q in told.quotes] if oracle is not None else [],
        reasoning=reasoning if oracle is not None else "",  # it speaks of the quotes
        answer=ABSTAIN[language(told.question)] if draw.support == "abstain" else told.answer, split=bench.split_of(unit.document),
    )  # fmt: skip


def distractors(unit: Chunk, bench: Bench, options: Showing, told: Told, count: int, r: Random) -> list[Chunk]:
    """Passages that look right: retrieved by the question first, then drawn from all chunks of the same side of the split."""
    beside = bench.shelf.beside(unit, told, options.near_duplicate)
    retrieved = sum(r.random() < options.hard for _ in range(count))
    if retrieved:
        beside.take(hits(bench.search(told.question, count * 5 + 10)), retrieved)
    beside.take(bench.shelf.drawn(r, unit), count)
    if len(beside.chunks) < count:
        bench.note(FEWER)
    r.shuffle(beside.chunks)
    return beside.chunks


def too_few(options: Showing, noted: Mapping[str, int], rows: int) -> Sequence[str]:
    """What to change where fewer distractors fitted than were drawn, as sentences."""
    count = noted.get(FEWER, 0)
    if not count:
        return []
    return [
        f"{count} of {rows} examples could not be given as many distractors as were drawn (up to {options.distractors}): too few other chunks "
        "fit beside theirs, on their side of the split. Lower synthesize.options.distractors, lower chunk.size to have more, or add documents."
    ]


def drawn(bench: Bench, options: Showing, shown: bool) -> None:
    """Count what was drawn about a question that can be answered, where there was something to draw."""
    if 0 < options.oracle_probability < 1:
        bench.note(WITH if shown else WITHOUT)


def chance(options: Showing, noted: Mapping[str, int]) -> Sequence[str]:
    """A sentence where so few questions were drawn about that far more or fewer than asked for are shown without their passage."""
    without, asked = noted.get(WITHOUT, 0), 1 - options.oracle_probability
    total = without + noted.get(WITH, 0)
    if not 0 < total < FEW or abs(without / total - asked) < FAR:
        return []
    return [
        f"{without} of {total} questions that can be answered ({without / total:.0%}) are shown without their passage, where synthesize.options."
        f"oracle_probability = {options.oracle_probability:g} asks for {asked:.0%}: each is drawn by itself, and they are few. More questions come "
        "nearer to it; another seed draws anew."
    ]
