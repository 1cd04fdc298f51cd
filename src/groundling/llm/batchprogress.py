"""Where a model's batches stand, in words for the panel. The panel asks from a thread of its own: everything is read from copies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from ..panel import span
from .batchwire import State

TELLING = 0.1  # share of the open batches that is answered before a time left is told from it


class _At(NamedTuple):
    """One batch: how many requests, since when (seconds since 1970), what the provider said last, when it is asked again (None: not handed over)."""

    requests: int
    since: float
    state: State | None = None
    look: float | None = None


class Progress:
    """The open batches of a model by their numbers, how many have ended, and how many requests wait to be sent (`waiting` tells).

    `held` says why nothing can be sent now, or nothing.
    """

    def __init__(self, waiting: Callable[[], int], clock: Callable[[], float] = time.time, held: Callable[[], str] = lambda: "") -> None:
        self._waiting, self._clock, self._held = waiting, clock, held
        self._open: dict[int, _At] = {}
        self.ended = 0

    def begun(self, number: int, requests: int, since: float | None = None) -> None:
        """A batch is handed over, or was in an earlier run."""
        self._open[number] = _At(requests, since or self._clock())

    def looked(self, number: int, state: State, again: float) -> None:
        """The provider told its state; it is asked again in so many seconds."""
        self._open[number] = self._open[number]._replace(state=state, look=self._clock() + again)

    def gone(self, number: int, brought: bool) -> None:
        """The batch is open no more."""
        self._open.pop(number, None)
        self.ended += brought

    def standing(self) -> tuple[dict[str, str], str]:
        """Facts and the notice of a view."""
        batches, facts = tuple(self._open.values()), {}
        if batches:
            requests, done = sum(b.requests for b in batches), sum(b.state.done for b in batches if b.state)
            facts["at the provider"] = f"{done:,} of {requests:,} requests answered in {_batches(len(batches))}"
        if self.ended:
            facts["done"] = _batches(self.ended)
        if waiting := self._waiting():
            facts["to send"] = f"{waiting:,}"
        return facts, self._notice(batches) if batches else self._held()

    def _notice(self, batches: tuple[_At, ...]) -> str:
        """What the oldest batch is at, since when, how long it may still take, and when the provider is asked again."""
        now, first = self._clock(), min(batches, key=lambda b: b.since)
        words = [f"{first.state.status.replace('_', ' ') if first.state else 'being handed over'} since {span(max(0.0, now - first.since))}"]
        left = [_left(b, now) for b in batches]
        if None not in left:
            words.append(f"about {span(max(s for s in left if s is not None))} to the end of {'it' if len(batches) == 1 else 'them'}")
        looks = [b.look - now for b in batches if b.look is not None]
        if looks:
            words.append(f"asked again in {span(max(0.0, min(looks)))}")
        return "; ".join(words)


def _left(batch: _At, now: float) -> float | None:
    """Seconds to a batch's end at its pace so far; None where too little is answered to tell."""
    done = batch.state.done if batch.state else 0
    if done < max(1.0, TELLING * batch.requests):
        return None
    return max(0.0, (now - batch.since) * (batch.requests / done - 1))


def _batches(count: int) -> str:
    return f"{count:,} batch" if count == 1 else f"{count:,} batches"
