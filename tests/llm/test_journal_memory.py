"""A long journal keeps memory flat: the figures of a million replies are in benchmarks/README.md, this is the same at a tenth."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

# A process of its own, as this one holds what other tests left behind. Its caches are small, so that both sizes have filled them.
CODE = """
    import asyncio, gc, json, sys
    from pathlib import Path
    from groundling import memory
    from groundling.llm import journal
    from groundling.llm.base import Reply, Request
    from groundling.llm.journaled import Journaled

    class Endpoint:
        name, fingerprint, documents_role, paid, parallel = "endpoint", "endpoint/1", False, True, 512

        async def replies(self, requests):
            await asyncio.sleep(0)
            return [Reply(text=r.messages[0]["content"] * 8, tokens_in=300, tokens_out=80) for r in requests]

        def usd(self, reply):
            return 0.0001

    async def ask(model, begin, end):
        for at in range(begin, end, 2000):
            requests = [Request(messages=[{"role": "user", "content": f"{n:09} kettles"}]) for n in range(at, at + 2000)]
            assert len(await model.replies(requests)) == 2000
            assert (await model.replies(requests[:20]))[0].text.startswith(f"{at:09}")  # from the journal
        await model.drain()

    journal._CACHE_KB = 500
    kept = journal.Journal(Path(sys.argv[1]))
    found = {}
    for begin, end in ((0, 20_000), (20_000, 100_000)):
        asyncio.run(ask(Journaled(Endpoint(), kept), begin, end))
        spent = kept.spent()
        gc.collect()
        found[end] = memory.resident()
        assert len(kept) == end and spent.tokens == 380 * end and not kept.in_flight
    waiting = Path(f"{sys.argv[1]}-wal").stat().st_size
    kept.close()
    print(json.dumps({"few": found[20_000], "many": found[100_000], "waiting": waiting}))
    """


def test_five_times_the_replies_take_no_more_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(CODE), str(tmp_path / "journal.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["many"] - told["few"] < 4, f"80,000 more replies took memory: {told}"  # a key kept for each would be 9 MB
    assert told["waiting"] < 20e6, f"what is written is taken over into the journal as it goes: {told}"
    assert (tmp_path / "journal.sqlite").stat().st_size > 30e6
