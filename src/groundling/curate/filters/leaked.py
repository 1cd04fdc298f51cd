"""Drops an example that asks what the evaluation asks (letter case, punctuation and white space aside)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...records import Example
from .. import Context


def _normal(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def sift(examples: Sequence[Example], context: Context) -> list[str | None]:
    """For each example the reason it is dropped, or None."""
    asked = {_normal(q.question) for q in context.questions} - {""}
    return ["asked in the evaluation" if _normal(e.question) in asked else None for e in examples]
