"""The same in a provider's batch mode: `make torture` does this too.

    python -m tests.llm.torture_batch --kills 50

Kills fall while files are uploaded, batches made, looked at, fetched and stored: each waits for a random number of writes to the run's record of batches,
then a random moment longer. Every call of the batch API may break, lines fail, a batch expires, and the provider's queue is too short for all requests
of a round. Shown: no request is answered twice (what a lost answer to "make a batch" could have cost, too), nothing stored is lost, every row is
accounted for, and the files are those of an undisturbed run that asked call by call.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .torture import CALM, WIRE, Log, check, from_terminal, lines, prepared, stored, teacher

# A hang lasts as long as the client waits: 3 s. The queue (below) holds fewer than a round's prompts, so batches are turned away.
STORM = {
    **CALM, "wire": dict.fromkeys(WIRE, 0.05) | {"hang": 0.02, "no_choices": 0, "duplicate": 0.02}, "slow_seconds": 0.3,
    "batch": {"seconds": 0.5, "failed_lines": 0.05, "expire_after": 0.7, "expiries": 2},
}  # fmt: skip
# What a run waits for between steps, shortened: hours of a real provider in seconds. Nothing else is changed.
START = """
from groundling.llm import batch, batchhttp, batchqueue, batchroom
batchqueue.WINDOW, batch.POLL, batchhttp._WAITS, batchroom.WAITS = 0.3, (0.05, 0.3), (0.05, 0.5), (0.1, 0.5)
from groundling.cli import main
main()
"""


def start(project: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", START, "run", str(project), "--out", str(out), "--to", "curate", "--set", "models.fake.batch=true"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def there(out: Path) -> set[str]:
    """The keys of the replies that are stored: in the journal, or among what batches brought."""
    found, path = stored(out), out / "batches.sqlite"
    if path.exists():
        with contextlib.closing(sqlite3.connect(path)) as db, contextlib.suppress(sqlite3.OperationalError):
            found |= {key for (key,) in db.execute("SELECT key FROM results")}
    return found


def written(out: Path) -> tuple[int, int]:
    """Changes with every write to the record of batches."""
    with contextlib.suppress(FileNotFoundError):
        told = (out / "batches.sqlite-wal").stat()
        return told.st_mtime_ns, told.st_size
    return 0, 0


def killed(process: subprocess.Popen[str], out: Path, r: random.Random, work: float) -> str:
    """SIGKILL after some writes and a random time; the state of the batches then, or nothing where the run ended first."""
    for _ in range(r.randint(1, 8)):
        before = written(out)
        while process.poll() is None and written(out) == before:
            time.sleep(0.001)
    end = time.monotonic() + r.choice([0.0, r.uniform(0, 0.03), r.uniform(0, work)])
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.001)
    if process.poll() is not None:
        return ""
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with contextlib.closing(sqlite3.connect(out / "batches.sqlite")) as db:
        try:
            rows = db.execute("SELECT file, id FROM batches").fetchall()
        except sqlite3.OperationalError:
            return "before the first"
    return "polling" if any(id for _, id in rows) else "making" if any(file for file, _ in rows) else "uploading" if rows else "between"


def one_round(project: Path, out: Path, log: Log, known: dict[str, str], r: random.Random, most: int, work: float) -> tuple[Counter[str], int]:
    """Kill and go on until the run ends; where the kills fell, and how many requests were answered."""
    kills, before = Counter[str](), set[str]()
    answered = Counter[str]()
    while True:
        process = start(project, out)
        where = killed(process, out, r, work) if kills.total() < most else ""
        if not where:
            text = process.communicate()[0]
            assert process.returncode == 0, text
        new = [row["call"] for row in log.new() if row["status"] == 200]
        assert not {known[key] for key in before} & set(new), "a stored reply was asked for again"
        answered.update(new)
        if not where:
            break
        kills[where] += 1
        now = there(out)
        assert before <= now, "stored replies are gone"
        before = now
    twice = [call for call, count in answered.items() if count > 1]
    assert not twice, f"{len(twice)} requests were answered, and paid for, twice"
    assert set(answered) == set(known.values()), "every request was answered"
    return kills, len(answered)


def torture(folder: Path, kills: int, units: int, seed: int, say: Any = print, work: float = 1.0) -> dict[str, Any]:
    """So many kills in as many rounds as they take; what was seen."""
    r = random.Random(seed)
    project, port, known = prepared(folder, units, r)
    plain, seen, rounds = lines(folder / "plain"), Counter[str](), 0
    say(f"undisturbed: {len(known)} different calls, {plain['data'].count(10)} examples kept")
    while seen.total() < kills:
        script = STORM | {"batch": {**STORM["batch"], "queue_tokens": 60 * units, "queue_full": r.choice(["failed", "refused"])}}
        with teacher(port, folder, f"storm{rounds}", script) as path:
            out = folder / f"run{rounds}"
            new, answered = one_round(project, out, Log(path), known, r, kills - seen.total(), work)
            counts = check(out, plain)
        seen, rounds = seen + new, rounds + 1
        say(f"round {rounds}: {seen.total()} kills so far, {dict(seen)}; {answered} requests answered, each once; counts {counts}")
    return {"kills": seen.total(), "where": dict(seen), "rounds": rounds, "calls": len(known), "counts": counts}


if __name__ == "__main__":
    from_terminal(__doc__, torture, 50, 200, "no request was answered twice")
