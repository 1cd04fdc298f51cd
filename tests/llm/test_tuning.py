"""A provider's fine-tuning job over real HTTP: made once and paid for once, whatever breaks or whenever the run is killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from groundling.config import Endpoint
from groundling.errors import BudgetError, ModelError, StaleError
from groundling.llm import fake
from groundling.llm.api import Api
from groundling.llm.base import Reply, Request
from groundling.llm.budget import Budget, Cost
from groundling.llm.completions import Damaged
from groundling.llm.fake import wire
from groundling.llm.fake.chance import Chance
from groundling.llm.fake.tuning import Tuning
from groundling.llm.journal import Journal, Origin
from groundling.llm.tunestore import JobStore
from groundling.llm.tunewire import curve, newest, plain, shown, state
from groundling.llm.tuning import Tuner, Wanted

ROWS = 12


def wanted(word: str = "call", held_out: int = 0, usd: float = 0.5, **order: Any) -> Wanted:
    def lines(start: int, count: int) -> list[bytes]:
        talks = [[{"role": "user", "content": f"{word} {n}"}, {"role": "assistant", "content": f"answer {n}"}] for n in range(start, start + count)]
        return [json.dumps({"messages": talk}).encode() + b"\n" for talk in talks]

    asked = {"model": "m", "seed": 7, "hyperparameters": {"n_epochs": 2}} | order
    return Wanted(lines(0, ROWS), lines(ROWS, held_out), [f"e{n}" for n in range(ROWS)], asked, 2, Cost(1000, 0, usd), "my-run")


def tuner(url: str, folder: Path, said: list[str] | None = None, **changes: Any) -> Tuner:
    endpoint = Endpoint(base_url=url, model="m", price_train=500, **changes)
    made = Tuner(Api("gpt", endpoint), JobStore(folder / "journal.sqlite"), folder, said.append if said is not None else lambda text: None)
    made.poll, made.calls.waits = (0.02, 0.1), (0.02, 0.1)
    return made


def limits(folder: Path, usd: float = 0, tokens: int = 0) -> Budget:
    journal = Journal(folder / "journal.sqlite")
    try:
        return Budget(usd, tokens, journal)
    finally:
        journal.close()


async def ended(made: Tuner) -> None:
    await made.api.close()
    made.store.close()


@asynccontextmanager
async def played(folder: Path, endpoint: dict[str, Any] | None = None, said: list[str] | None = None, **script: Any) -> AsyncIterator[Tuner]:
    async with fake.serving(fake.Script(**script)) as url:
        made = tuner(url, folder, said, **(endpoint or {}))
        try:
            yield made
        finally:
            await ended(made)


async def listed(url: str) -> list[dict[str, Any]]:
    async with aiohttp.ClientSession() as session, session.get(url + "/fine_tuning/jobs?limit=100") as response:
        return (await response.json())["data"]


def test_a_job_is_made_and_its_model_says_what_it_was_taught(tmp_path: Path) -> None:
    async def main() -> None:
        said: list[str] = []
        async with played(tmp_path, said=said, tuning={"seconds": 0.3}) as made:
            job, told = await made.train(wanted(held_out=3), limits(tmp_path))
            [there] = await listed(made.api.endpoint.base_url)
            assert (there["model"], there["seed"], there["suffix"]) == ("m", 7, "my-run") and there["validation_file"]
            assert job.id == there["id"] and told.tuned == there["fine_tuned_model"] == "ft:m:groundling:my-run:0000"
            assert job.tokens == there["trained_tokens"] > 0 and job.usd == pytest.approx(job.tokens * 500 / 1e6)
            assert not job.over, "it is open until its model is taken into the run"
            assert [s.split()[-1] for s in said][-1] == "succeeded" and len(said) > 1
            view = made.view()
            assert view.total == 2 * ROWS and view.facts["loss"] and view.facts["job"] == job.id
            tuned = Api("gpt", made.api.endpoint.model_copy(update={"model": told.tuned}))
            [reply] = await tuned.replies([Request(messages=[{"role": "user", "content": "call 3"}])])
            assert reply.text == "answer 3"
            await tuned.close()
            stranger = Api("gpt", made.api.endpoint.model_copy(update={"model": "ft:m:groundling:other:0000"}))
            with pytest.raises(ModelError, match="404"):
                await stranger.replies([Request(messages=[{"role": "user", "content": "call 3"}])])
            await stranger.close()

    asyncio.run(main())


def test_pairs_are_a_job_of_the_method_dpo(tmp_path: Path) -> None:
    async def main() -> None:
        def line(n: int) -> bytes:
            said = {name: [{"role": "assistant", "content": f"{name} {n}"}] for name in ("preferred_output", "non_preferred_output")}
            return json.dumps({"input": {"messages": [{"role": "user", "content": f"call {n}"}]}, **said}).encode() + b"\n"

        method = {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "beta": 0.3}}}
        pairs = wanted(method=method)._replace(training=[line(n) for n in range(ROWS)])
        del pairs.order["hyperparameters"]
        async with played(tmp_path) as made:
            _, told = await made.train(pairs, limits(tmp_path))
            [there] = await listed(made.api.endpoint.base_url)
            assert there["method"]["dpo"]["hyperparameters"]["beta"] == 0.3 and told.epochs == 2
            tuned = Api("gpt", made.api.endpoint.model_copy(update={"model": told.tuned}))
            [reply] = await tuned.replies([Request(messages=[{"role": "user", "content": "call 3"}])])
            assert reply.text == "preferred_output 3"
            await tuned.close()

    asyncio.run(main())


FAULTS = ["server_error", "refused", "reset", "cut_body", "short_body", "html", "invalid_json", "slow_body", "hang"]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_call_may_break_and_no_job_is_made_twice(tmp_path: Path, fault: str) -> None:
    """The fake breaks its answers after the deed: a job was made although nobody was told. A call that hangs is given up after the timeout."""

    async def main() -> None:
        seed = 0
        while not all(Chance(fake.Script(wire={fault: 0.4}, seed=seed)).wire(what, 0) for what in ("POST /files", "POST /fine_tuning/jobs")):
            seed += 1
        script = {"wire": {fault: 0.4}, "slow_seconds": 0.1, "seed": seed, "retry_after": 0, "tuning": {"seconds": 0.2}}
        async with played(tmp_path, {"timeout": 0.3}, **script) as made:
            job, told = await made.train(wanted(), limits(tmp_path))
            assert (job.status, told.status) == ("succeeded", "succeeded")
            assert len(curve(plain(await made.calls.content(told.results)))) == 2 * ROWS
            assert await made.calls.made_of("no such file") is None
            assert await made.calls.made_of(job.file or "") == job.id == "ftjob-0000", "the first and only one"
            assert len((await made.calls._insist("GET", "/fine_tuning/jobs"))["data"]) == 1

    asyncio.run(main())


def test_an_upload_that_is_cut_is_sent_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, cut_uploads=3) as made:
            await made.train(wanted(held_out=3), limits(tmp_path))
            assert len(await listed(made.api.endpoint.base_url)) == 1

    asyncio.run(main())


def test_a_failed_job_tells_its_reason_and_the_same_command_makes_a_new_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, tuning={"outcome": "failed", "reason": "Your account is on hold."}) as made:
            with pytest.raises(ModelError, match=r'job ftjob-0000 of "gpt" failed: Your account is on hold\. Mend that first\. It cost 0\.0000 USD'):
                await made.train(wanted(), limits(tmp_path))
            assert made.store.open() == [] and limits(tmp_path).spent_usd == 0
            with pytest.raises(ModelError, match="ftjob-0001"):
                await made.train(wanted(), limits(tmp_path))

    asyncio.run(main())


def test_a_line_that_the_provider_refuses_is_named_as_the_example_that_it_is(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, tuning={"bad_line": 5}) as made:
            with pytest.raises(ModelError, match=r"Line 5: the script says so\. Line 5 is the example e4\."):
                await made.train(wanted(), limits(tmp_path))
        few = wanted()._replace(training=wanted().training[:9])
        async with played(tmp_path) as made:
            with pytest.raises(ModelError, match="Training file has 9 example"):
                await made.train(few, limits(tmp_path))

    asyncio.run(main())


def test_a_job_that_was_cancelled_at_the_provider_is_told_with_its_cost(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, tuning={"outcome": "cancelled"}) as made:
            with pytest.raises(ModelError, match="was cancelled at the provider"):
                await made.train(wanted(), limits(tmp_path))
            [job] = made.store.all()
            assert job.over and job.tokens > 0 and job.usd > 0 and limits(tmp_path).spent_usd == pytest.approx(job.usd)

    asyncio.run(main())


def test_what_a_provider_does_not_list_is_done_without(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path, tuning={"seconds": 0.3, "lists": False, "base64": False}) as made:
            job, told = await made.train(wanted(held_out=3), limits(tmp_path))
            assert await made.calls.checkpoints(job.id or "") == [] and made.view().total == 0
            assert "held_out_loss" in curve(plain(await made.calls.content(told.results)))[ROWS - 1]

    asyncio.run(main())


def test_a_refusal_leaves_nothing_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path) as made:
            with pytest.raises(ModelError, match="Unrecognized request argument supplied: colour"):
                await made.train(wanted(colour="blue"), limits(tmp_path))
            assert made.store.all() == []
        async with played(tmp_path, always=401) as made:
            with pytest.raises(ModelError, match="401"):
                await made.train(wanted(), limits(tmp_path))
            assert made.store.all() == []

    asyncio.run(main())


def test_above_the_budget_nothing_goes_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path) as made:
            journal = Journal(tmp_path / "journal.sqlite")
            journal.put({"k": Reply(text="", tokens_in=10)}, Origin("gpt", paid=True), 0.2)
            journal.close()
            with pytest.raises(BudgetError, match=r"may take 1,000 tokens, 0\.5000 USD, .* 0\.2000 of budget_usd 0\.6 .* No job was made"):
                await made.train(wanted(), limits(tmp_path, usd=0.6))
            with pytest.raises(BudgetError, match="10 of budget_tokens 1,009"):
                await made.train(wanted(), limits(tmp_path, tokens=1009))
            assert made.store.all() == [] and await listed(made.api.endpoint.base_url) == []
            await made.train(wanted(), limits(tmp_path, usd=0.7, tokens=1010))
            assert limits(tmp_path).spent_usd == pytest.approx(0.2 + made.store.all()[0].usd), "what the job cost is spent"

    asyncio.run(main())


@pytest.mark.parametrize("status", [b"201 Created", b"202 Accepted"])
def test_what_was_made_is_made_whatever_success_is_called(tmp_path: Path, status: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Tuning._create

    def created(self: Tuning, body: bytes) -> wire.Raw:
        return wire.Raw(real(self, body).data.replace(b"200 OK", status, 1))

    async def main() -> None:
        monkeypatch.setattr(Tuning, "_create", created)
        async with played(tmp_path) as made:
            job, _ = await made.train(wanted(), limits(tmp_path))
            assert [j["id"] for j in await listed(made.api.endpoint.base_url)] == [job.id] and made.store.open() == [job]

    asyncio.run(main())


def breaking(monkeypatch: pytest.MonkeyPatch, behind: int, then: wire.Raw | None = None) -> list[str]:
    """The first job is made and nobody is told; the list shows no job the first `behind` times; further orders get `then`. What was asked."""
    real, asked = Tuning.answer, list[str]()

    async def answer(self: Tuning, request: web.BaseRequest, parts: list[str]) -> wire.Raw | None:
        if parts != ["fine_tuning", "jobs"]:
            return await real(self, request, parts)
        asked.append(request.method)
        if request.method == "GET" and asked.count("GET") <= behind:
            return wire.json({"object": "list", "data": [], "has_more": False})
        if request.method == "POST" and asked.count("POST") > 1 and then:
            return then
        told = await real(self, request, parts)
        return wire.Raw(b"", keep_alive=False, abort=True) if asked == ["POST"] else told

    monkeypatch.setattr(Tuning, "answer", answer)
    return asked


def test_a_list_that_is_a_moment_behind_makes_no_second_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        asked = breaking(monkeypatch, behind=1)
        async with played(tmp_path) as made:
            job, _ = await made.train(wanted(), limits(tmp_path))
            assert (job.id, asked) == ("ftjob-0000", ["POST", "GET", "GET"])

    asyncio.run(main())


def test_a_refusal_after_a_lost_answer_forgets_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        asked = breaking(monkeypatch, behind=3, then=wire.error(400, "no more of these"))
        async with played(tmp_path) as made:
            with pytest.raises(ModelError, match="no more of these"):
                await made.train(wanted(), limits(tmp_path))
            [job] = made.store.open()
            assert job.file and not job.id and asked == ["POST", "GET", "GET", "POST"]
            found, _ = await made.train(wanted(), limits(tmp_path))
            assert found.id == "ftjob-0000" and asked.count("POST") == 2, "the next run finds the one that was made"

    asyncio.run(main())


@pytest.mark.parametrize("late", [3, 1000])
def test_a_job_that_names_no_model_is_looked_at_again_and_then_over(tmp_path: Path, late: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name may come a moment after its success; where it never comes, the same command makes a new job, as is said."""
    real, looks = Tuning.told, list[str]()

    def told(self: Tuning, job: Any) -> dict[str, Any]:
        found = real(self, job)
        looks.extend([job.id] if found["status"] == "succeeded" else [])
        return found if looks.count(job.id) > late else found | {"fine_tuned_model": None}

    async def main() -> None:
        monkeypatch.setattr(Tuning, "told", told)
        async with played(tmp_path) as made:
            if late < 1000:
                job, state = await made.train(wanted(), limits(tmp_path))
                assert (job.tuned, job.over) == (state.tuned, 0) and state.tuned
                return
            for number in range(2):
                with pytest.raises(ModelError, match=rf'job ftjob-000{number} of "gpt" ended without a model: .* The same command makes a new one'):
                    await made.train(wanted(), limits(tmp_path))
                assert made.store.open() == [] and limits(tmp_path).spent_usd > 0

    asyncio.run(main())


