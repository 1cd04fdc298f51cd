"""`groundling jobs` beside runs that are at work, and of models that go on from another run's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from groundling.commands import jobs
from groundling.config import Endpoint
from groundling.errors import ConfigError, MachineError, ModelError
from groundling.llm import fake
from groundling.llm.api import Api
from groundling.llm.budget import Cost
from groundling.llm.hosted import describe
from groundling.llm.tunehttp import TuneHttp
from groundling.llm.tunestore import Job, JobStore
from groundling.llm.tunewire import State
from groundling.runs import Run, open_run
from groundling.verify import ready, verify

LINES = [json.dumps({"messages": [{"role": role, "content": f"{role} {n}"} for role in ("user", "assistant")]}).encode() + b"\n" for n in range(12)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fake.running("--set", "tuning.seconds=600") as address:
        yield address


def endpoint(url: str, **changes: Any) -> Endpoint:
    return Endpoint(**({"base_url": url, "model": "m", "price_in": 1, "price_out": 2, "price_train": 25} | changes))


def opened(root: Path, models: dict[str, Endpoint], said: list[str] | None = None, base: str = "gpt", **more: Any) -> Run:
    """The run `runs/b` of a project whose model a provider trains."""
    (root / "p" / "documents").mkdir(parents=True, exist_ok=True)
    (root / "p" / "documents" / "a.md").write_text("# A\n\nThe Katla 200 weighs 11 kg.\n")
    known = {name: one.model_dump(mode="json") for name, one in models.items()}
    data = {"name": "b", "documents": "documents", "models": known, "train": {"method": "api", "base": base}} | more
    (root / "p" / "groundling.yaml").write_text(yaml.safe_dump(data))
    return open_run(root / "p", root / "runs" / "b", [], said.append if said is not None else lambda text: None)


def held(root: Path, at: Endpoint) -> None:
    """A finished run `runs/a` whose model a provider holds."""
    folder = root / "runs" / "a" / "6-model"
    folder.mkdir(parents=True)
    (folder / "groundling.json").write_text(json.dumps({"method": "api", "format": "raft", **describe("gpt", at, "ft:m:a")}))
    (folder / "record.json").write_text(json.dumps({"fingerprint": "f", "settings": {}, "inputs": {}, "seed": 7, "counts": {}}))


def noted(run: Run, at: Endpoint, made: bool, **values: Any) -> Job:
    """A job in the run's journal, as it stands before its id is told; `made` at the provider or not."""

    async def make() -> tuple[str, str]:
        calls = TuneHttp(Api("gpt", at))
        try:
            file = await calls.upload(LINES, "fine-tune")
            return file, await calls.make({"model": at.model, "training_file": file}) if made else ""
        finally:
            await calls.api.close()

    run.space.root.mkdir(parents=True, exist_ok=True)
    store = JobStore(run.space.journal)
    try:
        file, id = asyncio.run(make())
        job = store.plan("mark", ("gpt", at.base_url, at.model), Cost(1000, 0, 0.5))
        return store.note(job, file=file, **({"id": id} if values.pop("told", False) else {}), **values)
    finally:
        store.close()


def there(run: Run) -> list[Job]:
    store = JobStore(run.space.journal)
    try:
        return store.all()
    finally:
        store.close()


def test_a_job_that_a_run_may_be_making_is_not_forgotten(tmp_path: Path, url: str) -> None:
    run = opened(tmp_path, {"gpt": endpoint(url)})
    job = noted(run, endpoint(url), made=False)
    with run.space.lock():
        with pytest.raises(MachineError, match="may be having the job made this very moment"):
            jobs.tell(run, cancel=True, as_json=False)
        assert there(run) == [job]
        jobs.tell(run, cancel=False, as_json=False)
        assert there(run) == [job], "looking needs no lock"
    jobs.tell(run, cancel=True, as_json=False)
    assert there(run) == [], "nobody is at work, and the provider lists none: it was not made"


def test_a_job_whose_id_was_not_told_is_found_and_ended(tmp_path: Path, url: str) -> None:
    run = opened(tmp_path, {"gpt": endpoint(url)})
    noted(run, endpoint(url), made=True)
    jobs.tell(run, cancel=True, as_json=False)
    [job] = there(run)
    assert (job.status, job.over) == ("cancelled", 1) and job.id


def test_a_job_with_an_id_is_ended_beside_the_run_that_waits_for_it(tmp_path: Path, url: str) -> None:
    said: list[str] = []
    run = opened(tmp_path, {"gpt": endpoint(url)}, said)
    noted(run, endpoint(url), made=True, told=True)
    with run.space.lock():
        jobs.tell(run, cancel=True, as_json=False)
    assert there(run)[0].status == "cancelled" and "cancelled" in said[-1]


