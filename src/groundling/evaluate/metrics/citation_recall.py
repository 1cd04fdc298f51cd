"""Questions whose passage was shown and is cited.

Denominator: answerable questions with the gold passage among the passages shown; a refusal cites nothing. Source: ALCE (arXiv 2305.14627)
asks whether citations support the answer by a model's judgement; here the gold passage decides.
"""

from __future__ import annotations

from ...records import Answer
from ..cases import Case


def score(case: Case, answer: Answer) -> float | None:
    """1 where a relevant passage is cited."""
    if not case.question.answerable or not case.relevant:
        return None
    return float(bool(set(answer.citations) & set(case.relevant)))
