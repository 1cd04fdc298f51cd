"""The teacher engine's numbers, ours and its peers' side by side in one run on loopback: python benchmarks/teacher/run.py

    --quick                 small counts: does every part work?
    --only rate capacity slow rows journal      (the others' earlier results are kept)
    --peers none|all        which peers (default all); each gets a virtual environment under --cache at the first run (PyPI is asked then)
    --cache DIR             where those are kept (default: ~/.cache/groundling/bench)

The endpoint is `groundling fake-teacher` as a process of its own. Writes results.json beside this file and the table into benchmarks/README.md.
Run it on a machine that does nothing else: client and server share its cores.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from groundling.llm import fake

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from peers import CACHE, Missing, environment, figures  # noqa: E402

README = HERE.parent / "README.md"
IN_FLIGHT = 256
# Name, script, what pip installs ("" for this project's own environment), calls in a full run.
CONTENDERS = [
    ("groundling, journal on", "ours.py", "", 20_000),
    ("bare aiohttp loop, no journal", "bare_aiohttp.py", "", 20_000),
    ("LangChain `llm.batch`", "langchain_batch.py", "langchain-openai", 1_500),
    ("`openai` under asyncio.gather", "openai_gather.py", "openai", 1_500),
    ("NVIDIA `data-designer`", "nemo_data_designer.py", "data-designer", 3_000),
    ("`bespokelabs-curator`", "bespoke_curator.py", "bespokelabs-curator", 3_000),
]


def stats(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/stats") as answer:
        return json.load(answer)


def contender(python: str, script: str, url: str, calls: int, seconds: float) -> dict[str, Any]:
    """Run one; its own figures, with what the server saw. A contender that fails is told as failed, with its last line."""
    urllib.request.urlopen(urllib.request.Request(f"{url}/reset", method="POST")).close()
    told = figures([python, HERE / "contenders" / script, url, str(calls), str(IN_FLIGHT)], seconds)
    if "failed" in told:
        return told
    seen = stats(url)
    return told | {
        "calls_a_second": round(told["calls"] / told["seconds"], 1),
        "processor_ms_a_call": round(1000 * told["processor_seconds"] / told["calls"], 3),
        "most_in_flight": seen["most_in_flight"], "refused": seen["statuses"].get("429", 0), "served": seen["requests"],
    }  # fmt: skip


def rate(options: argparse.Namespace) -> dict[str, Any]:
    """Calls a second at an endpoint of 50 ms, 256 in flight."""
    found = {}
    for name, script, package, calls in CONTENDERS:
        if package and options.peers == "none":
            continue
        try:
            python, version = environment(options.cache, package)
        except Missing as reason:
            found[name] = {"failed": f"not installed: {reason}"}
            continue
        calls = max(200, calls // 20) if options.quick else calls
        with fake.running("--latency", "0.05", "--reply", "fixed") as url:
            found[name] = contender(python, script, url, calls, 600) | {"version": version, "asked": calls}
        print(f"  {name}: {found[name]}", flush=True)
    return found


def engine(url: str, folder: str) -> Any:
    """Our engine on an endpoint, with a journal."""
    from groundling.config import Endpoint
    from groundling.llm.api import Api
    from groundling.llm.journal import Journal
    from groundling.llm.journaled import Journaled

    api = Api("bench", Endpoint(base_url=url, model="fake", max_parallel=IN_FLIGHT))
    return Journaled(api, Journal(Path(folder) / "journal.sqlite"))


def requests(count: int) -> list[Any]:
    from groundling.llm.base import Request

    return [Request(messages=[{"role": "user", "content": f"Question {n}?"}]) for n in range(count)]


def capacity(options: argparse.Namespace) -> dict[str, Any]:
    """An endpoint that takes 32 calls at once and refuses more: how much of it is held, how many calls are refused, after ten seconds."""
    seconds = 14 if options.quick else 40

    async def main(url: str, folder: str) -> dict[str, Any]:
        model = engine(url, folder)
        asking = asyncio.ensure_future(model.replies(requests(100_000)))
        await asyncio.sleep(seconds)
        seen = await asyncio.to_thread(stats, url)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await model.drain()
        model.journal.close()
        late = seen["after_10_s"]
        return {
            "seconds": seconds, "held": round(late["average_in_flight"] / 32, 4), "refused": round(late["refused"] / max(1, late["requests"]), 4),
            "refused_before": seen["statuses"].get("429", 0) - late["refused"], "calls_a_second": round(seen["answered"] / seconds, 1),
        }  # fmt: skip

    found = {}
    for latency in ("0.05", "1"):
        with tempfile.TemporaryDirectory() as folder, fake.running("--latency", latency, "--capacity", "32", "--reply", "fixed") as url:
            found[f"{latency} s"] = asyncio.run(main(url, folder))
        print(f"  latency {latency} s: {found[f'{latency} s']}", flush=True)
    return found


def slow(options: argparse.Namespace) -> dict[str, Any]:
    """5 s latency, 256 in flight, 2,000 calls: how near to the physical limit."""
    calls, latency = (512, 1.0) if options.quick else (2000, 5.0)

    async def main(url: str, folder: str) -> float:
        model = engine(url, folder)
        start = time.perf_counter()
        replies = await model.replies(requests(calls))
        seconds = time.perf_counter() - start
        assert all(r.finish == "stop" for r in replies)
        await model.drain()
        model.journal.close()
        return seconds

    with tempfile.TemporaryDirectory() as folder, fake.running("--latency", str(latency), "--reply", "fixed") as url:
        seconds = asyncio.run(main(url, folder))
    limit = -(-calls // IN_FLIGHT) * latency
    return {"calls": calls, "latency": latency, "seconds": round(seconds, 2), "physical_limit": limit, "over_it": round(seconds / limit - 1, 4)}


def rows(options: argparse.Namespace) -> dict[str, Any]:
    """100,000 rows: growth of memory; killed after 100,000 stored replies, seconds to the first new call of the run that goes on."""
    stored = 4_000 if options.quick else 100_000
    chunks = stored // 3 + 1  # three rows each; each row and each list of questions is a call, so a third is left to ask when killed
    with tempfile.TemporaryDirectory() as folder, fake.running("--latency", "0.02") as url:

        def start() -> subprocess.Popen[str]:
            command = [sys.executable, HERE / "rows.py", url, folder, str(chunks), str(IN_FLIGHT)]
            return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

        def told(process: subprocess.Popen[str]) -> dict[str, Any]:
            assert process.stdout
            return json.loads(process.stdout.readline())

        first = start()
        told(first)
        while stats(url)["answered"] < stored and first.poll() is None:
            time.sleep(0.1)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        urllib.request.urlopen(urllib.request.Request(f"{url}/reset", method="POST")).close()
        started, second = time.time(), start()
        begun = told(second)
        while not stats(url)["requests"]:
            time.sleep(0.005)
        called = time.time()
        end = told(second)
        second.communicate()
        seen = stats(url)
    grown = end["peak_mb"] - begun["resident_mb"]
    return {
        "rows": end["counts"]["in"], "stored_when_killed": end["from_journal"], "grown_mb": round(grown, 1),
        "resident_before_mb": begun["resident_mb"],
        "to_first_call_s": round(called - begun["time"], 2), "to_first_call_from_start_s": round(called - started, 2),
        "calls_after": seen["answered"], "seconds": round(end["time"] - begun["time"], 1), "counts": end["counts"],
    }  # fmt: skip


def journal(options: argparse.Namespace) -> dict[str, Any]:
    """A journal that gets a million replies: its memory."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, HERE / "journal.py", f"{folder}/journal.sqlite", "50000" if options.quick else "1000000"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "rate": rate, "capacity": capacity, "slow": slow, "rows": rows, "journal": journal,
}  # fmt: skip


