"""Tokens that the answer and the accepted one have in common: harmonic mean of precision and recall, best accepted answer.

Denominator: answerable questions; a refusal scores 0. Source: SQuAD (arXiv 1606.05250), with the differences
listed in `text.py`; characters in scripts that write no spaces.
"""

from __future__ import annotations

from ...records import Answer
from ...sections import GROUNDED
from .. import text
from ..cases import Case

FORMATS = (*GROUNDED, "backward", "instruct", "step")


def score(case: Case, answer: Answer) -> float | None:
    """The token F1 of the answer; 0 for a refusal."""
    if not case.question.answerable:
        return None
    return 0.0 if answer.abstained else text.best(text.f1, answer.text, case.question.answers)
