"""Memory of batch mode, as a process of its own: python batches.py URL FOLDER REQUESTS

So many callers wait for one reply each, with a journal, as recipes do; the provider is `groundling fake-teacher --reply fixed`. Prompts have 2,000
characters. Prints one line of JSON: memory before the first request (with all requests made) and the highest of all, in MB.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

import aiohttp  # noqa: F401  (what a run loads once is not growth)

from groundling import memory
from groundling.config import Endpoint
from groundling.llm.base import Request
from groundling.llm.batch import Batch
from groundling.llm.journal import Journal
from groundling.llm.journaled import Journaled

WORDS = "Which of these passages says so, and in which words of its own does it say it? "


def main() -> None:
    url, folder, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    requests = [Request(messages=[{"role": "user", "content": f"Question {n}. {WORDS * 25}"[:2000]}]) for n in range(count)]
    journal, batch = Journal(folder / "journal.sqlite"), Batch("bench", Endpoint(base_url=url, model="fake", batch=True))
    batch.folder = folder
    before, start = round(memory.resident(), 1), time.perf_counter()

    async def ask() -> int:
        model = Journaled(batch, journal)
        replies = await asyncio.gather(*(model.replies([request]) for request in requests))
        await model.drain()
        return sum(reply.finish == "stop" for [reply] in replies)

    came = asyncio.run(ask())
    assert came == len(journal) == count, f"{came} of {count} came"
    peak, processor = memory.peak(), time.process_time()
    journal.close()
    told = {"requests": count, "before_mb": before, "peak_mb": round(peak, 1), "seconds": round(time.perf_counter() - start, 1)}
    print(json.dumps(told | {"processor_seconds": round(processor, 1)}))


if __name__ == "__main__":
    main()
