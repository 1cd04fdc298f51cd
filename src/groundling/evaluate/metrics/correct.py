"""The right outcome: an answerable question answered correctly, an unanswerable one abstained on.

Denominator: all questions. The rule for a correct answer is `text.correct`. This is the headline: a model cannot raise it by answering
everything, nor by refusing everything.
"""

from __future__ import annotations

from ...records import Answer
from .. import text
from ..cases import Case


def score(case: Case, answer: Answer) -> float:
    """1 for the right outcome."""
    if case.question.answerable:
        return float(not answer.abstained and text.correct(answer.text, case.question.answers))
    return float(answer.abstained)
