"""Drops exact repeats: the same question (letter case and white space aside) of the same passage, or with the same answer; the best stays.
For: always, it costs nothing. No options. Repeats in other words are what `near` and `semantic` find.

Questions that follow different conversations are different. The two sides of the split are apart: what is in both is for `leaked`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...records import Example
from .. import Context
from ..best import ranked
from ..words import before


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