def table(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = [f"Measured on {found['machine']}, {found['date']}, by `{found['command']}`.", ""]
    if told := found.get("rate"):
        ours = told["groundling, journal on"].get("calls_a_second", 0)
        lines += ["Endpoint of 50 ms, 256 in flight:", ""]
        lines += ["| | calls a second | ours is | processor, ms a call | most in flight |", "|---|---|---|---|---|"]
        for name, row in told.items():
            label = f"{name} {row.get('version') or ''}".strip()
            if "failed" in row:
                lines.append(f"| {label} | {row['failed']} | | | |")
            else:
                times = ours / row["calls_a_second"]
                lines.append(f"| {label} | {row['calls_a_second']:,.0f} | {times:.2f} × | {row['processor_ms_a_call']} | {row['most_in_flight']} |")
        lines.append("")
    for latency, row in found.get("capacity", {}).items():
        held = f"**{row['held']:.1%}** held, **{row['refused']:.2%}** of the calls refused"
        lines.append(f"- Capacity 32, latency {latency}, after ten seconds: {held}.")
    if row := found.get("slow"):
        lines.append(
            f"- {row['calls']:,} calls of {row['latency']:g} s, 256 in flight: **{row['seconds']} s**, "
            f"{row['over_it']:.1%} over the limit of {row['physical_limit']:g} s."
        )
    if row := found.get("rows"):
        lines.append(
            f"- {row['rows']:,} rows: memory grew by **{row['grown_mb']} MB**. "
            f"Killed with {row['stored_when_killed']:,} replies stored and started again: "
            f"**{row['to_first_call_s']} s** from the stage's start to the first new call, "
            f"{row['to_first_call_from_start_s']} s from the process's."
        )
    if row := found.get("journal"):
        lines.append(
            f"- A journal of {row['replies']:,} replies ({row['file_mb']:,} MB): the process has at most **{row['peak_mb']} MB**, "
            f"{row['before_mb']} MB of them before the first reply, {row['after_a_tenth_mb']} MB after a tenth."
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("--quick", action="store_true")
    given.add_argument("--only", nargs="+", choices=sorted(PARTS), default=list(PARTS))
    given.add_argument("--peers", choices=["all", "none"], default="all")
    given.add_argument("--cache", type=Path, default=CACHE)
    options = given.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    found: dict[str, Any] = {"machine": machine, "date": time.strftime("%Y-%m-%d"), "command": "python benchmarks/teacher/run.py"}
    for name in options.only:
        print(f"{name} …", flush=True)
        found[name] = PARTS[name](options)
        print(f"  {found[name]}", flush=True)
    print("\n" + table(found))
    if options.quick:
        return
    before = json.loads((HERE / "results.json").read_text()) if (HERE / "results.json").exists() else {}
    if len(options.only) < len(PARTS):
        found = {**{name: part for name, part in before.items() if name in PARTS}, **found}
    (HERE / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    page = README.read_text("utf-8")
    marked = re.compile(r"(<!-- teacher -->\n).*?(<!-- /teacher -->)", re.S)
    README.write_text(marked.sub(lambda m: m[1] + table(found) + m[2], page), "utf-8")


if __name__ == "__main__":
    main()
