"""Which units are drawn, and when there is enough: `limit` takes the first units of a seeded order, `target` as many as it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ..config import Synthesize
from ..seeds import seed_of
from ..workspace import Output
from .window import Made


class Unit(Protocol):
    @property
    def id(self) -> str: ...


U = TypeVar("U", bound=Unit)


class Enough(Exception):
    """The target is reached: no further unit is needed."""


def seeded(units: Sequence[U], seed: int) -> list[U]:
    """The units in an order that hangs on the seed and their ids alone: each beginning of it is a fair sample."""
    return sorted(units, key=lambda u: (seed_of(seed, "order of units", u.id), u.id))


def drawn(units: Sequence[U], options: Synthesize, seed: int) -> list[U]:
    """The units to be made, in the order in which they are written. All, in their own order, where neither limit nor target is set."""
    if not options.limit and not options.target:
        return list(units)
    return seeded(units, seed)[: options.limit or None]


class Target:
    """Passes results on until `target` records are kept (0: all). Its verdict hangs on the order of units alone, never on who was faster."""

    def __init__(self, target: int, out: Output, write: Callable[[Made], None]) -> None:
        self._target, self._out, self._write = target, out, write
        self.units, self._enough = 0, False

    def write(self, made: Made) -> None:
        """Pass one unit's results on. Records beyond the target are dropped and counted. Raises Enough where the target is reached."""
        if self._enough:  # units that were under way beside the last one: as if they had not been begun
            raise Enough
        self.units += 1
        if not self._target:
            return self._write(made)
        room = self._target - self._out.kept
        for record in made.records[room:]:
            made.drop("beyond the target", record.id)
        made.records = made.records[:room]
        self._write(made)
        self._enough = self._out.kept >= self._target
        if self._enough:
            raise Enough

    def notes(self, options: Synthesize, units: int) -> dict[str, Any]:
        """For the record: how many units were used of how many, and whether the target was reached."""
        found: dict[str, Any] = {"units": {"of": units, "used": self.units}}
        if options.limit:
            found["units"]["limit"] = options.limit
        if self._target:
            found["target"] = {"rows": self._target, "kept": self._out.kept, "reached": self._out.kept == self._target}
        return found
