"""Ours: an endpoint with its journal, as recipes use it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import aiohttp  # noqa: F401  (imports are not counted)
from _timed import CALLS, IN_FLIGHT, PROMPTS, URL, timed

from groundling.config import Endpoint
from groundling.llm.api import Api
from groundling.llm.base import Request
from groundling.llm.journal import Journal
from groundling.llm.journaled import Journaled


def work() -> int:
    async def main() -> int:
        model = Journaled(Api("bench", Endpoint(base_url=URL, model="fake", max_parallel=IN_FLIGHT)), journal)
        replies = await model.replies([Request(messages=[{"role": "user", "content": p}]) for p in PROMPTS])
        await model.drain()
        return sum(r.finish == "stop" for r in replies)

    return asyncio.run(main())


with tempfile.TemporaryDirectory() as folder:
    journal = Journal(Path(folder) / "journal.sqlite")
    timed(work)
    assert len(journal) == CALLS
    journal.close()
