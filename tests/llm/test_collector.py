"""The search for dead cycles is rarer while an endpoint is asked, and as before afterwards; and calls leave no cycles to be found."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from groundling.config import Endpoint
from groundling.llm import fake
from groundling.llm.api import Api
from groundling.llm.base import Request
from groundling.llm.collector import APART

USUAL = (700, 10, 10)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    gc.set_threshold(*before)


def requests(count: int, word: str = "call") -> list[Request]:
    return [Request(messages=[{"role": "user", "content": f"{word} {n}"}]) for n in range(count)]


def test_it_is_rarer_until_the_last_of_those_who_ask_has_ended() -> None:
    async def main() -> None:
        async with fake.serving() as url:
            one, two = (Api(name, Endpoint(base_url=url, model="m")) for name in "ab")
            assert gc.get_threshold() == USUAL, "nothing is asked yet"
            await one.replies(requests(2))
            assert gc.get_threshold() == (APART, 10, 10)
            await two.replies(requests(2))
            await one.close()
            await one.close()
            assert gc.get_threshold() == (APART, 10, 10), "another still asks"
            await two.close()
            assert gc.get_threshold() == USUAL

    asyncio.run(main())


@pytest.mark.parametrize("own", [0, 2 * APART])
def test_who_has_turned_it_off_or_further_up_keeps_it_so(own: int) -> None:
    async def main() -> None:
        async with fake.serving() as url:
            api = Api("a", Endpoint(base_url=url, model="m"))
            await api.replies(requests(1))
            assert gc.get_threshold() == (own, 10, 10)
            await api.close()
            assert gc.get_threshold() == (own, 10, 10)

    gc.set_threshold(own, 10, 10)
    asyncio.run(main())


def test_calls_leave_no_cycles_behind() -> None:
    """What makes a rarer search cost no memory."""

    async def main() -> int:
        async with fake.serving() as url:
            api = Api("a", Endpoint(base_url=url, model="m", max_parallel=8))
            await api.replies(requests(30))
            gc.collect()
            await api.replies(requests(200, "more"))
            found = gc.collect()
            await api.close()
            return found

    gc.set_threshold(0)
    assert asyncio.run(main()) < 200, "less than one object a call"
