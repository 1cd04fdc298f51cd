"""Asking in the terminal, and how an answer with its citations looks there."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import UserError
from ..records import Answer, Source
from .service import Service, ask
from .text import numbered, place, shown, warnings

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _clean(text: str) -> str:
    """Text without control characters: a document must not steer the terminal."""
    return _CONTROL.sub("", text)


def show(answer: Answer, sources: Sequence[Source], console: Console, finish: str = "stop") -> None:
    """Print an answer, its numbered sources and their quotes; plain lines where the console is not a terminal."""
    from rich.padding import Padding
    from rich.text import Text

    def line(text: str, style: str = "", indent: int = 0) -> None:
        if console.is_terminal:
            console.print(Padding(Text(_clean(text), style=style), (0, 0, 0, indent)))
        else:
            console.print(Text(" " * indent + _clean(text)), soft_wrap=True)

    sources = numbered(sources)
    line(shown(answer, sources), "italic yellow" if answer.abstained else "bold")
    last = None
    for source in sources:
        if source.number != last:
            line(" · ".join(part for part in (f"[{source.number}] {source.title}".strip(), place(source)) if part), "cyan", 2)
            last = source.number
        if source.quote:
            line(f"“{' '.join(source.quote.split())}”", "dim", 6)
    for warning in warnings(answer, sources, finish):
        line(warning, "yellow", 2)


def _question(console: Console) -> str | None:
    """A line from the person; None where they leave (Ctrl-D, Ctrl-C)."""
    in_main = threading.current_thread() is threading.main_thread()
    # asyncio turns the first Ctrl-C into a cancellation that a waiting input() never sees
    before = signal.signal(signal.SIGINT, signal.default_int_handler) if in_main else None
    try:
        return console.input("[bold green]?[/] " if console.is_terminal else "")
    except (EOFError, KeyboardInterrupt):
        return None
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)


async def chat(service: Service, console: Console | None = None) -> None:
    """Questions and answers in the terminal until Ctrl-D, Ctrl-C or `exit`. Each question is answered on its own."""
    from rich.console import Console

    console = console or Console(highlight=False)
    if console.is_terminal:
        hint = f"{service.name}: {len(service.chunks):,} passages. Each question stands on its own. Ctrl-D leaves."
        console.print(hint, markup=False, style="dim")
    while (question := _question(console)) is not None and question.strip().lower() not in ("exit", "quit"):
        if not question.strip():
            continue
        try:
            with console.status("Reading the documents …"):
                told = await ask(service, question.strip())
        except UserError as error:
            console.print(_clean(str(error)), style="red", markup=False)
            continue
        show(told.answer, told.sources, console, told.finish)
        console.print()
