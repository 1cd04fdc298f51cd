"""The terminal: how an answer looks in a pipe and on a terminal, and the chat loop."""

from __future__ import annotations

import asyncio
import io

import pytest
from rich.console import Console
from serve_help import QUOTE, make_service

from groundling.errors import ModelError
from groundling.records import Answer, Quote, Source
from groundling.serve.chat import chat, show
from groundling.serve.text import numbered

CITED = f"##begin_quote##{QUOTE}##end_quote## [0]\n<ANSWER>: 25 days"


def printed(answer: Answer, sources: list[Source], terminal: bool = False) -> str:
    out = io.StringIO()
    show(answer, sources, Console(file=out, width=60, force_terminal=terminal, color_system="standard" if terminal else None))
    return out.getvalue()


def source(number: int, **more) -> Source:
    return Source(number=number, chunk=f"c{number}", document="d", **{"title": "T", "page": None, "path": "a.md", **more})


def made(text: str = "25 days", **more) -> Answer:
    return Answer(**{"question": "q", "passages": [], "turns": [text], "text": text, "abstained": False, "quotes": [], "citations": [0], **more})


def test_plain_where_it_is_no_terminal():
    long = "word " * 40
    sources = [source(4, quote=f"{long}end", path="a.pdf", page=3), source(4, quote="again"), source(2)]
    assert printed(made(), sources) == f"25 days [1][2]\n  [1] T · a.pdf, page 3\n      “{long}end”\n      “again”\n  [2] T · a.md\n"


def test_styled_on_a_terminal():
    assert "\x1b[1m25 days [1]" in printed(made(), [source(0)], terminal=True)


def test_documents_do_not_steer_the_terminal():
    shown = printed(made("a\x1b[2Jb [red]c[/red]"), [source(0, title="t\x9b31m\r[bold]x")])
    assert "\x1b" not in shown and "\x9b" not in shown and "\r" not in shown
    assert "a[2Jb [red]c[/red]" in shown and "[bold]x" in shown


def test_warnings_are_printed():
    shown = printed(made(quotes=[Quote(text="made up", passage=0)], invalid=["9"]), [source(0)])
    assert "A quote does not stand in the passages" in shown and "not shown: 9" in shown
    assert "No source" in printed(made(citations=[]), []) and "No source" not in printed(made(abstained=True), [])
    assert "holds no answer" in printed(made(""), [])


def test_numbering_twice_changes_nothing():
    once = numbered([source(4), source(4), source(0)])
    assert [s.number for s in once] == [1, 1, 2] and numbered(once) == once


@pytest.mark.parametrize("end", ["", "exit\n"])
def test_the_chat_loop(monkeypatch, end):
    out = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"How much leave?\n\ndown\nWho won?\n{end}"))
    asyncio.run(chat(make_service({"leave": CITED, "down": ModelError("It is down.")}), Console(file=out, width=100)))
    shown = out.getvalue()
    assert "25 days [1]\n  [1] Leave › days · leave.pdf, page 1\n      “Staff have 25 days of leave a year.”\n" in shown
    assert shown.index("25 days") < shown.index("It is down.") < shown.index("Not in the documents.")
