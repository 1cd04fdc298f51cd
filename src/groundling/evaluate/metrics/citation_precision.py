"""Cited passages that hold the gold passage.

Denominator: all cited passages of the answers given, where the gold is known (n counts the questions that cite). A citation of a passage
that was not shown is wrong, and so is every citation for an unanswerable question. Source: ALCE (arXiv 2305.14627), with the gold passage
as judge.
"""

from __future__ import annotations

from typing import Any

from ...records import Answer
from ..cases import Case


def score(case: Case, answer: Answer) -> tuple[float, float] | None:
    """Relevant citations and citations of one answer; None where it cites nothing."""
    cited = len(answer.citations) + len(answer.invalid)
    if answer.abstained or case.relevant is None or not cited:
        return None
    return float(len(set(answer.citations) & set(case.relevant))), float(cited)


def summarise(hits: Any, cited: Any) -> Any:
    """Relevant citations over citations."""
    return hits / cited
