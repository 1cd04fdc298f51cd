"""A provider of files and jobs that is away is waited for, and that is said."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from groundling.config import Config, Endpoint
from groundling.errors import ModelError
from groundling.llm import fake, filehttp
from groundling.llm.api import Api
from groundling.llm.fake.server import Teacher as FakeTeacher
from groundling.llm.fake.wire import error
from groundling.llm.filehttp import FileHttp
from groundling.llm.hosted import Place
from groundling.llm.tunestore import JobStore
from groundling.train.provider import _tuner


async def looked(url: str, said: list[str], **changes: Any) -> Any:
    """What the endpoint's list of models says, asked with short waits."""
    api = Api("gpt", Endpoint(base_url=url, model="m"), say=said.append)
    try:
        return await FileHttp(api, **({"waits": (0.02, 0.05)} | changes))._insist("GET", "/models")
    finally:
        await api.close()


def test_where_nobody_answers_it_is_said_once_what_is_waited_for() -> None:
    said: list[str] = []
    with pytest.raises(ModelError, match="does not answer calls: no connection to 127.0.0.1:9"):
        asyncio.run(looked("http://127.0.0.1:9/v1", said, patience=0.6))
    assert [line.split(" (")[0] for line in said] == ["  gpt does not answer calls"], said
    assert "no connection to 127.0.0.1:9" in said[0] and said[0].endswith("It is tried again for 0.6 s; nothing is lost.")


def test_a_first_answer_is_waited_for_a_minute() -> None:
    said: list[str] = []

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(looked("http://127.0.0.1:9/v1", said), 1)

    asyncio.run(main())
    assert len(said) == 1 and "tried again for 60 s" in said[0]


def test_where_it_answers_again_that_is_said_and_a_moment_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(seconds: float) -> list[str]:
        said: list[str] = []
        async with fake.serving() as url:
            until = time.monotonic() + seconds
            monkeypatch.setattr(FakeTeacher, "refusal", lambda self, request: error(503, "Away.") if time.monotonic() < until else None)
            assert (await looked(url, said))["object"] == "list"
        return said

    away, back = asyncio.run(main(0.7))
    assert "gpt does not answer calls (503: Away.)" in away and back == "  gpt answers again."
    assert asyncio.run(main(0.0)) == []
    monkeypatch.setattr(filehttp, "LATER", 100)
    assert asyncio.run(main(0.3)) == [], "a few tries are no news"


def test_the_stage_says_it_in_the_run_s_own_words(tmp_path: Path) -> None:
    said: list[str] = []
    store = JobStore(tmp_path / "j")
    place = Place("gpt", Endpoint(base_url="http://h/v1", model="m"), tmp_path, tmp_path / "j", Config(), "", said.append)
    _tuner(place, store).api.say("x")
    store.close()
    assert said == ["x"]
