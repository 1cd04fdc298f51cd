"""The stage `synthesize` over many chunks, as a process of its own that can be killed: python rows.py URL FOLDER CHUNKS PARALLEL

Recipe `raft` with three questions a chunk and an empty search (it is the engine that is measured, not the index). Prints a line of JSON when the
stage begins and one when it ends: the time, the memory that is resident, the highest so far, in MB.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp  # noqa: F401  (what a run loads once is not growth)

from groundling import memory
from groundling.config import Endpoint, Synthesize
from groundling.llm.api import Api
from groundling.llm.journal import Journal
from groundling.llm.journaled import Journaled
from groundling.records import Chunk
from groundling.synthesize import Bench, synthesize
from groundling.workspace import Output


def chunk(n: int) -> Chunk:
    text = (
        f"The kettle number {n} weighs {n % 90 + 2} kg and stands in hall {n % 37}. Its battery lasts {n % 50 + 3} months in normal use. "
        f"Repairs of kettle {n} are done within {n % 20 + 2} working days. The warranty costs {n % 700 + 10} EUR a year. "
    )
    return Chunk(id=f"c{n}", document=f"d{n // 10}", path=f"{n // 10}.md", title=f"Kettle {n}", text=text * 2, start=0, end=2 * len(text))


def tell(what: str, **more: object) -> None:
    now, peak = round(memory.resident(), 1), round(memory.peak(), 1)
    print(json.dumps({"at": what, "time": time.time(), "resident_mb": now, "peak_mb": peak, **more}), flush=True)


def main() -> None:
    url, folder, count, parallel = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    units = [chunk(n) for n in range(count)]
    journal, out = Journal(folder / "journal.sqlite"), Output(folder / "examples")
    api = Api("bench", Endpoint(base_url=url, model="fake", max_parallel=parallel))
    tell("begin")
    bench = Bench(
        teacher=Journaled(api, journal), search=lambda query, k: [], chunks=units, seed=1, recipe="raft", drop=out.drop, fail=out.fail,
        split_of=lambda document: "train", finished=journal.finished("bench"), finish=lambda unit: journal.finish("bench", unit),
    )  # fmt: skip
    start = time.process_time()
    asyncio.run(synthesize(Synthesize(options={"questions": 3}, max_failed=1), bench, units, out))
    tell("end", counts=out.counts(), calls=api.meter.calls, from_journal=api.meter.from_journal, processor_seconds=time.process_time() - start)
    out.close()
    journal.close()


if __name__ == "__main__":
    main()
