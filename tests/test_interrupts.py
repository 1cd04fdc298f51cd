"""Ctrl-C on a real process while a real server is asked: once ends well, twice ends at once, and nothing stored is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import groundling
from groundling.llm import fake

from .commands.conftest import Teacher, project

SOURCE = str(Path(groundling.__file__).parents[1])
LONG = 300  # seconds; other work may share the machine


def start(docs: Path, *more: str) -> subprocess.Popen[str]:
    code, out = "from groundling.cli import main; main()", str(docs.parent / "run")
    command = [sys.executable, "-c", code, "run", str(docs), "--out", out, "--to", "synthesize", *more]
    environment = {**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=docs.parent)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def stored(docs: Path) -> int:
    """Replies in the journal."""
    path = docs.parent / "run" / "journal.sqlite"
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as db:
        try:
            return db.execute("SELECT count(*) FROM replies").fetchone()[0]
        except sqlite3.OperationalError:  # just being made
            return 0


@pytest.fixture
def slow(tmp_path: Path):
    with fake.running("--latency", "1.0") as url:
        yield Teacher(url), project(tmp_path, url, "seed: 7\n")


def test_once_waits_for_what_is_in_flight_stores_it_and_goes_on_from_there(slow: tuple[Teacher, Path]) -> None:
    teacher, docs = slow
    process = start(docs)
    until(lambda: teacher.stats()["answered"] > 0 and teacher.stats()["in_flight"] > 4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 130 and "Traceback" not in err
    assert "waiting for the calls that are in flight" in err and "the same command goes on from here" in err
    served = teacher.stats()
    assert served["statuses"] == {"200": served["answered"]}, "no call was broken off"
    assert stored(docs) == served["answered"], "every reply that was paid for is stored"
    assert not (docs.parent / "run" / "4-examples").exists(), "half an output is none"

    again = start(docs)
    out, err = again.communicate(timeout=LONG)
    assert again.returncode == 0, err
    after = teacher.stats()
    assert after["answered_again"] == 0 and after["answered"] > served["answered"] and stored(docs) == after["answered"]


@pytest.fixture
def hanging(tmp_path: Path):
    """A teacher that never answers one call in five, and a project that would wait for such a call longer than a test does."""
    with fake.running("--latency", "0.2", "--set", "wire.hang=0.2") as url:
        yield Teacher(url), project(tmp_path, url, prices=f"price_in: 2, price_out: 8, timeout: {10 * LONG}")


def test_twice_leaves_at_once_and_loses_nothing_stored(hanging: tuple[Teacher, Path]) -> None:
    teacher, docs = hanging
    process = start(docs)
    until(lambda: stored(docs) > 0 and teacher.stats()["in_flight"] > 4)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "Stopping" in process.stderr.readline() + process.stderr.readline()
    kept, flying = stored(docs), teacher.stats()["in_flight"]
    assert process.poll() is None and flying > 0, "it waits for calls that hang"
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert process.returncode == 130 and stored(docs) >= kept > 0
    for stream in (process.stdout, process.stderr):
        stream.close()

    again = start(docs, "--set", "models.t.timeout=5")
    _, err = again.communicate(timeout=LONG)
    assert again.returncode == 0, err
    assert teacher.stats()["answered_again"] <= flying, "only what was in flight is asked again"


@pytest.fixture
def batching(tmp_path: Path):
    with fake.running("--set", "batch.seconds=4") as url:
        yield Teacher(url), project(tmp_path, url, "seed: 7\n", prices="batch: true, price_in: 2, price_out: 8")


def test_in_batch_mode_it_waits_for_nothing_says_so_and_fetches_later(batching: tuple[Teacher, Path]) -> None:
    teacher, docs = batching
    process = start(docs)
    until(lambda: teacher.batches() > 0)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    first = next(line for line in process.stderr if "Stopping" in line)
    assert first == "Stopping: no batch is waited for. Ctrl-C again leaves at once.\n"
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 130 and "Traceback" not in err and "in flight" not in err
    assert "requests are in batches at t. The same command later fetches their replies." in out + err
    assert teacher.stats()["answered"] == 0, "it did not stay until the batch was done"

    again = start(docs)
    _, err = again.communicate(timeout=LONG)
    assert again.returncode == 0, err
    after = teacher.stats()
    assert after["answered_again"] == 0 and stored(docs) == after["answered"] > 0