async def left(url: str, folder: Path, **changes: Any) -> str:
    """A job that is under way, whose run was stopped; its id."""
    made = tuner(url, folder)
    task = asyncio.ensure_future(made.train(wanted(**changes), limits(folder)))
    while not (jobs := made.store.all()) or not jobs[0].id:
        await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert "goes on at gpt" in made.interrupted() and f"groundling jobs {folder} --cancel" in made.interrupted()
    await ended(made)
    return jobs[0].id or ""


@pytest.mark.parametrize("known", ["id", "file", "plan"])
def test_a_run_that_was_stopped_goes_on_with_its_job(tmp_path: Path, known: str) -> None:
    """Stopped after the id was written down, before that, and before the file was."""

    async def main() -> None:
        async with fake.serving(fake.Script(tuning={"seconds": 1.5})) as url:
            first = await left(url, tmp_path)
            assert limits(tmp_path).spent_usd == 0.5, "what it may cost at most counts from the start"
            again = tuner(url, tmp_path)
            [job] = again.store.open()
            if known != "id":
                job = again.store.note(job, id=None)
            if known == "plan":
                again.store.note(job, file=None)
            done, _ = await again.train(wanted(), limits(tmp_path, usd=0.01))
            assert len(await listed(url)) == (2 if known == "plan" else 1), "a job whose file was never noted cannot have been made"
            assert (done.id == first) == (known != "plan") and len(again.store.all()) == 1
            await ended(again)

    asyncio.run(main())


