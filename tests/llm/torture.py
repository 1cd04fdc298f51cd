"""Kill the run at random moments, under every fault of the wire at once, and go on: `make torture`.

    python -m tests.llm.torture --kills 100           (`torture_batch` does the same in batch mode)

A round starts `groundling run … --to curate` on a project whose teacher is the fake endpoint, kills it (SIGKILL) at a random moment, starts it
again, and so on until it ends by itself; rounds follow until so many kills are done. After each kill the journal tells which replies are stored.
Shown at the end of each round:

* no stored reply was asked for again: the server logs every request's hash, and what each journal key asks is known from the undisturbed run;
* every row is accounted for once: kept + dropped + failed = asked, and the lines of the three files are as many;
* the three files of the stage are, byte for byte, those of an undisturbed run against an endpoint without faults.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import yaml

from groundling import pipeline
from groundling.llm import api, completions
from groundling.llm.base import call_key
from groundling.llm.fake.content import Call, name_of
from groundling.runs import open_run

FILES = ("data", "dropped", "failed")
WIRE = dict.fromkeys(("server_error", "reset", "cut_body", "short_body", "html", "invalid_json", "no_choices", "duplicate", "refused"), 0.02)
WIRE |= {"hang": 0.01, "slow_body": 0.02}
CONTENT = {"wrong_schema": 0.02, "broken": 0.02, "fenced": 0.03, "cut": 0.01, "empty": 0.01, "twice": 0.02}
CALM = {"content": CONTENT, "seed": 5}  # what the model says wrong belongs to its replies, so an undisturbed run meets it too
STORM = {**CALM, "wire": WIRE, "latency": 0.05, "spread": 0.5, "capacity": 24, "retry_after": 0.2, "slow_seconds": 0.4, "faulty_attempts": 4}


def documents(folder: Path, count: int, r: random.Random) -> None:
    """Small manuals, each of one chunk, with numbers to ask about."""
    folder.mkdir(parents=True)
    for n in range(count):
        place, thing = r.choice(["Turku", "Oulu", "Espoo", "Lahti", "Pori"]), r.choice(["kettle", "scale", "ladder", "heater", "gateway"])
        (folder / f"{n:05}.md").write_text(
            f"# Manual {n}\n\nThe {thing} number {n} of {place} weighs {r.randint(2, 90)} kg. Its battery lasts {r.randint(3, 60)} months. "
            f"Repairs are done within {r.randint(2, 40)} working days. The warranty costs {r.randint(10, 900)} EUR.\n"
        )


@contextlib.contextmanager
def teacher(port: int, folder: Path, name: str, script: dict[str, Any]) -> Iterator[Path]:
    """The fake endpoint as a process of its own; gives its log."""
    file, log = folder / f"{name}.yaml", folder / f"{name}.log"
    file.write_text(yaml.safe_dump(script | {"log": str(log)}))
    command = [sys.executable, "-m", "groundling.llm.fake", "--port", str(port), "--script", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline().startswith("Fake teacher on"), "the fake teacher did not start"
        try:
            yield log
        finally:
            process.terminate()
            process.wait(20)


def undisturbed(project: Path, out: Path) -> dict[str, str]:
    """Run without kills or faults; the hash by which the server knows the request of each journal key."""
    known: dict[str, str] = {}
    original = api.Api.reply

    async def noted(self: api.Api, request: Any) -> Any:
        sent = completions.body(request, self.endpoint, native=True)
        known[call_key(self.fingerprint, request)] = name_of(msgspec.json.decode(sent.data, type=Call))
        return await original(self, request)

    api.Api.reply = noted  # type: ignore[method-assign]
    try:
        pipeline.run_stages(open_run(project, out, [], lambda text: None), last="curate")
    finally:
        api.Api.reply = original  # type: ignore[method-assign]
    return known


def start(project: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from groundling.cli import main; main()", "run", str(project), "--out", str(out), "--to", "curate"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def stored(out: Path) -> set[str]:
    """The keys of the replies in the journal; read as any reader would, beside whoever writes."""
    path = out / "journal.sqlite"
    if not path.exists():
        return set()
    db = sqlite3.connect(path)
    try:
        return {key for (key,) in db.execute("SELECT key FROM replies")}
    except sqlite3.OperationalError:  # killed before the table was made
        return set()
    finally:
        db.close()


class Log:
    """The server's log, read on from where it was last read."""

    def __init__(self, path: Path) -> None:
        self.path, self._at = path, 0

    def new(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as handle:
            handle.seek(self._at)
            data = handle.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def grown(self) -> bool:
        return self.path.exists() and self.path.stat().st_size > self._at


def killed(process: subprocess.Popen[str], log: Log, r: random.Random, work: float) -> bool:
    """SIGKILL at a random moment: in one of five cases anywhere from the start, else up to `work` seconds after the first call. False: it ended."""
    if r.random() < 0.2:
        end = time.monotonic() + r.uniform(0, 2.0)
    else:
        while process.poll() is None and not log.grown():
            time.sleep(0.005)
        end = time.monotonic() + r.uniform(0, work)
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return True


def quiet(project: Path) -> None:
    """Wait until the server has noticed that its client is gone, and has logged the calls that were in flight."""
    url = yaml.safe_load((project / "groundling.yaml").read_text())["models"]["fake"]["base_url"]
    for _ in range(1000):
        with urllib.request.urlopen(f"{url}/stats") as answer:
            if json.load(answer)["in_flight"] == 0:
                return
        time.sleep(0.02)
    raise AssertionError("the server still waits for a client that is gone")


def lines(out: Path) -> dict[str, bytes]:
    return {name: (out / "4-examples" / f"{name}.jsonl").read_bytes() for name in FILES}


def one_round(project: Path, out: Path, log: Log, known: dict[str, str], r: random.Random, most: int, work: float) -> int:
    """Kill and go on until the run ends by itself, or `most` kills are done and it is let alone; the kills."""
    kills, before = 0, set[str]()
    while True:
        process = start(project, out)
        was_killed = kills < most and killed(process, log, r, work)
        if not was_killed:
            text = process.communicate()[0]
            assert process.returncode == 0, text
        quiet(project)
        asked = {row["call"] for row in log.new()}
        again = [key for key in before if known[key] in asked]
        assert not again, f"{len(again)} stored replies were asked for again"
        if not was_killed:
            return kills
        kills += 1
        now = stored(out)
        assert before <= now, "stored replies are gone"
        before = now


def check(out: Path, plain: dict[str, bytes]) -> dict[str, Any]:
    """The promises of a finished round."""
    counts = json.loads((out / "4-examples" / "record.json").read_text())["counts"]
    found = lines(out)
    sums = [counts["kept"], sum(counts["dropped"].values()), sum(counts["failed"].values())]
    assert sum(sums) == counts["in"] and [data.count(b"\n") for data in found.values()] == sums, "kept + dropped + failed = asked"
    different = [name for name in FILES if found[name] != plain[name]]
    assert not different, f"{different} differ from the undisturbed run's: {out}"
    return counts


def prepared(folder: Path, units: int, r: random.Random) -> tuple[Path, int, dict[str, str]]:
    """The project, the port on which its teacher is to listen, and what `undisturbed` tells; its run is in `plain`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    project = folder / "project"
    documents(project / "documents", units, r)
    settings = {
        "documents": "documents", "held_out": 0.2, "chunk": {"minimum": 1}, "synthesize": {"teacher": "fake", "max_failed": 0.5},
        "models": {"fake": {"base_url": f"http://127.0.0.1:{port}/v1", "model": "fake", "max_parallel": 64, "timeout": 3, "retries": 30}},
    }  # fmt: skip
    (project / "groundling.yaml").write_text(yaml.safe_dump(settings))
    with teacher(port, folder, "calm", CALM):
        return project, port, undisturbed(project, folder / "plain")


def torture(folder: Path, kills: int, units: int, seed: int, say: Any = print, work: float = 1.5) -> dict[str, Any]:
    """So many kills in as many rounds as they take; what was seen."""
    r = random.Random(seed)
    project, port, known = prepared(folder, units, r)
    plain, done, rounds = lines(folder / "plain"), 0, 0
    say(f"undisturbed: {len(known)} different calls, {plain['data'].count(10)} examples kept")
    while done < kills:
        with teacher(port, folder, f"storm{rounds}", STORM | {"seed": CALM["seed"]}) as path:
            out = folder / f"run{rounds}"
            done += one_round(project, out, Log(path), known, r, kills - done, work)
            counts = check(out, plain)
        rounds += 1
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        faults = sum(bool(row["fault"]) for row in rows)
        say(f"round {rounds}: {done} kills so far; {len(rows)} calls served, {faults} with a fault; counts {counts}")
    return {"kills": done, "rounds": rounds, "calls": len(known), "counts": counts}


def from_terminal(doc: str | None, torture: Callable[..., dict[str, Any]], kills: int, units: int, seen: str) -> None:
    """The command line of a torture: how much of it, and what was seen at its end."""
    given = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    given.add_argument("--kills", type=int, default=kills)
    given.add_argument("--units", type=int, default=units)
    given.add_argument("--seed", type=int, default=int(time.time()))
    options = given.parse_args()
    print(f"seed {options.seed}")
    with tempfile.TemporaryDirectory() as folder:
        told = torture(Path(folder), options.kills, options.units, options.seed)
    print(f"{told['kills']} kills in {told['rounds']} rounds: {seen}, every row accounted for, all results equal.")


if __name__ == "__main__":
    from_terminal(__doc__, torture, 100, 400, "nothing stored was asked for again")