@pytest.mark.parametrize("cancel", [False, True])
def test_a_job_whose_model_a_run_takes_while_it_is_looked_at_stays_taken(
    tmp_path: Path, url: str, cancel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    run = opened(tmp_path, {"gpt": endpoint(url)}, said)
    job = noted(run, endpoint(url), made=True, told=True)

    def while_a_run(does: str) -> None:
        async def state(calls: TuneHttp, id: str) -> State:
            store = JobStore(run.space.journal)
            store.forget(job) if does == "forgets" else store.note(job, status="succeeded", tuned="ft:best", usd=0.1, over=1)
            store.close()
            return State("succeeded", "ft:last", 100, "", "", 2, None)

        monkeypatch.setattr(TuneHttp, "state", state)
        monkeypatch.setattr(TuneHttp, "cancel", state)
        jobs.tell(run, cancel=cancel, as_json=False)

    while_a_run("takes its model")
    [now] = there(run)
    assert (now.tuned, now.usd, now.over) == ("ft:best", 0.1, 1)
    assert "was done with the job" in said[0] and "-> ft:best" in said[-1] and "had ended" not in "".join(said)
    store = JobStore(run.space.journal)
    store.note(job, over=0)
    store.close()
    while_a_run("forgets")
    assert there(run) == []


def test_as_json_nothing_else_is_printed(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def state(calls: TuneHttp, id: str) -> State:
        calls.api.say("It does not answer.")
        return State("running", "", None, "", "", 2, None)

    monkeypatch.setattr(TuneHttp, "state", state)
    for as_json in (False, True):
        said: list[str] = []
        run = opened(tmp_path, {"gpt": endpoint(url)}, said)
        if not as_json:
            noted(run, endpoint(url), made=True, told=True)
        jobs.tell(run, cancel=False, as_json=as_json)
        assert (said[0] == "It does not answer.") == (not as_json)
    assert [job["status"] for job in json.loads(said[0])] == ["running"] and len(said) == 1


def test_a_job_on_another_run_s_model_is_found_where_only_that_run_knows_the_endpoint(tmp_path: Path, url: str) -> None:
    held(tmp_path, endpoint(url))
    said: list[str] = []
    run = opened(tmp_path, {}, said, base="run:a")
    noted(run, endpoint(url), made=True, told=True)
    jobs.tell(run, cancel=False, as_json=False)
    assert "under way" in said[-1]
    jobs.tell(run, cancel=True, as_json=False)
    assert there(run)[0].status == "cancelled"
    noted(run, endpoint(url), made=True, told=True)
    held_no_more = opened(tmp_path, {"gpt": endpoint("http://127.0.0.1:1/v1")})
    with pytest.raises(ModelError, match="does not name any more. Put it back"):
        jobs.tell(held_no_more, cancel=True, as_json=False)


def test_a_job_that_succeeded_and_names_no_model_is_left_to_the_run_unless_it_is_given_up(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nameless(calls: TuneHttp, job: str) -> State:
        return State("succeeded", "", 100, "", "", 0, None)

    said: list[str] = []
    run = opened(tmp_path, {"gpt": endpoint(url)}, said)
    noted(run, endpoint(url), made=True, told=True)
    monkeypatch.setattr(TuneHttp, "state", nameless)
    jobs.tell(run, cancel=False, as_json=False)
    assert (there(run)[0].status, there(run)[0].over) == ("succeeded", 0) and "no model" in said[-1]
    jobs.tell(run, cancel=True, as_json=False)
    [job] = there(run)
    assert (job.over, job.usd) == (1, pytest.approx(100 * 25 / 1e6)) and "is ready" not in "".join(said)


def test_the_key_of_the_endpoint_that_holds_another_run_s_model_is_asked_for_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at = endpoint("http://127.0.0.1:1/v1", key_env="TEST_PROVIDER_KEY")
    held(tmp_path, at)
    monkeypatch.delenv("TEST_PROVIDER_KEY", raising=False)
    run = opened(tmp_path, {}, base="run:a")
    for stages in (["ingest", "train"], ["evaluate"]):
        with pytest.raises(ModelError, match='"TEST_PROVIDER_KEY" is not set'):
            ready(run, stages)
    ready(run, ["ingest", "curate"])  # nobody is asked
    monkeypatch.setenv("TEST_PROVIDER_KEY", "k")
    ready(run, ["train"])


def test_a_budget_of_money_needs_the_prices_of_the_evaluation_too(tmp_path: Path) -> None:
    where = "http://127.0.0.1:1/v1"
    for missing in ({"price_in": 0}, {"price_out": 0}):
        run = opened(tmp_path, {"gpt": endpoint(where, **missing)}, budget_usd=1)
        for wanted in (["train", "evaluate"], ["evaluate"]):
            with pytest.raises(ConfigError, match="budget_usd is set, but models.gpt lacks price_in or price_out"):
                verify(run, wanted)
        verify(run, ["train"])
        verify(opened(tmp_path, {"gpt": endpoint(where, **missing)}, budget_tokens=1000), ["evaluate"])
    own = endpoint(where, price_in=0, price_out=0, tuned_price_in=1, tuned_price_out=2)
    with pytest.raises(ConfigError, match="lacks price_in or price_out"):
        verify(opened(tmp_path, {"gpt": own}, budget_usd=1), ["evaluate"])
    verify(opened(tmp_path, {"gpt": own}, budget_usd=1, evaluate={"compare": False}), ["evaluate"])  # the tuned model alone is asked
    verify(opened(tmp_path, {"gpt": endpoint(where)}, budget_usd=1), ["train", "evaluate"])
