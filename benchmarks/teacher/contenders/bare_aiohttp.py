"""The floor: an aiohttp session and as many workers as calls in flight. No retries, no limits, no journal."""

from __future__ import annotations

import asyncio

import aiohttp
from _timed import IN_FLIGHT, PROMPTS, URL, timed


def work() -> int:
    async def main() -> int:
        left, came = iter(PROMPTS), 0

        async def worker(session: aiohttp.ClientSession) -> None:
            nonlocal came
            for prompt in left:
                body = {"model": "fake", "messages": [{"role": "user", "content": prompt}], "max_tokens": 256}
                async with session.post(f"{URL}/chat/completions", json=body) as answer:
                    came += bool((await answer.json())["choices"][0]["message"]["content"])

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(worker(session) for _ in range(IN_FLIGHT)))
        return came

    return asyncio.run(main())


timed(work)
