"""How much a provider lets wait in its batch queue: not asked for, found by what it refuses. No I/O; the clock is given.

Providers limit the tokens that are enqueued at once, and tell so only by failing a batch that is one too many. A refusal costs nothing. From the
first one on, batches go up one at a time and as large as there seems to be room for; where ours fill it, the next waits until one has ended, and
where others of the account do, it waits and tries again. Sizes are bytes of the requests' bodies, which the provider's tokens follow closely enough.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

GROWTH = 1.25  # of the room after each batch that was taken
LEAST = 8  # no batch goes up for less than this part of the room: many small ones would take as long as few
WAITS = (5.0, 600.0)  # seconds after a refusal while none of ours is there: first, longest
PATIENCE = 86_400.0  # seconds without any batch being taken: what a provider gives itself for one


class Place:
    """A batch's place in the queue: sure once the provider has begun to work on it."""

    __slots__ = ("size", "sure")

    def __init__(self, size: int) -> None:
        self.size, self.sure = size, False


class Room:
    """Without bounds until the first refusal."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.waits, self.patience = WAITS, PATIENCE
        self.window = math.inf
        self._places: set[Place] = set()
        self._most = 0  # that ever was there at once
        self._wait, self._until, self._since = 0.0, 0.0, math.inf

    @property
    def bounded(self) -> bool:
        return self.window < math.inf

    @property
    def hopeless(self) -> bool:
        """Whether nothing was taken for longer than one waits, and nothing of ours is there."""
        return not self._places and self._clock() - self._since > self.patience

    def free(self) -> float:
        """The size up to which requests may go up now; 0: wait."""
        if not self.bounded:
            return math.inf
        if self._clock() < self._until or any(not place.sure for place in self._places):
            return 0
        rest = self.window - self._sure()
        return rest if rest >= self.window / LEAST else 0

    def enter(self, size: int) -> Place:
        """A batch goes up."""
        place = Place(size)
        self._places.add(place)
        return place

    def taken(self, place: Place) -> None:
        """The provider works on it."""
        if place.sure or place not in self._places:
            return
        place.sure = True
        self._most = max(self._most, self._sure())
        self.window *= GROWTH
        self._wait, self._since = 0.0, math.inf

    def leave(self, place: Place) -> None:
        """The batch has ended, or was never made."""
        self._places.discard(place)

    def refused(self, place: Place) -> None:
        """There was no room for it."""
        self.leave(place)
        ours = self._sure()
        if ours + place.size <= self._most:
            self._most = 0  # there was room for as much before: others take it now
        self.window = min(self.window, max(ours + place.size / (2 if ours else 4), self._most))
        if not ours:
            self._wait = min(self.waits[1], max(self.waits[0], 2 * self._wait))
            self._until, self._since = self._clock() + self._wait, min(self._since, self._clock())

    def standing(self) -> str:
        """What is waited for, for the panel; empty where batches go up freely, or ours are there."""
        left = self._until - self._clock()
        return f"the provider's batch queue is full; next try in {left:.0f} s" if self.bounded and not self._places and left > 0 else ""

    def _sure(self) -> int:
        return sum(place.size for place in self._places if place.sure)