def test_other_work_waits_for_the_job_that_is_open(tmp_path: Path) -> None:
    async def main() -> None:
        async with fake.serving(fake.Script(tuning={"seconds": 30})) as url:
            first = await left(url, tmp_path)
            again = tuner(url, tmp_path)
            for other in (wanted("other"), wanted(hyperparameters={"n_epochs": 3}), wanted(held_out=3)):
                with pytest.raises(StaleError, match=f"job {first} with other examples or settings is under way at gpt"):
                    await again.train(other, limits(tmp_path))
            assert len(await listed(url)) == 1
            told = await again.calls.cancel(first)
            assert told is not None and told.status == "cancelled"
            with pytest.raises(ModelError, match="cancelled"):
                await again.train(wanted(), limits(tmp_path))
            await ended(again)

    asyncio.run(main())


def test_a_job_that_the_provider_forgot_is_said_to_be_gone(tmp_path: Path) -> None:
    async def main() -> None:
        async with fake.serving(fake.Script(tuning={"seconds": 30})) as url:
            await left(url, tmp_path)
            again = tuner(url, tmp_path)
            again.store.note(again.store.open()[0], id="ftjob-9999")
            with pytest.raises(ModelError, match="does not know the job ftjob-9999 any more"):
                await again.train(wanted(), limits(tmp_path))
            await ended(again)

    asyncio.run(main())


