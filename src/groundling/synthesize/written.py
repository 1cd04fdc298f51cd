"""What a recipe made, as it is written: every record kept, dropped or failed, and counted for the stage's record."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..records import Example, Pair
from ..workspace import Output
from .barren import Barren
from .window import Made


def realised(counted: Mapping[str, int]) -> dict[str, float]:
    """The share of each sort (support, kind of question) among the records."""
    total = sum(counted.values()) or 1
    return {sort: round(count / total, 4) for sort, count in sorted(counted.items())}


class Written:
    """Examples are counted by what they rest on, pairs by their side of the split and by their margins."""

    def __init__(self, out: Output, barren: Barren) -> None:
        self.out, self.barren = out, barren
        self.sorts, self.positions, self.shown = Counter[str](), Counter[str](), Counter[str]()
        self.kinds, self.rows, self.noted = Counter[str](), Counter[int](), Counter[str]()
        self.margins: list[float] = []

    def write(self, made: Made) -> None:
        for record in made.records:
            self._keep(record)
        self.noted.update(made.noted)
        for reason, what in made.dropped:
            self.out.drop(reason, what)
        for reason, what, detail in made.failed:
            self.out.fail(reason, what, detail)
        self.rows[len(made.records)] += 1
        self.barren.look(made, self.out)

    def _keep(self, record: Any) -> None:
        self.out.keep(record)
        self.shown[str(len(record.passages))] += 1
        if isinstance(record, Pair):
            self.sorts[record.split] += 1
            self.margins += [] if record.margin is None else [record.margin]
        elif isinstance(record, Example):
            self.sorts[record.support] += 1
            self.kinds.update([record.kind] if record.kind else [])
            self.positions.update([] if record.oracle is None else [str(record.oracle)])

    def notes(self) -> dict[str, Any]:
        """For the record: shares, kinds, margins, and how many records came of how many units."""
        found: dict[str, Any] = {"realised": realised(self.sorts)}
        if self.noted:
            found["noted"] = dict(sorted(self.noted.items()))
        if self.kinds:
            found["kinds"] = realised(self.kinds)
        if self.positions:
            found["oracle_at"] = dict(sorted(self.positions.items()))
        if self.margins:
            found["margins"] = {
                "least": min(self.margins), "median": round(statistics.median(self.margins), 6), "most": max(self.margins),
            }  # fmt: skip
        rows = {str(n): count for n, count in sorted(self.rows.items())}
        return found | {"units_with_rows": rows, "passages_shown": dict(sorted(self.shown.items()))}
