"""How many calls an endpoint is sent at once: as many as it takes, found by trying. No I/O; the clock is given.

It starts at 16 and doubles every 250 ms until the first refusal (429) or the ceiling. A refusal cuts the level once for a whole burst: calls that
were sent before the burst was known do not cut again, they only tell how many of those in flight were taken. From then on the level at which
refusals came (`wall`) is remembered. Below it the level rises quickly; just below it the level rests, and is tried one higher only after many
rounds of calls went well. So an endpoint that takes 32 is sent 32 nearly always, and one call in some hundreds is refused. Where a step up goes
well, the next is twice as large: an endpoint that has grown is followed within a few rounds. A refusal after a rise takes the rise back. While the
level rests, a stray refusal or two change nothing (some endpoints refuse at random); more of them, and the level falls by a quarter.
"""

from __future__ import annotations

from collections.abc import Callable

START = 16
AFRESH = 4  # where it begins anew when an endpoint that refused every call takes one
DOUBLING, TRIAL = 0.25, 1.0  # seconds between rises: on the way to the wall, and beyond it, where a refusal must have time to come
STRAY, FADING = 2.5, 0.08  # refusals of late that a resting level bears; how much of one each reply makes good
VAIN = 3  # bursts without a reply between them, from which on the endpoint counts as one that refuses every call
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0  # seconds between tries then, doubled each time; Retry-After where that is longer
PATIENCE, PATIENCE_NEW = 86_400.0, 600.0  # seconds that an endpoint may refuse every call; one that never took any
REST, REST_LEAST = 8, 100  # rounds (of as many replies as calls are in flight) and replies that must go well before one more is tried


class Pace:
    """The level (`limit`), how many are in flight, and the rules by which replies and refusals move the level.

    Every call is numbered when it starts; the number tells a refusal of an old burst from a new one.
    """

    def __init__(self, ceiling: int, clock: Callable[[], float]) -> None:
        self.ceiling, self.clock = ceiling, clock
        self.in_flight = self._number = 0
        self.paused_until = 0.0
        self._taken_ever = False
        self.restart()

    def restart(self, level: int = START) -> None:
        """Forget what was learnt: the endpoint was away."""
        self.limit = min(level, self.ceiling)
        self._doubling, self._wall = True, self.ceiling + 1
        self._before = 0  # the level before the last rise, while that rise is on trial; else 0
        self._step = 0  # of the last step beyond the wall; 0: resting
        self._burst = self._number  # the number of the newest call that was sent before the last burst of refusals was known
        self._taken = self._least = 0  # what the endpoint took when the last burst began, as far as its refusals have come; 0: that burst cut nothing
        self._refusals = 0.0  # of late: each fades with the replies that follow
        self._in_vain, self._vain_since = 0, 0.0  # bursts since the last reply, and when they began
        self._well = 0  # replies since the level last moved
        self._moved, self._was_full = self.clock(), False

    def free(self) -> bool:
        """Whether one more call may start now."""
        return self.in_flight < self.limit and self.clock() >= self.paused_until

    @property
    def refusing(self) -> bool:
        """Whether the endpoint takes no call at all: a quota is used up, or others fill it."""
        return self._in_vain >= VAIN

    @property
    def hopeless(self) -> bool:
        """Whether it has been so for longer than one waits."""
        return self.refusing and self.clock() - self._vain_since > (PATIENCE if self._taken_ever else PATIENCE_NEW)

    def start(self) -> int:
        """A call starts; its number."""
        self.in_flight += 1
        self._number += 1
        if self.in_flight >= self.limit:
            self._was_full = True
        return self._number

    def ended(self) -> None:
        """A call has come back, however."""
        self.in_flight -= 1

    def succeeded(self) -> None:
        """A call was answered."""
        if self.refusing:  # what it took before says nothing of what it takes now
            self.restart(AFRESH)
        self._well += 1
        self._in_vain, self._taken_ever = 0, True
        self._refusals = max(0.0, self._refusals - FADING)
        if self._before and not self._doubling and self._well >= self.limit:
            self._before = 0  # a whole round went well: the rise has passed its trial

    def refused(self, number: int, retry_after: float = 0.0) -> bool:
        """A call was refused for being one too many. True where that cut the level."""
        cut = False
        self._refusals = min(self._refusals + 1, 2 * STRAY)
        if number > self._burst:
            self._burst, self._taken = self._number, 0
            self._vain_since = self._vain_since if self._in_vain else self.clock()
            self._in_vain += 1
            if self._doubling or self._before or self._refusals > STRAY:
                cut = True
                self._cut()
        elif self._taken:
            self._take_less()
        if self._in_vain > 1:  # nothing went through between two bursts: fewer at once is no help, only time is
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self._in_vain - 2, 20))
            self.paused_until = max(self.paused_until, self.clock() + max(retry_after, pause))
        return cut

    def _cut(self) -> None:
        """Back to the level before a rise on trial; where there is none, the endpoint takes less than it did."""
        level = max(1, min(self.limit, self.in_flight))
        self.limit, self._wall = max(1, self._before if 0 < self._before < level else level * 3 // 4), level
        self._taken, self._least = self.in_flight, max(1, level // 8)
        self._doubling, self._before, self._step = False, 0, 0
        self._move()
        self._take_less()

    def _take_less(self) -> None:
        """Of the calls in flight when the burst began, those that are not refused are what the endpoint takes: one fewer now."""
        self._taken = max(self._least, self._taken - 1)
        self.limit = min(self.limit, self._taken)
        self._wall = min(self._wall, self._taken + 1)

    def tick(self) -> None:
        """Raise the level where it is time to. Called often; never lowers it."""
        if self.limit >= self.ceiling or not self._was_full or self.clock() - self._moved < DOUBLING:
            return
        if self._doubling:
            self._rise(self.limit)
        elif self.limit < self._wall - 1:
            self._rise(max(1, (self._wall - self.limit) // 4))
        elif self.clock() - self._moved >= TRIAL and self._well >= (self.limit if self._step else max(REST * self.limit, REST_LEAST)):
            self._step = 2 * self._step or 1
            self._wall = self.limit + self._step + 1
            self._rise(self._step)

    def _rise(self, by: int) -> None:
        self._before = self.limit
        self.limit = min(self.ceiling, self.limit + by)
        self._move()

    def _move(self) -> None:
        self._moved, self._well, self._was_full = self.clock(), 0, False
