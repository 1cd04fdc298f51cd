"""Drops exact repeats: the same question (letter case and white space aside) asked of the same passage, or with the same reply."""

from __future__ import annotations

from collections.abc import Sequence

from ...records import Example
from .. import Context


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def sift(examples: Sequence[Example], context: Context) -> list[str | None]:
    """For each example the reason it is dropped, or None. The first of equals stays."""
    seen: set[tuple[str, ...]] = set()
    verdicts: list[str | None] = []
    for e in examples:
        question = _normal(e.question)
        keys = [(question, "unit", e.unit), (question, "answer", _normal(e.answer), e.support)]
        repeated = any(key in seen for key in keys)
        verdicts.append("asked before" if repeated else None)
        if not repeated:
            seen.update(keys)
    return verdicts
