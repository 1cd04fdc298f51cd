"""Longest common subsequence of the answer and the accepted one, as an F-measure, best accepted answer.

Denominator: answerable questions; a refusal scores 0. Source: Lin, 2004, without stemming; characters in scripts that write no spaces.
"""

from __future__ import annotations

from ...records import Answer
from ...sections import GROUNDED
from .. import text
from ..cases import Case

FORMATS = (*GROUNDED, "backward", "instruct")


def score(case: Case, answer: Answer) -> float | None:
    """The ROUGE-L of the answer; 0 for a refusal."""
    if not case.question.answerable:
        return None
    return 0.0 if answer.abstained else text.best(text.rouge_l, answer.text, case.question.answers)
