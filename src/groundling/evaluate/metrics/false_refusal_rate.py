"""Answerable questions that the model refuses.

Denominator: answerable questions. A refusal counts as false even where retrieval showed no passage that holds the answer: to the person who
asks it is one. Compare `given`, where the right passage is always shown, to tell the model's share from retrieval's.
"""

from __future__ import annotations

from ...records import Answer
from ..cases import Case


def score(case: Case, answer: Answer) -> float | None:
    """1 for a refusal, None for an unanswerable question."""
    return float(answer.abstained) if case.question.answerable else None