def test_a_model_that_was_not_taken_into_the_run_is_not_paid_for_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with played(tmp_path) as made:
            job, _ = await made.train(wanted(), limits(tmp_path))
            same, _ = await made.train(wanted(), limits(tmp_path))
            assert same.id == job.id
            made.store.note(same, over=1)
            taken, _ = await made.train(wanted(), limits(tmp_path), taken=job.id or "")
            assert taken.id == job.id and taken.over
            new, _ = await made.train(wanted(), limits(tmp_path))
            assert new.id != job.id, "asked for once more, it is made once more"

    asyncio.run(main())


KILLED = """
import asyncio, sys
from pathlib import Path
from tests.llm.test_tuning import ended, limits, tuner, wanted
async def main():
    made = tuner(sys.argv[1], Path(sys.argv[2]))
    job, state = await made.train(wanted(), limits(Path(sys.argv[2])))
    await ended(made)
    print(state.tuned)
asyncio.run(main())
"""


def noted(folder: Path, what: str) -> bool:
    if not (folder / "journal.sqlite").exists():
        return False
    with contextlib.closing(sqlite3.connect(folder / "journal.sqlite")) as db, contextlib.suppress(sqlite3.OperationalError):
        return db.execute(f"SELECT count({what}) FROM jobs").fetchone()[0] > 0
    return False


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fake.running("--set", "tuning.seconds=1.5") as address:
        yield address


