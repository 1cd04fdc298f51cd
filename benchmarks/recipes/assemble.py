"""How fast RAFT rows are assembled, teacher aside: python benchmarks/recipes/assemble.py

    --quick                 a tenth of it, nothing written: does every part work?
    --rows 20000 …          which sizes (default 20,000, 100,000 and 1,000,000), each from 5,000 chunks in a process of its own

The whole stage `synthesize` with the recipe `raft` at its defaults: a real BM25 index, real checks, rows written to disk. The teacher is a stub that
returns at once what a good one would say. Times are processor time, so other work on the machine hardly counts. Writes results.json beside this
file and the table into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundling import memory
from groundling.config import Index, Synthesize
from groundling.index import build, open_index
from groundling.llm.base import Reply, Request
from groundling.records import Chunk
from groundling.synthesize import Bench, synthesize
from groundling.workspace import Output

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
CHUNKS = 5_000
SIZES = [20_000, 100_000, 1_000_000]
SENTENCES = 8  # of a chunk: about 700 characters


def corpus(count: int) -> list[Chunk]:
    """Look-alike data sheets in words of which few are frequent (Zipf); each sentence states one amount."""
    r = random.Random(1)
    words = ["".join(r.choice("aeiou" if n % 2 else "bdfgklmnprst") for n in range(r.randint(4, 9))) for _ in range(8_000)]
    common = [1 / (n + 5) for n in range(len(words))]
    made = []
    for n in range(count):
        drawn = r.choices(words, common, k=SENTENCES * 11)
        text = " ".join(
            f"The {' '.join(drawn[s * 11 : s * 11 + 6])} takes {r.randint(2, 9_999)} hours {' '.join(drawn[s * 11 + 6 : s * 11 + 11])}."
            for s in range(SENTENCES)
        )
        made.append(Chunk(id=f"c{n:06}", document=f"d{n // 10}", path=f"{n // 10}.md", title=drawn[0], text=text, start=0, end=len(text)))
    return made


class Stub:
    """A teacher that returns at once. Its own time is counted, to be told beside the whole."""

    name, fingerprint, documents_role = "stub", "stub/1", False

    def __init__(self) -> None:
        self.seconds = 0.0

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        start = time.process_time()
        found = [Reply(text=self._said(r)) for r in requests]
        self.seconds += time.process_time() - start
        return found

    def _said(self, request: Request) -> str:
        sentences = request.inputs["passage"].split(". ")
        if request.task == "questions":
            asked = [f"How long takes the {' '.join(sentences[n % SENTENCES].split()[1:7])} in case {n}?" for n in range(request.inputs["count"])]
            return json.dumps({"questions": asked})
        quote = sentences[int(request.inputs["question"][:-1].rsplit(" ", 1)[1]) % SENTENCES]
        found = re.search(r"\d+ hours", quote)
        return json.dumps({"quote": quote, "answer": found[0] if found else ""})


def assemble(rows: int, chunks: int) -> dict[str, Any]:
    """One size, in this process: the figures."""
    units, teacher = corpus(chunks), Stub()
    with tempfile.TemporaryDirectory() as folder:
        build(units, Index(), Path(folder) / "index")
        search = open_index(units, Index(), Path(folder) / "index")
        out = Output(Path(folder) / "examples")
        bench = Bench(
            teacher=teacher, search=search, chunks=units, seed=1, recipe="raft", drop=out.drop, fail=out.fail,
            split_of=lambda document: "held_out" if hash_of(document) % 5 == 0 else "train",
        )  # fmt: skip
        search("once for what is loaded late", 5)
        before, start = memory.resident(), time.process_time()
        asyncio.run(synthesize(Synthesize(options={"questions": rows // chunks}), bench, units, out))
        seconds = time.process_time() - start
        size = (Path(folder) / "examples" / ".data.jsonl.tmp").stat().st_size
        out.close()
    return {
        "rows": out.kept, "asked_for": rows, "chunks": chunks, "seconds": round(seconds, 2), "stub_seconds": round(teacher.seconds, 2),
        "ms_a_row": round(1000 * seconds / max(1, out.kept), 3), "before_mb": round(before, 1),
        "grown_mb": round(max(0.0, memory.peak() - before), 1), "written_mb": round(size / 1e6), "realised": out.notes["realised"],
    }  # fmt: skip


def hash_of(document: str) -> int:
    return int(document[1:]) * 2_654_435_761 % 2**32 >> 8


def table(found: dict[str, Any]) -> str:
    lines = [f"Measured on {found['machine']}, {found['date']}, by `{found['command']}`.", ""]
    lines += ["| rows | from chunks | processor time | of it the stub teacher | ms a row | memory grew by |", "|---|---|---|---|---|---|"]
    for row in found["sizes"]:
        lines.append(
            f"| {row['rows']:,} | {row['chunks']:,} | **{row['seconds']} s** | {row['stub_seconds']} s | {row['ms_a_row']} | {row['grown_mb']} MB |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    given = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    given.add_argument("--quick", action="store_true")
    given.add_argument("--rows", type=int, nargs="+", default=SIZES)
    given.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = given.parse_args()
    chunks = CHUNKS // 10 if options.quick else CHUNKS
    if options.one:
        print(json.dumps(assemble(options.one, chunks)))
        return
    found: dict[str, Any] = {"machine": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"}
    found |= {"date": time.strftime("%Y-%m-%d"), "command": "python benchmarks/recipes/assemble.py", "sizes": []}
    if options.rows != SIZES:
        found["command"] += f" --rows {' '.join(map(str, options.rows))}"
    for rows in options.rows[:1] if options.quick else options.rows:
        command = [sys.executable, __file__, "--one", str(rows // 10 if options.quick else rows), *(["--quick"] if options.quick else [])]
        found["sizes"].append(json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()[-1]))
        print(found["sizes"][-1], flush=True)
    print("\n" + table(found))
    if options.quick:
        return
    (HERE / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    page = README.read_text("utf-8")
    marked = re.compile(r"(<!-- assemble -->\n).*?(<!-- /assemble -->)", re.S)
    README.write_text(marked.sub(lambda m: m[1] + table(found) + m[2], page), "utf-8")


if __name__ == "__main__":
    main()
