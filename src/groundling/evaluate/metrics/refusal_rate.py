"""How often the model says that the passages do not hold the answer.

Denominator: all questions. Neither high nor low is good: see `abstain_recall` and `false_refusal_rate`.
"""

from __future__ import annotations

from ...records import Answer
from ..cases import Case


def score(case: Case, answer: Answer) -> float:
    """1 for a refusal."""
    return float(answer.abstained)
