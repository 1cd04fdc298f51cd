"""Unanswerable questions that the model abstains on.

Denominator: unanswerable questions.
"""

from __future__ import annotations

from ...records import Answer
from ..cases import Case


def score(case: Case, answer: Answer) -> float | None:
    """1 for a refusal, None for an answerable question."""
    return None if case.question.answerable else float(answer.abstained)
