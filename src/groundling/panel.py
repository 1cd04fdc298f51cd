"""Progress in the terminal: a live panel, or a plain line every ten seconds where the output is no terminal. Any stage may show one.

A stage hands over a function that tells its `View` at this moment. It is asked at most four times a second, from a thread of its own, so
a stage that computes without a pause shows progress too.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

if TYPE_CHECKING:
    from rich.console import RenderableType

LINE_EVERY = 10.0  # seconds between plain lines
REFRESH = 4  # times a second at most
SETTLED = 0.1  # share of the work (or 50 things) that is done before a time left is told
WINDOW = 30.0  # seconds that rates are taken over
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class View(NamedTuple):
    """A stage at one moment: `done` of `total` `what` (total 0: not known).

    `counts` are numbers beside it, `rates` counters shown a second, `facts` words. `notice` is what it waits for, or nothing. Where it is
    not `steady` (results come in heaps), no time left is told: it would be made up.
    """

    title: str
    what: str
    done: int
    total: int
    counts: Mapping[str, int] = {}
    rates: Mapping[str, float] = {}
    facts: Mapping[str, str] = {}
    notice: str = ""
    steady: bool = True


Watch = Callable[[Callable[[], View]], AbstractContextManager[None]]


@contextmanager
def unwatched(view: Callable[[], View]) -> Iterator[None]:
    """No panel: the default of a run that is not started from the command line."""
    yield


class Rates:
    """Rates over the last half minute, from counters seen now and then."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, dict[str, float]]] = deque()

    def see(self, counters: Mapping[str, float]) -> dict[str, float]:
        """Each counter's growth a second over the window; nothing for one that is seen for the first time."""
        now = self._clock()
        self._seen.append((now, dict(counters)))
        while len(self._seen) > 2 and now - self._seen[1][0] > WINDOW:
            self._seen.popleft()
        then, before = self._seen[0]
        return {name: (value - before.get(name, 0.0)) / (now - then) for name, value in counters.items()} if now - then > 0.2 else {}


class Told(NamedTuple):
    """A view with what only time tells: rates a second, and seconds left (None: not known)."""

    view: View
    rates: dict[str, float]
    left: float | None


class Teller:
    """Turns views into what is shown."""

    def __init__(self, view: Callable[[], View], clock: Callable[[], float] = time.monotonic) -> None:
        self._view, self._rates = view, Rates(clock)

    def tell(self) -> Told:
        view = self._view()
        rates = self._rates.see({"": view.done, **view.rates})
        speed = rates.pop("", 0.0)
        known = view.steady and view.done >= min(SETTLED * view.total, 50)  # many things begun and few ended: the first few tell too long a time
        left = (view.total - view.done) / speed if known and speed > 0 and view.total > view.done else None
        return Told(view, rates, left)


def words(told: Told) -> list[str]:
    """What is shown beside the bar, as short pieces in their order."""
    view = told.view
    found = [f"{count:,} {name}" for name, count in view.counts.items()]
    found += [f"{rate:,.1f} {name}/s" for name, rate in told.rates.items()]
    found += [f"{name} {text}" if name else text for name, text in view.facts.items()]
    return found


def line(told: Told) -> str:
    """One plain line, without a control character."""
    view = told.view
    done = f"{view.done:,} of {view.total:,} {view.what}" if view.total else f"{view.done:,} {view.what}"
    parts = [done, *words(told), *([f"about {span(told.left)} left"] if told.left is not None else []), *([view.notice] if view.notice else [])]
    return _CONTROL.sub(" ", f"  {view.title}: " + ", ".join(parts))


def span(seconds: float) -> str:
    """A time as a person says it: `40 s`, `12 min`, `3 h 05 min`, `2 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.05 or seconds == 0 else "under 0.1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"


def drawn(told: Told, width: int) -> RenderableType:
    """The panel: a bar, the counts under it, and the notice."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    view = told.view
    top = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=view.total or None, completed=view.done, width=max(10, min(40, width // 3)), pulse=not view.total)
    share = f"{view.done:,} of {view.total:,} {view.what}" if view.total else f"{view.done:,} {view.what}"
    left = f"about {span(told.left)} left" if told.left is not None else ""
    top.add_row(Text(f"  {view.title}", "bold"), bar, Text(share), Text(left, "cyan"))
    rows: list[RenderableType] = [top]
    rows += [Text(text, "dim") for text in _wrapped(words(told), width)]
    if view.notice:
        rows.append(Text(_CONTROL.sub(" ", "    " + view.notice), "yellow"))
    return Group(*rows)


def _wrapped(pieces: Sequence[str], width: int) -> list[str]:
    """Lines of pieces, broken between pieces only."""
    lines: list[str] = []
    for piece in (_CONTROL.sub(" ", p) for p in pieces):
        if lines and len(lines[-1]) + 3 + len(piece) < width:
            lines[-1] += f" · {piece}"
        else:
            lines.append(f"    {piece}")
    return lines


def is_terminal(stream: TextIO) -> bool:
    """Whether a panel may be drawn there: a terminal that moves its cursor."""
    import os

    return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


@contextmanager
def watch(view: Callable[[], View], stream: TextIO | None = None, every: float = LINE_EVERY) -> Iterator[None]:
    """Show a view while the body runs. On a terminal the panel goes when the body ends: the stage's own last line says how it went."""
    stream = stream or sys.stdout
    shown = _live(view, stream) if is_terminal(stream) else _lines(view, stream, every)
    with shown:
        yield


@contextmanager
def _live(view: Callable[[], View], stream: TextIO) -> Iterator[None]:
    from rich.console import Console
    from rich.live import Live

    console, teller = Console(file=stream), Teller(view)

    def now() -> RenderableType:
        return drawn(teller.tell(), console.width)

    with Live(get_renderable=now, console=console, refresh_per_second=REFRESH, transient=True):
        yield


@contextmanager
def _lines(view: Callable[[], View], stream: TextIO, every: float) -> Iterator[None]:
    teller = Teller(view)
    teller.tell()  # the rates count from here
    with beside(every, lambda: print(line(teller.tell()), file=stream, flush=True)):
        yield


@contextmanager
def beside(every: float, act: Callable[[], None]) -> Iterator[None]:
    """Do something every so many seconds while the body runs, in a thread of its own. It is not done again once the body has ended."""
    over = threading.Event()

    def go() -> None:
        while not over.wait(every):
            act()

    thread = threading.Thread(target=go, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def show_cursor(stream: Any = None) -> None:
    """Give a terminal its cursor back, for who leaves at once while a panel is shown."""
    stream = stream or sys.stdout
    if is_terminal(stream):
        stream.write("\x1b[?25h\n")
        stream.flush()
