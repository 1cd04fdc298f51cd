"""Correct answers among the answers given.

Denominator: the questions that were answered, of whatever kind; an answer to an unanswerable question is wrong. Source: the precision of
the RAFT tutorial (llama-recipes), with one denominator throughout.
"""

from __future__ import annotations

from ...records import Answer
from .. import text
from ..cases import Case


def score(case: Case, answer: Answer) -> float | None:
    """1 for a correct answer, None for a refusal."""
    if answer.abstained:
        return None
    return float(case.question.answerable and text.correct(answer.text, case.question.answers))
