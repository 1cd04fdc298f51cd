"""Requests and tokens a minute, tokens a day: what an endpoint's contract allows, kept on our side. No I/O; the clock is given.

Each limit is a sliding window. In any 60 seconds no more goes out than the limit, which suits both ways in which providers count: a bucket that
refills steadily, and a counter that starts anew each minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_SLOTS = 600  # a window's resolution: 0.1 s of a minute, 144 s of a day


class Window:
    """At most `limit` in any `seconds`. An amount is taken when a call goes out and corrected when it has come back."""

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float]) -> None:
        self.limit, self.seconds, self._clock = limit, seconds, clock
        self._slots: deque[list[float]] = deque()  # [when its slot began, amount], oldest first
        self.used = 0.0

    def _forget(self, now: float) -> None:
        # A slot is left only when its last moment, not its first, is `seconds` ago.
        while self._slots and self._slots[0][0] + self.seconds / _SLOTS + self.seconds <= now:
            self.used -= self._slots.popleft()[1]

    def wait(self, amount: float) -> float:
        """Seconds until `amount` may go out; 0: now. More than the whole limit goes out alone, in an empty window."""
        now = self._clock()
        self._forget(now)
        free = self.limit - self.used
        if amount <= free or not self._slots:
            return 0.0
        last = self._slots[-1][0]
        for begun, held in self._slots:
            free += held
            if amount <= free:
                last = begun
                break
        return max(0.0, last + self.seconds / _SLOTS + self.seconds - now)

    def take(self, amount: float, age: float = 0.0) -> list[float]:
        """Count `amount` as gone out `age` seconds ago; what is returned is handed to `settle`. Ages are given oldest first."""
        width = self.seconds / _SLOTS
        begun = (self._clock() - age) // width * width
        if not self._slots or self._slots[-1][0] < begun:
            self._slots.append([begun, 0.0])
        self._slots[-1][1] += amount
        self.used += amount
        return self._slots[-1]

    def settle(self, slot: list[float], change: float) -> None:
        """The amount was larger (`change` > 0) or smaller than what was taken."""
        if self._slots and slot[0] >= self._slots[0][0]:  # else it has left the window
            slot[1] += change
            self.used += change


class Taken:
    """What one call took of each limit."""

    __slots__ = ("day", "minute", "tokens")

    def __init__(self, tokens: float, minute: list[float] | None, day: list[float] | None) -> None:
        self.tokens, self.minute, self.day = tokens, minute, day


class Limits:
    """The three limits of one endpoint; one that is 0 does not exist."""

    def __init__(self, requests_per_minute: int, tokens_per_minute: int, tokens_per_day: int, clock: Callable[[], float]) -> None:
        self._requests = Window(requests_per_minute, 60, clock) if requests_per_minute else None
        self._minute = Window(tokens_per_minute, 60, clock) if tokens_per_minute else None
        self._day = Window(tokens_per_day, 86_400, clock) if tokens_per_day else None
        self.any = bool(self._requests or self._minute or self._day)

    def used_before(self, history: list[tuple[float, int]]) -> None:
        """Tokens of earlier runs as (seconds ago, tokens), oldest first."""
        for age, tokens in history:
            if self._day and age < 86_400:
                self._day.take(tokens, age)

    def wait(self, tokens: float) -> float:
        """Seconds until a call of so many tokens may go out."""
        found = [self._requests.wait(1)] if self._requests else []
        return max([0.0, *found, *(w.wait(tokens) for w in (self._minute, self._day) if w)])

    def take(self, tokens: float) -> Taken:
        if self._requests:
            self._requests.take(1)
        return Taken(tokens, self._minute.take(tokens) if self._minute else None, self._day.take(tokens) if self._day else None)

    def settle(self, taken: Taken, tokens: float) -> None:
        """The call has come back, and cost `tokens`."""
        for window, slot in ((self._minute, taken.minute), (self._day, taken.day)):
            if window and slot:
                window.settle(slot, tokens - taken.tokens)
