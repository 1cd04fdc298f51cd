"""The requests that wait for a batch: gathered until no new one comes for a while, so that many callers' calls become few batches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from .base import Reply, Request
from .batchwire import MAX_LINES, Line
from .budget import Cost

WINDOW = 2.0  # seconds without a new request after which those that wait are handed on
_LOOK = 0.25  # seconds between looks


class Waiting:
    """A request that somebody waits for. `rounds` counts the batches that brought no reply, `held` is what was set aside for it."""

    def __init__(self, key: str, request: Request, line: Line) -> None:
        self.key, self.request, self.line, self.rounds, self.held = key, request, line, 0, Cost()
        self.future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()


class Queue:
    """Gathers, then calls `submit` with all that wait; it takes so many from the first on. `broken` hears of those whose submission failed."""

    def __init__(self, submit: Callable[[list[Waiting]], Awaitable[int]], broken: Callable[[Iterable[str], BaseException], None]) -> None:
        self.window = WINDOW
        self._submit, self._broken = submit, broken
        self._waiting: dict[str, Waiting] = {}
        self._gathering: asyncio.Task[None] | None = None
        self._last = 0.0

    def add(self, one: Waiting) -> None:
        self._waiting[one.key] = one
        self._last = time.monotonic()
        if self._gathering is None:
            self._gathering = asyncio.ensure_future(self._gather())
            self._gathering.add_done_callback(lambda task: task.cancelled() or task.exception())  # read: `broken` has told it

    def __len__(self) -> int:
        return len(self._waiting)

    def clear(self) -> None:
        """Hand nothing on any more."""
        self._waiting.clear()
        if self._gathering:
            self._gathering.cancel()

    async def _gather(self) -> None:
        try:
            while self._waiting:
                wait = self._last + self.window - time.monotonic()
                if wait > 0 and len(self._waiting) < MAX_LINES:
                    await asyncio.sleep(min(wait, _LOOK))
                    continue
                some = list(self._waiting.values())
                taken = await self._submit(some)
                for one in some[:taken]:
                    self._waiting.pop(one.key, None)
                if not taken:
                    await asyncio.sleep(_LOOK)  # the budget has room again when a batch has come back
        except Exception as error:
            keys = list(self._waiting)
            self._waiting.clear()
            self._broken(keys, error)
            raise
        finally:
            self._gathering = None
