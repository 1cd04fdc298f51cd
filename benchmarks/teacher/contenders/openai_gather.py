"""The `openai` client under asyncio.gather, as many calls in flight as the others."""

from __future__ import annotations

import asyncio

from _timed import IN_FLIGHT, PROMPTS, URL, timed
from openai import AsyncOpenAI


def work() -> int:
    async def main() -> int:
        client = AsyncOpenAI(base_url=URL, api_key="none")  # its own limit of connections is 1,000
        room = asyncio.Semaphore(IN_FLIGHT)

        async def one(prompt: str) -> bool:
            async with room:
                got = await client.chat.completions.create(model="fake", messages=[{"role": "user", "content": prompt}], max_tokens=256)
                return bool(got.choices[0].message.content)

        return sum(await asyncio.gather(*(one(p) for p in PROMPTS)))

    return asyncio.run(main())


timed(work)
