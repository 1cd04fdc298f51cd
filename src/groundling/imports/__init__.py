"""Data sets that others made, as our records: one by one, each bad one with its line and what is wrong with it.

How a file is laid out (a JSON list, JSON lines, CSV, Parquet) is told by files.py; what one record of it means by a file in `shapes/`. A shape
has `fits(row)`, how many of the fields are its own (0: it is not of this shape; the most wins), and `record(row, place)`, which makes an Example
or a Pair, or raises `Refused`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .. import registry
from ..amiss import called
from ..errors import InputError
from ..records import Example, Pair
from .base import Place, Refused
from .files import rows

SHOWN = 500  # characters of a bad record that are kept with its reason


class Bad(NamedTuple):
    """A record that should have been readable and is not. `reason` is short and counted, `detail` says where in it."""

    line: int
    reason: str
    detail: str
    text: str

    @property
    def sentence(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class Unheld(NamedTuple):
    """A sound record that our records cannot hold (a dialogue of several questions, a call of a tool)."""

    line: int
    reason: str
    text: str


def read(path: Path, shape: str = "", shapes: Counter[str] | None = None) -> Iterator[Example | Pair | Bad | Unheld]:
    """Everything in a file, in its order. Without `shape`, the first readable record tells the shape of all.

    `shapes` counts which shape was taken. Raises InputError for a file that is not there or whose records fit no shape.
    """
    chosen = registry.load("import", shape) if shape else None
    for raw in rows(path):
        if raw.fault:
            yield Bad(raw.line, raw.fault, raw.detail, raw.text[:SHOWN])
            continue
        if not isinstance(raw.value, Mapping):
            yield Bad(raw.line, "not a record", f"a record has named fields, this is {called(raw.value)}", str(raw.value)[:SHOWN])
            continue
        if chosen is None:
            chosen = _shape(path, raw.line, raw.value)
        try:
            found = chosen.record(dict(raw.value), Place(path.name, raw.line))
        except Refused as refused:
            text = str(dict(raw.value))[:SHOWN]
            yield Unheld(raw.line, refused.reason, text) if refused.sound else Bad(raw.line, refused.reason, refused.detail, text)
            continue
        if shapes is not None:
            shapes[chosen.__name__.rpartition(".")[2]] += 1
        yield found


def _shape(path: Path, line: int, row: Mapping[str, Any]) -> ModuleType:
    known = registry.names("import")
    best = max((registry.load("import", name) for name in known), key=lambda module: module.fits(row))
    if best.fits(row):
        return best
    raise InputError(
        f"{path}, line {line}: no known kind of record has the fields {', '.join(map(str, list(row)[:8])) or '(none)'}. "
        f"Name the kind with --from ({', '.join(known)}), or rename the fields: `groundling list imports` says which each has."
    )
