"""What keeps calls from an endpoint that is down: waits, tries one call, goes on. No I/O; the clock is given."""

from __future__ import annotations

from collections.abc import Callable

UNREACHABLE = 5  # connections refused in a row: nothing listens there
BROKEN = 16  # different calls that broke in a row; with a third of the calls failing at random, one such row in 40 million
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0
PATIENCE = 60.0  # seconds that an endpoint which never answered may stay away


class Breaker:
    """Closed: all calls pass. Open: none, until the wait is over; then one call probes, and its fate closes the breaker or doubles the wait."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._broken: set[int] = set()
        self._unreachable = 0
        self._wait = 0.0  # 0: closed
        self._until = 0.0
        self._probe: int | None = None
        self._since = 0.0
        self.answered_ever = False

    @property
    def open(self) -> bool:
        return self._wait > 0

    @property
    def seconds_left(self) -> float:
        """Until the next probe."""
        return max(0.0, self._until - self._clock()) if self.open else 0.0

    @property
    def hopeless(self) -> bool:
        """Whether the endpoint has never answered and has been away longer than one waits for it."""
        return self.open and not self.answered_ever and self._clock() - self._since > PATIENCE

    def allows(self) -> bool:
        return not self.open or (self._probe is None and self._clock() >= self._until)

    def sent(self, call: int) -> None:
        """A call that was allowed goes out."""
        if self.open:
            self._probe = call

    def answered(self, call: int) -> bool:
        """The endpoint gave an answer of its own, a refusal included. True where that closes the breaker: only a probe's answer does."""
        closed, self.answered_ever = self.open, True
        if closed and call != self._probe:
            return False  # it was on its way before the endpoint went down, and says nothing about now
        self._wait, self._probe, self._unreachable = 0.0, None, 0
        self._broken.clear()
        return closed

    def broke(self, call: int, unreachable: bool) -> bool:
        """A call found nobody (`unreachable`) or came back broken. True where that opens the breaker, or keeps it open after a probe."""
        if self.open:
            if call != self._probe:
                return False  # it went out before the breaker opened, and tells nothing new
            self._probe = None
            return self._open(min(LONGEST_WAIT, 2 * self._wait))
        self._broken.add(call)
        self._unreachable = self._unreachable + 1 if unreachable else 0
        if len(self._broken) < BROKEN and self._unreachable < UNREACHABLE:
            return False
        self._since = self._clock()
        return self._open(FIRST_WAIT)

    def gone(self, call: int) -> None:
        """The call was given up without any word from the endpoint; if it was the probe, another may go."""
        if call == self._probe:
            self._probe = None

    def _open(self, wait: float) -> bool:
        self._wait, self._until = wait, self._clock() + wait
        return True
