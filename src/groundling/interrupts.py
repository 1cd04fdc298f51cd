"""Ctrl-C while a model is asked: once finishes what is in flight and saves, twice leaves at once. Nothing that is stored is lost either way."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from .errors import Interrupted
from .panel import show_cursor

EXIT_CODE = 130
WAITING = "waiting for the calls that are in flight"  # what a stop does, for whom is asked call by call
T = TypeVar("T")


class Stop:
    """Whether the person has asked to stop. `told` are called when they do, in the signal's handler: they must only set something."""

    def __init__(self) -> None:
        self.asked = False
        self.told: list[Callable[[], None]] = []

    def ask(self) -> None:
        """No new call from now on."""
        self.asked = True
        for tell in self.told:
            tell()

    def check(self) -> None:
        """Raise Interrupted where it was asked."""
        if self.asked:
            raise Interrupted("Interrupted. Every reply that came is stored; the same command goes on from here.")


@contextmanager
def stoppable(doing: str = WAITING) -> Iterator[Stop]:
    """A Stop that the first Ctrl-C sets, saying what is done then; the second ends the process with code 130.

    Outside the main thread no signal arrives.
    """
    stop = Stop()
    said = f"\nStopping: {doing}. Ctrl-C again leaves at once.\n".encode()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def interrupted(number: int, frame: object) -> None:
        if stop.asked:
            show_cursor()
            # Nothing is waited for: replies are stored before they are used, and SQLite's last transaction is whole.
            os._exit(EXIT_CODE)
        os.write(sys.stderr.fileno(), said)
        stop.ask()

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


async def until_stopped(work: Coroutine[Any, Any, T], stop: Stop) -> T:
    """What `work` returns. A stop cancels it once: what it does to end well (waiting for calls in flight, storing) it still does.

    Raises Interrupted then.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    stop.told.append(lambda: loop.call_soon_threadsafe(task.cancel))
    try:
        return await task
    except asyncio.CancelledError:
        stop.check()
        raise
    finally:
        stop.told.clear()
