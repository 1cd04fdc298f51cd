"""What this run has called and paid, as plain numbers. Endpoint and journal count into one meter; the panel reads it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Snapshot(NamedTuple):
    """A meter at one moment. `seconds` since the start, `usd` at the configured prices, `notice` what the endpoint is waiting for, or nothing.

    `bursts`: replies come in heaps, hours apart, so that rates and a time left tell nothing; `facts` are what such a model says of itself.
    """

    calls: int
    from_journal: int
    refused: int
    retries: int
    failed: int
    in_flight: int
    limit: int
    tokens_in: int
    tokens_out: int
    usd: float
    seconds: float
    notice: str
    bursts: bool = False
    facts: Mapping[str, str] = {}


class Meter:
    """Counts of one run. `calls` were answered by the endpoint, `from_journal` needed none, `refused` are 429s, `failed` were given up."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.started = clock()
        self.calls = self.from_journal = self.refused = self.retries = self.failed = self.in_flight = self.limit = 0
        self.tokens_in = self.tokens_out = 0
        self.usd = 0.0
        self.notice = ""
        self.standing: Callable[[], tuple[dict[str, str], str]] | None = None  # in bursts: facts and notice, as of now

    def answered(self, tokens_in: int, tokens_out: int, usd: float) -> None:
        """One call came back with a reply."""
        self.calls += 1
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.usd += usd

    def snapshot(self) -> Snapshot:
        facts, notice = self.standing() if self.standing else ({}, self.notice)
        return Snapshot(
            self.calls, self.from_journal, self.refused, self.retries, self.failed, self.in_flight, self.limit,
            self.tokens_in, self.tokens_out, self.usd, self._clock() - self.started, notice, self.standing is not None, facts,
        )  # fmt: skip
