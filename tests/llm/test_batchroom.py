"""A provider's batch queue that is full: waited for with smaller batches; nothing is lost, failed or paid for twice."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from groundling.errors import ModelError
from groundling.llm import fake
from groundling.llm.batch import Batch
from groundling.llm.batchroom import GROWTH, LEAST, Room
from groundling.llm.batchstore import BatchStore
from groundling.llm.batchwire import Line, state
from groundling.llm.completions import body

from .test_batch import alone, base, batch, got, played, requests
from .test_batchprogress import Clock


def room() -> tuple[Room, Clock]:
    clock = Clock()
    return Room(clock), clock


def test_without_a_refusal_there_is_no_bound() -> None:
    free, _ = room()
    for size in (10, 10**9):
        free.taken(free.enter(size))
    assert free.free() == math.inf and not free.bounded and free.standing() == ""


def test_a_refusal_beside_others_of_ours_waits_for_one_of_them_to_end() -> None:
    free, _ = room()
    first, second = free.enter(1000), free.enter(1000)
    free.taken(first)
    free.refused(second)
    assert free.window == 1500, "between what was taken and what was too much"
    assert free.free() == 500
    third = free.enter(500)
    assert free.free() == 0, "one at a time from the first refusal on"
    free.taken(third)
    assert free.window == 1500 * GROWTH and free.free() == 375
    free.refused(free.enter(375))
    assert free.window == 1687.5 and free.free() == 0, f"less than a part in {LEAST}: a batch must end first"
    free.leave(first)
    assert free.free() == 1187.5 and not free.hopeless and free.standing() == ""


def test_a_refusal_while_none_of_ours_is_there_shrinks_quickly_and_waits_longer_each_time() -> None:
    free, clock = room()
    sizes = []
    for n in range(4):
        free.refused(free.enter(1000 // 4**n))
        sizes.append(free.window)
        assert free.free() == 0 and "queue is full; next try in" in free.standing()
        clock.now += free.waits[0] * 2**n - 0.1
        assert free.free() == 0
        clock.now += 0.2
        assert free.free() == free.window
    assert sizes == [250, 62.5, 15.5, 3.75]
    free.taken(free.enter(3))
    assert free.window == 3.75 * GROWTH and free._wait == 0


def test_what_was_there_at_once_before_is_there_room_for_until_a_refusal_says_otherwise() -> None:
    free, _ = room()
    one = free.enter(800)
    free.taken(one)
    free.leave(one)
    free.refused(free.enter(2000))
    assert free.window == 800, "not a quarter of 2,000: 800 were taken"
    free.refused(free.enter(800))
    assert free.window == 200, "others take the room now"


def test_after_a_day_without_room_it_is_hopeless() -> None:
    free, clock = room()
    free.refused(free.enter(1))
    clock.now += free.patience - 1
    free.refused(free.enter(1))
    assert not free.hopeless
    clock.now += 2
    assert free.hopeless
    last = free.enter(1)
    assert not free.hopeless, "one of ours is there, and may yet be taken"
    free.leave(last)
    assert free.hopeless
    free.taken(free.enter(1))
    clock.now += 10 * free.patience
    assert not free.hopeless


FAILED = {"object": "list", "data": [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached for m. Limit: 2,000,000."}]}


@pytest.mark.parametrize(
    ("errors", "full"),
    [
        (FAILED, True),
        ({"data": [{"code": None, "message": "The number of enqueued tokens has surpassed the configured limit of 30K."}]}, True),
        ({"data": [{"code": "invalid_request", "message": "Line 3 has no url."}]}, False),
        (None, False),
    ],
)
def test_a_full_queue_is_told_from_other_failures(errors: Any, full: bool) -> None:
    told = state({"status": "failed", "errors": errors})
    assert told.full is full and not told.taken
    assert state({"status": "in_progress"}).taken and not state({"status": "validating"}).taken


def quick(model: Batch) -> Batch:
    model.room.waits = (0.05, 0.2)
    return model


@pytest.mark.parametrize("how", ["failed", "refused"])
def test_more_than_the_queue_takes_goes_up_in_smaller_batches(tmp_path: Path, how: str) -> None:
    async def main() -> None:
        asked, said = requests(120), []
        async with played(tmp_path, batch={"seconds": 0.2, "queue_tokens": 300, "queue_full": how}) as model:
            quick(model).say = said.append
            assert [r.text for r in await model.replies(asked)] == await alone(asked)
            told = (await got(base(model), "/batches?limit=100"))["data"]
            done = [b["request_counts"]["total"] for b in told if b["status"] == "completed"]
            failed = [b for b in told if b["status"] == "failed"]
            assert sum(done) == 120 and (await got(base(model), "/stats"))["answered_again"] == 0
            assert 3 <= len(done) <= 30 and len(failed) <= 15 and bool(failed) is (how == "failed")
            assert model.meter.retries == model.meter.failed == 0, "no request's chances are used up"
            assert len(said) == 1 and "no room for so much at once: " in said[0] and "nqueued token limit" in said[0]
        store = BatchStore(tmp_path / "batches.sqlite")
        assert store.open(model.fingerprint) == []
        store.close()

    asyncio.run(main())


def test_where_others_fill_the_queue_it_waits_for_them(tmp_path: Path) -> None:
    """Another program of the same account has a batch there."""

    async def main() -> None:
        asked = requests(20)
        async with fake.serving(fake.Script(batch={"seconds": 1.5, "queue_tokens": 200})) as url:
            other, model = batch(url, tmp_path / "other"), quick(batch(url, tmp_path / "ours"))
            other.folder.mkdir()
            data = [Line(f"k{n}", body(r, other.endpoint, True)).data for n, r in enumerate(requests(18, "another"))]
            await other.calls.make(await other.calls.upload(data))
            waiting = asyncio.ensure_future(model.replies(asked))
            while not model.room.standing():
                await asyncio.sleep(0.01)
            facts, notice = model.progress.standing()
            assert "queue is full" in notice and facts["to send"] == "20"
            assert [r.text for r in await waiting] == await alone(asked)
            await model.close()
            await other.close()

    asyncio.run(main())


def test_a_queue_that_never_has_room_stops_the_run_with_a_sentence(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, batch={"seconds": 0.1, "queue_tokens": 1}) as model:
            quick(model).room.patience = 0.5
            with pytest.raises(ModelError, match="batch queue has had no room for as much as one request"):
                await model.replies(requests(4))

    asyncio.run(main())


def test_a_batch_refused_after_a_restart_is_asked_again(tmp_path: Path) -> None:
    """The run ended before the provider said that there was no room."""

    async def main() -> None:
        asked = requests(40)
        async with fake.serving(fake.Script(batch={"seconds": 5, "queue_tokens": 300})) as url:
            first = batch(url, tmp_path)
            waiting = asyncio.ensure_future(first.replies(asked))
            while not (await got(url, "/batches"))["data"]:
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
            await first.close()
            await asyncio.gather(waiting, return_exceptions=True)
            await asyncio.sleep(0.6)
            async with aiohttp.ClientSession() as session, session.get(f"{url}/batches") as answer:
                assert [b["status"] for b in (await answer.json())["data"]] == ["failed"]
            again = quick(batch(url, tmp_path))
            some = asyncio.ensure_future(again.replies(asked[:10]))
            assert [r.text for r in await some] == await alone(asked[:10])
            await again.close()
            assert (await got(url, "/stats"))["answered"] == 10

    asyncio.run(main())
