"""Keeps the `n` best that also differ: round by round the best of each chunk, those like a better one only to fill up; 0 keeps all.
For: a small set of good examples out of many. Options: n, spread, apart, words, characters. Training side only.

"Best" is what `curate/best.py` says: a judge's or reward model's score where there is one. Vikhr's published curation takes about 10,000 of 150,000
by reward alone; so one rich document can fill them all. Here each group of `spread` gives its best before any gives its second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from ...options import Options as Base
from ...records import Example
from .. import Context
from ..best import ranked
from ..groups import By, group_of
from ..likeness import Alike
from ..words import said

WHOLE = True


class Options(Base):
    n: int = Field(0, ge=0)  # how many stay; 0: all
    spread: By | Literal["none"] = "unit"  # what takes turns: unit (the chunk), document, kind, answer, support or recipe
    apart: float = Field(0.5, ge=0.3, le=1)  # share of runs in common from which one is too like a better one (see near)
    words: int = Field(2, ge=0)  # words in a run; 0: words are not compared
    characters: int = Field(4, ge=0)  # characters in a run; 0: they are not compared


def _in_turns(examples: Sequence[Example], options: Options) -> list[int]:
    """The places of the training examples, each group's best first, then each group's second; within a round by quality."""
    order = [n for n in ranked(examples) if examples[n].split == "train"]
    if options.spread == "none":
        return order
    rounds: dict[int, int] = {}
    given: dict[str, int] = {}
    for n in order:
        group = group_of(examples[n], options.spread)
        rounds[n] = given[group] = given.get(group, -1) + 1
    return sorted(order, key=rounds.__getitem__)  # stable: the order within a round stays


def sift(examples: Sequence[Example], context: Context, options: Options) -> list[str | None]:
    """For each example the reason it is dropped, or None."""
    order = _in_turns(examples, options)
    verdicts: list[str | None] = [None] * len(examples)
    if not options.n or len(order) <= options.n:
        return verdicts
    texts = [said(examples[n]) for n in order]
    alike = Alike(texts, [""] * len(texts), options.apart, options.words, options.characters)
    taken: list[int] = []
    for place in range(len(order)):
        if len(taken) < options.n and alike.near(place) is None:
            alike.add(place)
            taken.append(place)
    chosen = set(taken)
    chosen.update([place for place in range(len(order)) if place not in chosen][: options.n - len(taken)])
    for place, n in enumerate(order):
        if place not in chosen:
            verdicts[n] = "not among the best that differ"
    return verdicts
