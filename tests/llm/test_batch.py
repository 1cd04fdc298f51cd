"""Batch mode over real HTTP: few batches, no request paid for twice, whatever breaks or whenever the run is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from groundling.config import Endpoint
from groundling.errors import BudgetError, ModelError
from groundling.llm import fake
from groundling.llm.base import Reply, Request, call_key
from groundling.llm.batch import Batch
from groundling.llm.batchstore import BatchStore
from groundling.llm.batchwire import Damaged, Line, parts, results
from groundling.llm.budget import Budget, Cost
from groundling.llm.completions import body
from groundling.llm.fake import wire
from groundling.llm.fake.batches import Batches
from groundling.llm.fake.chance import Chance
from groundling.llm.gate import Stopped
from groundling.llm.structured import schema_of, score, structured_all


def requests(count: int, word: str = "call") -> list[Request]:
    return [Request(messages=[{"role": "user", "content": f"{word} number {n}: say something about {n * n}"}], max_tokens=50) for n in range(count)]


def batch(url: str, folder: Path, **changes: Any) -> Batch:
    made = Batch("teacher", Endpoint(base_url=url, model="m", batch=True, **changes))
    made.folder, made.queue.window, made.poll, made.calls.waits = folder, 0.05, (0.02, 0.1), (0.02, 0.1)
    return made


@asynccontextmanager
async def played(tmp_path: Path, endpoint: dict[str, Any] | None = None, **script: Any) -> AsyncIterator[Batch]:
    async with fake.serving(fake.Script(**script)) as url:
        made = batch(url, tmp_path, **(endpoint or {}))
        try:
            yield made
        finally:
            await made.close()


async def got(url: str, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url + path) as response:
        return await response.json()


def base(model: Batch) -> str:
    return model.endpoint.base_url


async def alone(asked: list[Request]) -> list[str]:
    """What the endpoint says to these requests one by one."""
    from groundling.llm.api import Api

    async with fake.serving() as url:
        api = Api("teacher", Endpoint(base_url=url, model="m"))
        try:
            return [r.text for r in await api.replies(asked)]
        finally:
            await api.close()


def test_calls_from_many_callers_become_one_batch_and_replies_find_their_callers(tmp_path: Path) -> None:
    async def main() -> None:
        asked = requests(60)
        async with played(tmp_path) as model:
            model.queue.window = 0.6

            async def later(n: int) -> list[Reply]:
                await asyncio.sleep(n * 0.005)
                return await model.replies([asked[n]])

            one_by_one = asyncio.gather(*(later(n) for n in range(40)))
            together = await model.replies(asked[30:])
            found = [r.text for [r] in await one_by_one][:30] + [r.text for r in together]
            assert found == await alone(asked)
            listed = (await got(base(model), "/batches"))["data"]
            assert [b["request_counts"]["total"] for b in listed] == [60]
            assert (await got(base(model), "/stats"))["answered_again"] == 0
            assert model.meter.calls == 60 and model.meter.tokens_out > 60

    asyncio.run(main())


def test_a_fixed_reply_is_one_in_batches_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, reply="fixed", text="So.") as model:
            assert [r.text for r in await model.replies(requests(3))] == ["So."] * 3

    asyncio.run(main())


def test_files_keep_within_the_provider_s_limits(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, batch={"max_lines": 10, "max_bytes": 2000, "seconds": 0.1}) as model:
            model.most = (10, 2000)
            assert [r.finish for r in await model.replies(requests(35))] == ["stop"] * 35
            sizes = [b["request_counts"]["total"] for b in (await got(base(model), "/batches?limit=100"))["data"]]
            assert sum(sizes) == 35 and max(sizes) <= 10 and len(sizes) >= 4

    asyncio.run(main())


def test_parts_hold_every_line_once_and_in_order() -> None:
    endpoint = Endpoint(base_url="http://x/v1", model="m")
    lines = [Line(f"k{n}", body(r, endpoint, True)) for n, r in enumerate(requests(20))]
    size = max(len(line.data) for line in lines)
    found = list(parts(lines, 7, size * 3))
    assert [line for part in found for line in part] == lines and [len(p) for p in found][:3] == [3, 3, 3]
    assert [len(p) for p in parts(lines, 7)] == [7, 7, 6] and list(parts([], 7)) == []
    assert [len(p) for p in parts(lines, 7, 1)] == [1] * 20


def test_failed_lines_go_into_a_later_batch(tmp_path: Path) -> None:
    async def main() -> None:
        asked = requests(40)
        async with played(tmp_path, batch={"failed_lines": 0.2, "seconds": 0.05}) as model:
            assert [r.text for r in await model.replies(asked)] == await alone(asked)
            sizes = [b["request_counts"]["total"] for b in (await got(base(model), "/batches"))["data"]][::-1]
            assert sizes[0] == 40 and len(sizes) > 1 and 1 <= sizes[1] < 20
            assert (await got(base(model), "/stats"))["answered_again"] == 0

    asyncio.run(main())


def test_a_line_that_fails_in_every_batch_is_told_as_failed_and_asked_again_by_the_next_run(tmp_path: Path) -> None:
    async def main() -> None:
        asked = requests(40)
        async with played(tmp_path, batch={"always_failed": 0.1, "seconds": 0.05}) as model:
            found = await model.replies(asked)
            failed = [r for r in found if r.finish == "error"]
            assert 1 <= len(failed) <= 10 and model.meter.failed == len(failed)
            assert all("in 4 batches" in r.text and "500" in r.text for r in failed)
            assert len((await got(base(model), "/batches"))["data"]) == 4
        store = BatchStore(tmp_path / "batches.sqlite")
        keys = [call_key(model.fingerprint, r) for r in asked]
        assert [store.result(k) is None for k in keys] == [r.finish == "error" for r in found]
        store.close()

    asyncio.run(main())


def test_an_expired_batch_s_answers_are_kept_and_the_rest_asked_again(tmp_path: Path) -> None:
    async def main() -> None:
        asked = requests(40)
        async with played(tmp_path, batch={"expire_after": 0.6, "expiries": 2, "seconds": 0.05}) as model:
            assert [r.text for r in await model.replies(asked)] == await alone(asked)
            told = (await got(base(model), "/batches"))["data"][::-1]
            assert [(b["status"], b["request_counts"]["total"]) for b in told] == [("expired", 40), ("expired", 16), ("completed", 6)]
            assert (await got(base(model), "/stats"))["answered_again"] == 0

    asyncio.run(main())


def test_a_cancelled_batch_s_answers_are_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, batch={"outcome": "cancelled", "expire_after": 0.5, "seconds": 0.05}) as model:
            found = await model.replies(requests(16))
            assert sum(r.finish == "stop" for r in found) == 15, "8, then 4, then 2, then 1"
            assert (await got(base(model), "/stats"))["answered_again"] == 0

    asyncio.run(main())


def test_a_batch_that_the_provider_refuses_stops_the_run_with_its_reason(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, batch={"outcome": "failed", "seconds": 0.05}) as model:
            with pytest.raises(ModelError, match=r'The batch batch_0000 of "teacher" failed: The script says that this batch fails'):
                await model.replies(requests(3))
        async with played(tmp_path, always=401) as model:
            with pytest.raises(ModelError, match="401"):
                await model.replies(requests(3))
        async with played(tmp_path) as model:  # neither left anything behind that blocks the next run
            assert len(await model.replies(requests(3))) == 3

    asyncio.run(main())


def test_an_endpoint_that_takes_no_schema_is_asked_in_words_from_then_on(tmp_path: Path) -> None:
    async def main() -> None:
        said: list[str] = []
        async with played(tmp_path, response_format=False, batch={"seconds": 0.05}) as model:
            model.say = said.append
            found = await structured_all(model, requests(10), score(1, 5))
            assert all(1 <= f.score <= 5 for f in found)
            assert len(said) == 1 and "response_format" in said[0]
            assert len((await got(base(model), "/batches"))["data"]) == 2
            assert (await structured_all(model, requests(5, "more"), score(1, 5)))[0].score
            assert len((await got(base(model), "/batches"))["data"]) == 3 and len(said) == 1

    asyncio.run(main())


def test_a_schema_goes_up_as_response_format(tmp_path: Path) -> None:
    endpoint = Endpoint(base_url="http://x/v1", model="m")
    request = Request(messages=[{"role": "user", "content": "a"}], schema=schema_of(score(1, 5)))
    line = json.loads(Line("key", body(request, endpoint, True)).data)
    assert line["custom_id"] == "key" and line["url"] == "/v1/chat/completions" and line["method"] == "POST"
    assert line["body"]["response_format"]["json_schema"]["schema"] == request.schema


@pytest.mark.parametrize("fault", ["server_error", "refused", "reset", "cut_body", "short_body", "html", "invalid_json", "slow_body"])
def test_every_call_of_the_batch_api_may_break_and_no_batch_is_made_twice(tmp_path: Path, fault: str) -> None:
    """The fake breaks its answers after the deed: a batch was made although nobody was told."""

    async def main() -> None:
        asked, seed = requests(20), 0
        while not all(Chance(fake.Script(wire={fault: 0.5}, seed=seed)).wire(what, 0) for what in ("POST /files", "POST /batches")):
            seed += 1
        async with played(tmp_path, wire={fault: 0.5}, slow_seconds=0.1, seed=seed, retry_after=0, batch={"seconds": 0.1}) as model:
            assert [r.text for r in await model.replies(asked)] == await alone(asked)
            assert await model.calls.made_of("no such file") is None
            assert len((await model.calls._insist("GET", "/batches"))["data"]) == 1
        store = BatchStore(tmp_path / "batches.sqlite")
        assert store.open(model.fingerprint) == []
        store.close()

    asyncio.run(main())


def test_a_batch_whose_making_was_not_told_is_found_by_its_file(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, batch={"seconds": 0.05}) as model:
            file = await model.calls.upload(Line(f"k{n}", body(r, model.endpoint, True)).data for n, r in enumerate(requests(2)))
            assert await model.calls.made_of(file) is None
            made = await model.calls.make(file)
            assert await model.calls.made_of(file) == made

    asyncio.run(main())


@pytest.mark.parametrize("status", [b"201 Created", b"202 Accepted"])
def test_a_batch_that_was_made_is_made_whatever_success_is_called(tmp_path: Path, status: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Batches._create

    async def created(self: Batches, request: web.BaseRequest) -> wire.Raw:
        return wire.Raw((await real(self, request)).data.replace(b"200 OK", status, 1))

    async def main() -> None:
        monkeypatch.setattr(Batches, "_create", created)
        async with played(tmp_path, batch={"seconds": 0.05}) as model:
            assert [r.text for r in await model.replies(requests(3))] == await alone(requests(3))
            assert len((await got(base(model), "/batches"))["data"]) == 1

    asyncio.run(main())


@pytest.mark.parametrize("known", ["id", "file", "behind", "plan"])
def test_a_run_that_ended_goes_on_with_its_batch(tmp_path: Path, known: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended after the id was written down, before that (also where the list is a moment behind), and before the file was."""

    async def main() -> None:
        asked = requests(12)
        async with fake.serving(fake.Script(batch={"seconds": 2.0})) as url:
            first = await left_waiting(url, tmp_path, asked)
            store = BatchStore(tmp_path / "batches.sqlite")
            [left] = store.open(first.fingerprint)
            assert left.id and left.file and sorted(left.keys) == sorted(call_key(first.fingerprint, r) for r in asked)
            if known != "id":
                store.made(left.number, None)  # type: ignore[arg-type]
            if known == "plan":
                store.uploaded(left.number, None)  # type: ignore[arg-type]
            store.close()
            again = batch(url, tmp_path)
            there, looks = again.calls.made_of, list[str]()

            async def listed(file: str) -> str | None:
                looks.append(file)
                return None if known == "behind" and len(looks) == 1 else await there(file)

            monkeypatch.setattr(again.calls, "made_of", listed)
            assert [r.text for r in await again.replies(asked)] == await alone(asked)
            await again.close()
            told = await got(url, "/stats")
            assert len(looks) == {"id": 0, "file": 1, "behind": 2, "plan": 0}[known]
            batches = len((await got(url, "/batches"))["data"])
            assert told["answered_again"] == 0
            assert batches == (2 if known == "plan" else 1), "a batch whose file was never noted cannot have been made, and is made"

    asyncio.run(main())


