"""Texts that were given the right label.

Denominator: all held-out texts. A label is right where it is the very one; no other spelling of it counts, and none can come out where labels are
scored.
"""

from __future__ import annotations

from ...records import Answer
from ..cases import Case

FORMATS = ("labels",)


def score(case: Case, answer: Answer) -> float:
    """1 for the right label."""
    return float(answer.text in case.question.answers)
