"""The answer equals an accepted one after normalisation (lower case, no punctuation, no articles).

Denominator: answerable questions; a refusal scores 0. Source: SQuAD (arXiv 1606.05250), with the differences
listed in `text.py`. The prompt format's marks are read off before (`grounding.py`), so that a tag such as `<ANSWER>:` never enters.
"""

from __future__ import annotations

from ...records import Answer
from .. import text
from ..cases import Case


def score(case: Case, answer: Answer) -> float | None:
    """1 for an exact answer; 0 for a refusal."""
    if not case.question.answerable:
        return None
    return 0.0 if answer.abstained else text.best(text.exact, answer.text, case.question.answers)
