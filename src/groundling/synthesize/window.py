"""A bounded number of units under way at once, and their results in the order of the units. There is no barrier: a slow unit holds up nobody.

Results that are ready before their turn wait in memory, and beyond some hundreds of them in a temporary file; so memory stays flat even where the
first unit takes an hour and a hundred thousand others are done meanwhile.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from ..records import Record

IN_MEMORY = 512  # results that wait for their turn there; further ones go to a file


class Made:
    """What came of one unit: records, what was left out, and what is worth a note. `drop`, `fail` and `note` are what a recipe is given to call."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.dropped: list[tuple[str, Any]] = []
        self.failed: list[tuple[str, Any, str]] = []
        self.noted: list[str] = []

    def note(self, what: str) -> None:
        self.noted.append(what)

    def drop(self, reason: str, what: Any) -> None:
        self.dropped.append((reason, what))

    def fail(self, reason: str, what: Any, detail: str = "") -> None:
        self.failed.append((reason, what, detail))


class _Place(NamedTuple):
    """Where a result stands in the file, and what kind of records it holds."""

    at: int
    length: int
    kind: type[Record] | None


class _Stored(msgspec.Struct):
    records: list[msgspec.Raw]
    dropped: list[tuple[str, Any]]
    failed: list[tuple[str, Any, str]]
    noted: list[str]


class InOrder:
    """Takes results in any order and hands them to `write` in the order of their numbers, from 0."""

    def __init__(self, write: Callable[[Made], None]) -> None:
        self._write, self.next = write, 0
        self._held: dict[int, Made] = {}
        self._places: dict[int, _Place] = {}
        self._file = tempfile.TemporaryFile()

    def put(self, number: int, made: Made) -> None:
        if number == self.next:
            self._pass_on(made)
            while (waiting := self._take(self.next)) is not None:
                self._pass_on(waiting)
        elif len(self._held) < IN_MEMORY:
            self._held[number] = made
        else:
            self._places[number] = self._spool(made)

    def _pass_on(self, made: Made) -> None:
        self.next += 1
        self._write(made)

    def _take(self, number: int) -> Made | None:
        place = self._places.pop(number, None)
        return self._read(place) if place else self._held.pop(number, None)

    def _spool(self, made: Made) -> _Place:
        data = msgspec.json.encode({"records": made.records, "dropped": made.dropped, "failed": made.failed, "noted": made.noted})
        at = self._file.seek(0, 2)
        self._file.write(data)
        return _Place(at, len(data), type(made.records[0]) if made.records else None)

    def _read(self, place: _Place) -> Made:
        self._file.seek(place.at)
        stored = msgspec.json.decode(self._file.read(place.length), type=_Stored)
        made = Made()
        made.records = [msgspec.json.decode(raw, type=place.kind or Record) for raw in stored.records]
        made.dropped, made.failed, made.noted = stored.dropped, stored.failed, stored.noted
        return made

    def close(self) -> None:
        self._file.close()


async def in_order(
    make: Callable[[int], Awaitable[Made]], first: Sequence[int], later: Sequence[int], lanes: int, write: Callable[[Made], None]
) -> None:
    """Make every number of `first` and `later`, which together are 0…n-1, with `lanes` under way at once; `write` gets the results in order.

    One lane takes `later` from the start (units whose replies are all stored: they wait for nobody), the others begin with `first`. Where one
    raises, the others are cancelled and its error is raised.
    """
    sink, old = InOrder(write), iter(later)

    async def lane(numbers: Iterable[int]) -> None:
        for number in numbers:
            sink.put(number, await make(number))
            await asyncio.sleep(0)  # a unit that waits for nothing must not keep the others from starting

    everything = itertools.chain(iter(first), old)
    tasks = [asyncio.ensure_future(lane(old)), *(asyncio.ensure_future(lane(everything)) for _ in range(min(lanes, len(first) + len(later))))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        sink.close()