def test_what_a_batch_brought_is_there_for_who_asks_later(tmp_path: Path) -> None:
    async def main() -> None:
        asked = requests(6)
        async with fake.serving(fake.Script(batch={"seconds": 1.5})) as url:
            await left_waiting(url, tmp_path, asked)
            second = batch(url, tmp_path)
            await second.replies(asked[:1])  # the others' replies come with it, and nobody is there for them
            await second.close()
            third = batch(url, tmp_path)
            assert [r.text for r in await third.replies(asked)] == await alone(asked)
            await third.close()
            assert len((await got(url, "/batches"))["data"]) == 1

    asyncio.run(main())


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.llm.test_batch import batch, requests
async def main():
    model = batch(sys.argv[1], Path(sys.argv[2]))
    replies = await model.replies(requests(30))
    await model.close()
    print(*(r.text for r in replies), sep="\\n")
asyncio.run(main())
"""


def noted(folder: Path, column: str) -> bool:
    """Whether a batch has this column written down."""
    if not (folder / "batches.sqlite").exists():
        return False
    with contextlib.closing(sqlite3.connect(folder / "batches.sqlite")) as db, contextlib.suppress(sqlite3.OperationalError):
        return db.execute(f"SELECT count({column}) FROM batches").fetchone()[0] > 0
    return False


async def left_waiting(url: str, folder: Path, asked: list[Request]) -> Batch:
    """A process that made a batch of what is asked and stopped while the provider worked on it."""
    first = batch(url, folder)
    waiting = asyncio.ensure_future(first.replies(asked))
    await made(folder)
    assert not waiting.done()
    await first.close()
    with pytest.raises(Stopped):
        await waiting
    return first


async def made(folder: Path) -> None:
    """Wait until a batch is made and its id written down."""
    while not noted(folder, "id"):
        await asyncio.sleep(0.01)


def test_killed_at_each_step_it_pays_once(tmp_path: Path) -> None:
    """Killed as soon as the batch is planned, its file noted, its id noted."""
    with fake.running("--set", "batch.seconds=1", "--latency", "0.2") as url:
        command = [sys.executable, "-c", KILLED, url, str(tmp_path)]
        for column in ("number", "file", "id"):
            with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE) as process:
                while not noted(tmp_path, column):
                    assert process.poll() is None
                    time.sleep(0.001)
                process.send_signal(signal.SIGKILL)
                assert process.wait() == -signal.SIGKILL
        done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
        told, batches = asyncio.run(got(url, "/stats")), asyncio.run(got(url, "/batches"))["data"]
    assert done.stdout.splitlines() == asyncio.run(alone(requests(30)))
    assert len(batches) == 1 and told["answered_again"] == 0 and told["answered"] == 30


def test_a_request_without_any_result_goes_into_a_later_batch(tmp_path: Path) -> None:
    async def main() -> None:
        asked = requests(6)
        async with played(tmp_path, batch={"seconds": 0.05}) as model:
            fetch = model.calls.results

            async def without_the_first(*given: Any) -> Any:
                found = await fetch(*given)
                return found if len(found) < 6 else {k: found[k] for k in sorted(found)[1:]}

            model.calls.results = without_the_first  # type: ignore[method-assign]
            assert [r.text for r in await model.replies(asked)] == await alone(asked)
            assert [b["request_counts"]["total"] for b in (await got(base(model), "/batches"))["data"]] == [1, 6]

    asyncio.run(main())


def test_a_file_of_results_that_lacks_some_is_fetched_again(tmp_path: Path) -> None:
    async def main() -> None:
        asked, fetched = requests(10), []
        async with played(tmp_path, batch={"seconds": 0.05}) as model:
            once = model.calls._once

            async def half(method: str, path: str, *rest: Any) -> Any:
                told = await once(method, path, *rest)
                if path.endswith("/content"):
                    fetched.append(path)
                    return b"".join(told.splitlines(keepends=True)[: 5 * len(fetched)])
                return told

            model.calls._once = half  # type: ignore[method-assign]
            assert [r.text for r in await model.replies(asked)] == await alone(asked)
            assert len(fetched) == 2 and len((await got(base(model), "/batches"))["data"]) == 1

    asyncio.run(main())


def test_a_provider_that_goes_away_while_the_batch_is_made_leaves_it_to_be_looked_for(tmp_path: Path) -> None:
    async def main() -> None:
        asked = requests(5)
        async with fake.serving(fake.Script(batch={"seconds": 0.05})) as url:
            first = batch(url, tmp_path)
            make = first.calls.make

            async def away(file: str) -> str:
                await make(file)
                raise ModelError("away")

            first.calls.make = away  # type: ignore[method-assign]
            with pytest.raises(ModelError, match="away"):
                await first.replies(asked)
            await first.close()
            again = batch(url, tmp_path)
            assert [r.text for r in await again.replies(asked)] == await alone(asked)
            await again.close()
            assert len((await got(url, "/batches"))["data"]) == 1

    asyncio.run(main())


def test_while_it_is_away_it_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, wire={"reset": 1.0}) as model:
            model.calls.patience = 0.3
            with pytest.raises(ModelError, match="give the same command again when it answers"):
                await model.replies(requests(2))

    asyncio.run(main())


class Ledger:
    def __init__(self) -> None:
        self.cost = Cost()

    def spent(self) -> Cost:
        return self.cost

    def lose(self, model: str, cost: Cost) -> None:
        raise AssertionError("batch mode loses no call")


def test_the_budget_holds_and_batches_wait_for_room(tmp_path: Path) -> None:
    async def main() -> None:
        asked = requests(20)
        endpoint = Endpoint(base_url="http://x/v1", model="m")
        worst = max(len(body(r, endpoint, True).data) + 50 for r in asked)
        async with played(tmp_path, batch={"seconds": 0.05}) as model:
            model.budget = Budget(0, 6 * worst, Ledger())
            found = await asyncio.gather(*(model.replies([r]) for r in asked), return_exceptions=True)
            answered = [f for f in found if isinstance(f, list)]
            assert 6 <= len(answered) and all(isinstance(f, list | BudgetError) for f in found)
            assert model.budget.spent_tokens == sum(r.tokens_in + r.tokens_out for [r] in answered) <= 6 * worst
            sizes = [b["request_counts"]["total"] for b in (await got(base(model), "/batches"))["data"]][::-1]
            assert max(sizes) <= 6 and len(sizes) > 1

    asyncio.run(main())


def test_results_that_cannot_be_read_are_not_taken_for_missing_ones() -> None:
    good = b'{"custom_id":"a","response":{"status_code":200,"body":{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":1,"completion_tokens":2}}}}\n'
    assert results(good + good.replace(b'"x"', b'"y"'), {}) == {"a": Reply(text="x", tokens_in=1, tokens_out=2)}, "the first, where a key comes twice"
    with pytest.raises(Damaged, match="line 2"):
        results(good + good[:50], {})


def test_without_a_folder_it_does_not_begin(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path) as model:
            model.folder = None
            with pytest.raises(ModelError, match="run folder"):
                await model.replies(requests(1))

    asyncio.run(main())
