"""How a run takes leave of the models that made its data."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from groundling.config import Endpoint
from groundling.llm import fake
from groundling.llm.api import Api
from groundling.llm.base import Request
from groundling.llm.gate import Stopped
from groundling.llm.journal import Journal
from groundling.llm.journaled import Journaled
from groundling.synthesize import leave


def test_a_judge_that_is_down_does_not_hold_up_the_end_and_the_teacher_s_calls_still_come(tmp_path: Path) -> None:
    """Calls in flight are the journal's, whoever made them: waiting for one model while another still sends would take for ever."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"

    async def main(journal: Journal) -> None:
        async with fake.serving(fake.Script(latency=0.8)) as url:
            teacher = Journaled(Api("t", Endpoint(base_url=url, model="fake")), journal)
            judge = Journaled(Api("j", Endpoint(base_url=nobody, model="fake")), journal)
            [taught, judged] = [
                asyncio.ensure_future(m.replies([Request(messages=[{"role": "user", "content": "What is 1?"}])])) for m in (teacher, judge)
            ]
            await asyncio.sleep(0.3)
            await asyncio.wait_for(leave(SimpleNamespace(teacher=teacher, student=None, judge=judge)), 10)
            assert [reply.finish for reply in await taught] == ["stop"] and len(journal) == 1
            with pytest.raises(Stopped):
                await judged

    journal = Journal(tmp_path / "journal.sqlite")
    asyncio.run(main(journal))
    journal.close()
