"""The gate before an endpoint: a call goes through when pace, breaker and limits all allow it, in the order of asking."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from ..errors import Interrupted
from ..panel import span
from .breaker import Breaker
from .limits import Limits, Taken
from .meter import Meter
from .pace import Pace

_TICK = 0.05  # seconds between looks at what time alone allows


class Stopped(Interrupted):
    """The run is ending: this call is not sent any more."""

    def __init__(self) -> None:
        super().__init__("Stopped. Every reply that came is stored; the same command goes on from here.")


class Call:
    """One call on its way. `number` orders the starts, `taken` is what it took of the limits."""

    __slots__ = ("number", "taken")

    def __init__(self, number: int, taken: Taken | None) -> None:
        self.number, self.taken = number, taken


class Gate:
    """Lets calls through. What becomes of each is told to `pace` and `breaker` by who sent it; then it leaves."""

    def __init__(self, pace: Pace, breaker: Breaker, limits: Limits, meter: Meter) -> None:
        self.pace, self.breaker, self.limits, self.meter = pace, breaker, limits, meter
        self.stopping = False
        self._waiting: deque[tuple[asyncio.Future[Call], float]] = deque()
        self._sleeping: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def enter(self, tokens: float, again: bool) -> Call:
        """Wait for leave to send a call of about so many tokens; one that is sent again goes first. Raises Stopped."""
        self._loop = asyncio.get_running_loop()
        if self.stopping:
            raise Stopped()
        if not self._waiting and self._allowed(tokens):
            return self._start(tokens)
        future = self._loop.create_future()
        entry = (future, tokens)
        if again:
            self._waiting.appendleft(entry)
        else:
            self._waiting.append(entry)
        self._look()
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception():  # let through and cancelled in the same moment
                self.leave(future.result(), 0)
            raise

    def leave(self, call: Call, tokens: float) -> None:
        """The call is over and cost `tokens`."""
        self.pace.ended()
        self.breaker.gone(call.number)
        if call.taken:
            self.limits.settle(call.taken, tokens)
        self.meter.in_flight = self.pace.in_flight
        self._look()

    async def sleep(self, seconds: float) -> None:
        """Wait before a call is sent again. Raises Stopped as soon as the run is to end."""
        if self.stopping:
            raise Stopped()
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._sleeping.add(future)
        self.meter.notice = self._notice()
        timer = loop.call_later(seconds, lambda: future.done() or future.set_result(None))
        try:
            await future
        finally:
            timer.cancel()
            self._sleeping.discard(future)
            self.meter.notice = self._notice()

    def stop(self) -> None:
        """Let no more calls through; those in flight end on their own. May be called from a signal's handler."""
        self.stopping = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._turn_away)

    def _turn_away(self) -> None:
        for future in [*(f for f, _ in self._waiting), *self._sleeping]:
            if not future.done():
                future.set_exception(Stopped())
        self._waiting.clear()

    def _allowed(self, tokens: float) -> bool:
        return self.pace.free() and self.breaker.allows() and (not self.limits.any or self.limits.wait(tokens) == 0)

    def _start(self, tokens: float) -> Call:
        number = self.pace.start()
        self.breaker.sent(number)
        self.meter.in_flight, self.meter.limit = self.pace.in_flight, self.pace.limit
        return Call(number, self.limits.take(tokens) if self.limits.any else None)

    def _look(self) -> None:
        """Let through whatever may go now; while anybody waits, look again a little later."""
        self.pace.tick()
        while self._waiting:
            future, tokens = self._waiting[0]
            if future.done():  # its caller was cancelled
                self._waiting.popleft()
            elif self._allowed(tokens):
                self._waiting.popleft()
                future.set_result(self._start(tokens))
            else:
                break
        self.meter.notice = self._notice()
        if self._waiting and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TICK, self._again)

    def _again(self) -> None:
        self._timer = None
        self._look()

    def _notice(self) -> str:
        if self.breaker.open:
            return f"the endpoint is down; next try in {span(self.breaker.seconds_left)}"
        if self._waiting and self.limits.any and (wait := self.limits.wait(self._waiting[0][1])) >= 1:
            return f"at the limit of requests or tokens; {span(wait)} to wait"
        left = self.pace.paused_until - self.pace.clock()
        if self.pace.refusing:
            return f"the endpoint refuses every call; next try in {span(max(0.0, left))}"
        if left > 0:
            return f"the endpoint asked to wait; {span(left)} left"
        count = len(self._sleeping) if not self.pace.in_flight else 0
        return f"{count:,} {'call' if count == 1 else 'calls'} that broke or were refused wait to be sent again" if count else ""


def gate(limits: tuple[int, int, int], ceiling: int, meter: Meter, clock: Callable[[], float] = time.monotonic) -> Gate:
    """A gate with its parts. `limits`: requests a minute, tokens a minute, tokens a day; 0 for none."""
    return Gate(Pace(ceiling, clock), Breaker(clock), Limits(*limits, clock), meter)
