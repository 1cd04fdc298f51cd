"""The panel: a live one on a terminal, plain lines elsewhere, and never a control character in those."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import time

import pytest

from groundling import panel
from groundling.panel import Rates, Teller, Told, View, beside, line, span, watch


def view(done: int = 30) -> View:
    return View("synthesize", "chunks", done, 120, {"kept": 80, "failed": 1}, {"calls": done * 4.0}, {"tokens": "1,000 in", "": "90 calls"}, "")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_rates_are_those_of_the_last_half_minute() -> None:
    clock = Clock()
    rates = Rates(clock)
    assert rates.see({"calls": 1000}) == {}, "what came from a journal at once is no rate"
    for second in range(1, 61):
        clock.now = second
        told = rates.see({"calls": 1000 + (10 * second if second <= 20 else 200 + 2 * (second - 20))})
    assert told == {"calls": pytest.approx(2.0, abs=0.1)}, "the first twenty seconds are forgotten"


def test_the_time_left_comes_from_the_rate() -> None:
    clock, done = Clock(), [0]
    teller = Teller(lambda: view(done[0]), clock)
    assert teller.tell().left is None, "nothing is known at the start"
    clock.now, done[0] = 4.0, 3
    assert teller.tell().left is None, "three of 120 tell nothing"
    clock.now, done[0] = 10.0, 30
    assert teller.tell().left == pytest.approx(30.0)
    done[0] = 120
    assert teller.tell().left is None, "nothing is left"


def test_a_line_tells_everything_and_has_no_control_character() -> None:
    told = Told(view()._replace(notice="the endpoint\x1b[2J is\ndown"), {"calls": 12.3}, 75.0)
    text = line(told)
    assert text.startswith("  synthesize: 30 of 120 chunks, 80 kept, 1 failed, 12.3 calls/s")
    assert "about 75 s left" in text and "90 calls" in text and "tokens 1,000 in" in text
    assert all(c.isprintable() for c in text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0.0 s"), (0.01, "under 0.1 s"), (7.25, "7.2 s"), (95, "95 s"), (600, "10 min"), (9000, "2 h 30 min"), (200_000, "2 d 7 h")],
)
def test_a_time_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_where_there_is_no_terminal_lines_come_now_and_then() -> None:
    stream, done = io.StringIO(), [0]
    with watch(lambda: view(done[0]), stream, every=0.05):
        for _ in range(5):
            done[0] += 10
            time.sleep(0.05)
    lines = stream.getvalue().splitlines()
    assert 2 <= len(lines) <= 6 and all(text.isprintable() for text in lines)
    assert lines[0] != lines[-1] and "of 120 chunks" in lines[0]
    after = len(stream.getvalue())
    time.sleep(0.12)
    assert len(stream.getvalue()) == after, "no line after the end"


def test_a_short_stage_prints_no_line() -> None:
    stream = io.StringIO()
    with watch(view, stream):
        pass
    assert stream.getvalue() == ""


def test_a_view_is_asked_no_more_than_needed() -> None:
    asked = []
    with watch(lambda: asked.append(1) or view(), io.StringIO(), every=0.1):
        time.sleep(0.35)
    assert len(asked) <= 5


CODE = """
import time
from groundling.panel import View, watch
n = [0]
def view():
    n[0] += 1
    return View("synthesize", "chunks", 30 + n[0], 120, {"kept": 80}, {"calls": 10.0 * n[0]}, {"tokens": "1,000 in"}, "waits")
with watch(view):
    time.sleep(1.1)
print("END", n[0])
"""


def on_a_terminal(code: str, term: str) -> str:
    """What a program writes to a pseudo-terminal."""
    master, slave = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", code], stdout=slave, stderr=slave, env={**os.environ, "TERM": term, "COLUMNS": "100"})
    os.close(slave)
    found = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        found += piece
    process.wait(20)
    os.close(master)
    return found.decode()


def test_a_terminal_has_a_panel_that_goes_away_in_the_end() -> None:
    told = on_a_terminal(CODE, "xterm")
    assert "\x1b[" in told and "━" in told and "80 kept" in told and "waits" in told
    assert "\x1b[?25h" in told, "the cursor comes back"
    shown = int(told.split("END")[1].split()[0])
    assert 3 <= shown <= 1.1 * panel.REFRESH + 4, "four times a second at most"


def test_a_dumb_terminal_gets_lines_without_a_control_character() -> None:
    told = on_a_terminal(CODE.replace("watch(view)", "watch(view, every=0.3)"), "dumb")
    assert "\x1b" not in told and 2 <= told.count("of 120 chunks, 80 kept") <= 4


def test_what_is_done_beside_a_body_goes_on_until_that_ends_and_not_longer() -> None:
    done: list[float] = []
    with pytest.raises(KeyError), beside(0.01, lambda: done.append(0)):
        until = time.monotonic() + 10
        while len(done) < 3 and time.monotonic() < until:
            time.sleep(0.005)
        raise KeyError
    count = len(done)
    time.sleep(0.05)
    assert 3 <= len(done) == count
