"""A journal that gets a million replies, as a process of its own: python journal.py FILE REPLIES

Replies are stored as the engine stores them, 512 at a time waiting for the disk. Then some are asked for again, and the budget is summed. Prints
one line of JSON: memory before the first reply, after a tenth of them, and the highest of all, in MB; how long sums and a look-up take in the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
import time
from pathlib import Path

from groundling import memory
from groundling.llm.base import Reply
from groundling.llm.journal import Journal, Origin

LANES = 512
TEXT = "The kettle weighs 12 kg, stands in hall 3 and is mended within 9 working days. " * 4


def key(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


async def fill(journal: Journal, begin: int, end: int) -> None:
    numbers, origin = iter(range(begin, end)), Origin("bench", paid=True)

    async def lane() -> None:
        for n in numbers:
            await journal.store(key(n), Reply(text=f"{n}: {TEXT}", tokens_in=300, tokens_out=80), origin, 0.0001)

    await asyncio.gather(*(lane() for _ in range(LANES)))
    await journal.settled()


def main() -> None:
    path, count = Path(sys.argv[1]), int(sys.argv[2])
    journal = Journal(path)
    asyncio.run(fill(journal, 0, 1000))  # what is loaded and allocated once is not growth
    before, start = memory.resident(), time.perf_counter()
    asyncio.run(fill(journal, 1000, count // 10))
    tenth = memory.resident()
    asyncio.run(fill(journal, count // 10, count))
    seconds = time.perf_counter() - start
    r = random.Random(1)
    looking = time.perf_counter()
    for _ in range(20):
        keys = [key(r.randrange(count)) for _ in range(500)]
        assert len(journal.get_many(keys)) == len(set(keys)), "a stored reply is not found"
    looked = (time.perf_counter() - looking) / 20 / 500
    summing = time.perf_counter()
    spent = journal.spent("bench")
    assert spent.tokens == count * 380, "the sums are wrong"
    told = {
        "replies": count, "before_mb": round(before, 1), "after_a_tenth_mb": round(tenth, 1),
        "after_mb": round(memory.resident(), 1), "peak_mb": round(memory.peak(), 1), "file_mb": round(path.stat().st_size / 1e6),
        "seconds": round(seconds, 1), "look_up_us": round(1e6 * looked, 1), "sums_s": round(time.perf_counter() - summing, 2),
    }  # fmt: skip
    journal.close()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