@pytest.mark.parametrize("step", ["id", *(pytest.param(late, marks=pytest.mark.slow) for late in ("number", "file", "made"))])
def test_killed_at_any_step_it_pays_once(tmp_path: Path, url: str, step: str) -> None:
    """Killed as soon as its id is noted, the job is planned, its file noted, it is made (told or not)."""
    before = len(asyncio.run(listed(url)))
    command = [sys.executable, "-c", KILLED, url, str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not (len(asyncio.run(listed(url))) > before if step == "made" else noted(tmp_path, step)):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.communicate()[0] == "", "it was not done yet"
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == f"ft:m:groundling:my-run:{before:04d}", done.stderr
    assert len(asyncio.run(listed(url))) == before + 1


def test_what_a_provider_tells_is_read_as_it_is_meant() -> None:
    told = {
        "status": "failed",
        "error": {"message": "Bad file.\n Line 12 is empty"},
        "method": {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 4}}},
    }
    found = state(told)
    assert (found.reason, found.line, found.epochs, found.tokens, found.tuned) == ("Bad file. Line 12 is empty", 12, 4, None, "")
    assert state({"status": "running", "hyperparameters": {"n_epochs": "auto"}, "error": None}).epochs == "auto"
    for wrong in ({}, [], {"status": None}, "page"):
        with pytest.raises(Damaged):
            state(wrong)
    events = {"data": [{"message": "hello"}, {"message": "Step 30/120: training loss=0.5", "data": {"step": 30, "train_loss": 0.5}}]}
    assert newest(events) == (30, 120, 0.5) and newest(None) is None and newest({"data": []}) is None


def test_a_curve_is_read_from_csv_in_base64_or_not() -> None:
    import base64

    csv = b"step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n1,2.5,0.1,,\n2,1.5,0.2,1.75,0.3\nx,,,,\n"
    points = [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.5, "held_out_loss": 1.75}]
    assert curve(plain(csv)) == curve(plain(base64.b64encode(csv))) == points
    assert curve(b"not a table") == [] and plain(b"\xff no base64") == b"\xff no base64"
    many = [{"step": n, "loss": 1.0} for n in range(1000)] + [{"step": 1000, "held_out_loss": 1.0}]
    assert len(shown(many)) <= 201 and shown(many)[0]["step"] == 0 and shown(many)[-1]["step"] == 999
