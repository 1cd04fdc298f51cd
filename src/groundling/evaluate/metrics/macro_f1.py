"""The mean of the labels' F1: every label counts the same, however rare it is.

Denominator: all held-out texts (n); the mean is over labels that a text has or was given. A text whose label is none of those shown (an invalid one)
is a miss of its own label and counts against no other. Its interval is the bootstrap's over texts. Source: van Rijsbergen's F, averaged over labels.
"""

from __future__ import annotations

from typing import Any

from ...records import Answer
from ..cases import Case

FORMATS = ("labels",)


def score(case: Case, answer: Answer) -> tuple[float, ...] | None:
    """For each label in the order of their names: was it right, was it given wrongly, was it missed. None where no label was shown."""
    labels, gold = sorted(p.title for p in case.asked.passages), case.question.answers[:1]
    found: list[float] = []
    for label in labels:
        is_it, was_given = label in gold, label == answer.text
        found += [float(is_it and was_given), float(was_given and not is_it), float(is_it and not was_given)]
    return tuple(found) or None


def summarise(*sums: Any) -> Any:
    """The mean of 2·right / (2·right + wrongly given + missed) over the labels for which that is defined."""
    import numpy as np

    parts = np.stack([np.asarray(s, dtype=float) for s in sums])
    right, wrong, missed = parts[0::3], parts[1::3], parts[2::3]
    with np.errstate(divide="ignore", invalid="ignore"):
        each = 2 * right / (2 * right + wrong + missed)
        known = np.isfinite(each)
        return np.where(known, each, 0.0).sum(axis=0) / known.sum(axis=0)
