"""Harmonic mean of citation precision and citation recall.

Denominator: the questions of either; a model that cites nothing has 0.
"""

from __future__ import annotations

from typing import Any

from ...records import Answer
from ..cases import Case
from . import citation_precision, citation_recall


def score(case: Case, answer: Answer) -> tuple[float, float, float, float] | None:
    """The parts of precision and of recall; None where the question is in neither."""
    precision, recall = citation_precision.score(case, answer), citation_recall.score(case, answer)
    if precision is None and recall is None:
        return None
    return *(precision or (0.0, 0.0)), recall or 0.0, float(recall is not None)


def summarise(hits: Any, cited: Any, recalled: Any, holding: Any) -> Any:
    """The harmonic mean of hits ÷ cited and recalled ÷ holding; undefined where no question shows its gold passage."""
    import numpy as np

    precision = np.where(cited > 0, hits / np.maximum(cited, 1), 0.0)
    recall = recalled / holding
    return np.where(precision + recall > 0, 2 * precision * recall / np.where(precision + recall > 0, precision + recall, 1), 0.0 * recall)
