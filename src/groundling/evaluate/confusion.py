"""Which labels are taken for which: a small table of counts for each model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .scoring import Replied

INVALID = "(none of them)"  # what stands for a reply that is no label; where labels are scored there is none


def confusion(answered: Mapping[str, Mapping[str, Sequence[Replied]]], setting: str) -> dict[str, Any]:
    """`labels` sorted, and for each model a row for each true label with the counts of what was given; texts without a reply are left out.

    The last column stands for replies that are no label, and is there only where there is one.
    """
    replied = {model: [r for r in found.get(setting, ()) if r.answer is not None] for model, found in answered.items()}
    labels = sorted({p.title for found in replied.values() for r in found for p in r.case.asked.passages})
    counts = {model: Counter((r.case.question.answers[0], _given(r, labels)) for r in found) for model, found in replied.items()}
    columns = labels + [INVALID] * any(given == INVALID for found in counts.values() for _, given in found)
    tables = {model: [[found[true, given] for given in columns] for true in labels] for model, found in counts.items()}
    return {"labels": labels, "columns": columns, "models": tables}


def _given(one: Replied, labels: Sequence[str]) -> str:
    assert one.answer is not None
    return one.answer.text if one.answer.text in labels else INVALID
