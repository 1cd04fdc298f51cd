"""Drops exact repeats: the same question (letter case and white space aside) of the same passage, or with the same answer; the best stays.
For: always, it costs nothing. No options. Repeats in other words are what `near` and `semantic` find.

Questions that follow different conversations are different. The two sides of the split are apart: what is in both is for `leaked`.
Of preference pairs those are repeats that set the same replies side by side for the same prompt, passages included; the largest margin stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...records import Example, Pair, to_line
from .. import Context
from ..best import ranked
from ..words import before

READS = (Example, Pair)


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def _keys(e: Example) -> list[tuple[object, ...]]:
    asked = (e.split, before(e), _normal(e.question))
    # An example that is cited and the refusal of the same question without its passage (RAFT) teach different things.
    return [(asked, "unit", e.unit, e.support), (asked, "answer", _normal(e.answer), e.support)]


def sift(examples: Sequence[Example], context: Context) -> list[str | None]:
    """For each example the reason it is dropped, or None. The best of equals stays."""
    seen: set[tuple[object, ...]] = set()
    verdicts: list[str | None] = [None] * len(examples)
    for n in ranked(examples):
        keys = _keys(examples[n])
        if any(key in seen for key in keys):
            verdicts[n] = "asked before"
        else:
            seen.update(keys)
    return verdicts


def pairs(found: Sequence[Pair], context: Context) -> list[str | None]:
    """The same for preference pairs."""
    seen: set[tuple[object, ...]] = set()
    verdicts: list[str | None] = [None] * len(found)
    order = sorted(range(len(found)), key=lambda n: (-(found[n].margin or 0), found[n].id, to_line(found[n])))
    for n in order:
        pair = found[n]
        before_it = tuple((turn.question, turn.answer) for turn in pair.history)
        key = (pair.split, before_it, _normal(pair.question), tuple(p.text for p in pair.passages), pair.chosen, pair.rejected)
        if key in seen:
            verdicts[n] = "the same replies side by side before"
        seen.add(key)
    return verdicts
