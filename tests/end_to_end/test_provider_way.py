"""A model that a provider trains, the whole way over real HTTP: documents in, a job, scores, a chat; killed, interrupted, redone, refused."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from groundling import pipeline
from groundling.answer import Answerer, Asked
from groundling.commands import jobs
from groundling.commands.inspecting import show
from groundling.commands.plan import plan
from groundling.commands.predicting import predict
from groundling.commands.running import after_evaluate
from groundling.commands.walking import Wanted, walk
from groundling.doctor import checks
from groundling.errors import BudgetError, ConfigError, ModelError, StaleError
from groundling.grounding import FORMATS
from groundling.llm import fake, tuning
from groundling.llm.journal import Journal
from groundling.llm.weights import trained
from groundling.records import Example
from groundling.runs import Run, open_run, service, tuned
from groundling.serve.service import ask

from .conftest import written

KEY = "a-key-that-is-written-nowhere"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The provider, as a process of its own."""
    with fake.running("--set", f"key={KEY}", "--set", "tuning.seconds=0.5", "--set", "tuning.best_epoch=2") as address:
        yield address


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "POLL", (0.05, 0.1))
    monkeypatch.setenv("PROVIDER_KEY", KEY)


def project(root: Path, url: str, questions: bool = True, **train: Any) -> Path:
    endpoint = {"base_url": url, "model": "tiny-1", "key_env": "PROVIDER_KEY", "price_in": 1, "price_out": 2, "price_train": 25}
    data = {
        "name": "small", "documents": "documents", "chunk": {"size": 220, "overlap": 30}, "models": {"gpt": endpoint}, "budget_usd": 5,
        "train": {"method": "api", "base": "gpt", "epochs": 3} | train, "evaluate": {"k": [2], "batch": 4, "max_tokens": 24, "prompt_trials": 3},
        "serve": {"k": 2},
    }  # fmt: skip
    return written(root, yaml.safe_dump(data), questions)


def opened(where: Path, out: Path, *settings: str, said: list[str] | None = None) -> Run:
    return open_run(where, out, list(settings), said.append if said is not None else lambda text: None)


def listed(url: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(f"{url}/fine_tuning/jobs?limit=100", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request) as response:
        return json.loads(response.read())["data"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, url: str) -> Path:
    """A finished run `runs/small`, its project beside it."""
    root = tmp_path_factory.mktemp("provider")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tuning, "POLL", (0.05, 0.1))
        patch.setenv("PROVIDER_KEY", KEY)
        said: list[str] = []
        run = opened(project(root / "project", url), root / "runs" / "small", said=said)
        pipeline.run_stages(run)
        after_evaluate(run, None)
    (root / "said.txt").write_text("\n".join(said))
    return root


def again(finished: Path, *settings: str, said: list[str] | None = None) -> Run:
    return opened(finished / "project", finished / "runs" / "small", *settings, said=said)


def test_the_record_holds_job_model_cost_and_losses(finished: Path) -> None:
    run = again(finished)
    notes, said = run.space.record("train")["notes"], (finished / "said.txt").read_text()
    assert notes["model"].startswith("ft:tiny-1:groundling:small:") and notes["model"].endswith(":ckpt-step-28"), "of the best epoch, not the last"
    assert notes["usd"] == pytest.approx(notes["trained_tokens"] * 25 / 1e6) and notes["job"].startswith("ftjob-") and notes["rows"] == 14
    assert (run.space.folder("train") / notes["metrics"]).read_text().startswith("step,train_loss")
    assert notes["log"][0]["loss"] > notes["log"][-1]["loss"] and sum("held_out_loss" in p for p in notes["log"]) == 3
    assert f"{notes['model']} by the job {notes['job']}" in said
    journal = Journal(run.space.journal)
    assert notes["usd"] < journal.spent().usd < notes["usd"] + 0.1, "what the job and the evaluation cost"
    journal.close()
    assert notes["model"] in run.space.report.read_text()
    assert {s.name: s.state for s in pipeline.states(run)} == dict.fromkeys(pipeline.NAMES, "done")
    rows = [json.loads(line) for line in run.space.data("evaluate").read_text().splitlines()]
    assert {r["model"] for r in rows} == {"base", "tuned"}


def test_no_key_is_written_anywhere(finished: Path) -> None:
    for path in finished.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_the_tuned_model_says_what_it_was_taught_and_nothing_is_asked_twice(finished: Path, url: str) -> None:
    run = again(finished)
    examples = [e for e in run.space.read("curate", Example) if e.split == "train"][:5]
    model, journal = tuned(run), Journal(run.space.journal)
    before = len(journal)
    for _ in range(2):  # each time in an event loop of its own
        found = asyncio.run(Answerer(model, FORMATS["raft"]).answers([Asked(e.question, e.passages) for e in examples]))
        assert [a.turns for a in found] == [FORMATS["raft"].target(e) for e in examples]
    assert before < len(journal) <= before + 5 and any(a.citations for a in found)
    journal.close()


def test_predict_retrieves_as_many_passages_as_it_is_told(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from groundling.serve import service as served

    found, asked = [], served.ask

    async def watched(*given: Any) -> Any:
        told = await asked(*given)
        found.append(len(told.hits))
        return told

    monkeypatch.setattr(served, "ask", watched)
    for k in (1, None, 3):
        predict(again(finished, said=[]), "How heavy is the Katla 200?", None, True, k)
    assert found == [1, 2, 3]


def test_chat_predict_and_server_ask_it(finished: Path) -> None:
    said: list[str] = []
    run = again(finished, said=said)
    told = asyncio.run(ask(service(run), "How heavy is the Katla 200?"))
    assert told.answer.text and len(told.hits) == 2
    predict(run, "How heavy is the Katla 200?", None, as_json=True)
    assert json.loads(said[-1])["answer"]["text"] == told.answer.text, "the journal knows it"
    from starlette.testclient import TestClient

    from groundling.serve.app import create_app

    with TestClient(create_app(service(run)), base_url="http://127.0.0.1") as client:
        body = {"messages": [{"role": "user", "content": "How heavy is the Katla 200?"}]}
        replied = client.post("/v1/chat/completions", json=body)
        assert replied.status_code == 200 and replied.json()["choices"][0]["message"]["content"]


def test_another_run_takes_it_as_teacher_or_goes_on_training_it(finished: Path, tmp_path: Path, url: str) -> None:
    beside = finished / "runs" / "next"
    where = project(tmp_path / "next", url, base="run:small")
    run = opened(where, beside, "name=next")
    asked = run.model("run:small")
    tuned_name = again(finished).space.record("train")["notes"]["model"]
    assert (asked.name, asked.endpoint.model) == ("gpt", tuned_name) and run.judge("run:small").endpoint.model == tuned_name
    pipeline.run_stages(run, last="train")
    assert run.space.record("train")["notes"]["started_from"] == tuned_name
    with pytest.raises(ModelError, match=r"trained by a provider and is held there .*: there are no weights here"):
        opened(where, finished / "runs" / "third", "train.method=lora").base()


def test_the_agent_asks_it_too(finished: Path) -> None:
    said: list[str] = []
    run = again(finished, said=said)
    walk(run.space.root, Wanted("How heavy is the Katla 200?", None, "run:small", "", 1, 1, None, True), said.append)
    assert json.loads(said[-1])["steps"]
    with pytest.raises(ModelError, match="was taught the format raft"):
        walk(run.space.root, Wanted("How heavy?", None, "", "", 1, 1, None, True), said.append)


def test_labels_are_taught_and_asked_for(tmp_path: Path, url: str) -> None:
    where = project(tmp_path / "p", url, questions=False)
    labels = {"refund": "wants money back", "login": "cannot sign in"}
    rows = [f"Message {n} says: {meaning},{label}" for label, meaning in labels.items() for n in range(12)]
    (where / "messages.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    config = yaml.safe_load((where / "groundling.yaml").read_text())
    config |= {"synthesize": {"recipe": "classification", "options": {"data": "messages.csv", "labels": labels}}, "held_out": 0.25}
    config["train"]["format"] = "labels"
    (where / "groundling.yaml").write_text(yaml.safe_dump(config))
    said: list[str] = []
    run = opened(where, tmp_path / "run", said=said)
    pipeline.run_stages(run)
    scores = json.loads((run.space.folder("evaluate") / "scores.json").read_bytes())
    assert {s["model"] for s in scores} == {"base", "tuned"} and all(s["value"] is not None for s in scores if s["metric"] == "accuracy")
    predict(run, "Where is my money?", None, as_json=True)
    assert json.loads(said[-1])["label"] in labels and json.loads(said[-1])["scores"] == {}, "how likely each is, nobody says"


def test_what_needs_weights_is_refused_with_a_sentence(finished: Path) -> None:
    run = again(finished)
    with pytest.raises(ModelError, match="no weights and no tokenizer of it here"):
        show(run, None, None)
    with pytest.raises(ModelError, match="there are no weights here"):
        trained(run.space.root)
    from groundling.commands import delivering

    with pytest.raises(ModelError, match="no weights"):
        delivering.deliver(run.space.root, delivering.Wanted("merged", finished / "exported"), print)
    with pytest.raises(ConfigError, match="train.objective classify trains what a provider does not"):
        pipeline.run_stages(again(finished, "train.objective=classify"), "train", "train")


def test_a_finished_model_is_not_paid_for_again_unless_that_is_asked_for(finished: Path, url: str) -> None:
    before = len(listed(url))
    with pytest.raises(StaleError, match="throws the trained model away, and is paid for again.*--redo train"):
        pipeline.run_stages(again(finished, "train.epochs=1"), "train", "train")
    pipeline.run_stages(again(finished, "train.suffix=other"), last="train")
    assert len(listed(url)) == before
    told: list[str] = []
    jobs.tell(again(finished, said=told), cancel=False, as_json=True)
    assert [j["status"] for j in json.loads(told[-1])] == ["succeeded"]


def test_redone_it_is_a_new_job(tmp_path: Path, url: str) -> None:
    where, before = project(tmp_path / "p", url, epochs=1, keep="last"), len(listed(url))
    pipeline.run_stages(opened(where, tmp_path / "run"), last="train")
    pipeline.run_stages(opened(where, tmp_path / "run"), last="train", redo=["train"])
    pipeline.run_stages(opened(where, tmp_path / "run", "train.epochs=2"), last="train", redo=["train"])
    new = listed(url)[: len(listed(url)) - before]
    assert [j["hyperparameters"]["n_epochs"] for j in new] == [2, 1, 1] and not any(j["validation_file"] for j in new)


def test_held_out_examples_stay_here_where_the_evaluation_asks_them(tmp_path: Path, url: str) -> None:
    run = opened(project(tmp_path / "p", url, questions=False), tmp_path / "run")
    pipeline.run_stages(run, last="train")
    notes = run.space.record("train")["notes"]
    assert listed(url)[0]["validation_file"] is None and notes["held_out_rows"] == 0 and notes["keep"].startswith("last:")
    assert (run.space.folder("train") / "validation.jsonl").read_bytes() == b""


def test_the_budget_is_kept_and_the_plan_tells_it_before(tmp_path: Path, url: str) -> None:
    where, before, said = project(tmp_path / "p", url), len(listed(url)), []
    run = opened(where, tmp_path / "run", "budget_usd=0.05", said=said)
    pipeline.run_stages(run, last="curate")
    plan(run, 0, as_json=True)
    told = json.loads(said[-1])["train"]
    assert told["examples"]["value"] == 14 and told["budget"]["enough"] is False and told["price_train"] == 25
    assert told["usd"]["value"] == pytest.approx(told["tokens"]["value"] * 3 * 25 / 1e6) and told["usd"]["low"] < told["usd"]["value"]
    plan(opened(where, tmp_path / "run", "budget_usd=0.05", said=said), 0, as_json=False)
    assert "NOT enough: no job would be made" in "\n".join(said) and "25 USD per million" in "\n".join(said)
    with pytest.raises(BudgetError, match="No job was made"):
        pipeline.run_stages(run, "train", "train")
    assert len(listed(url)) == before
    pipeline.run_stages(opened(where, tmp_path / "run", f"budget_usd={told['usd']['high'] + 0.001}"), "train", "train")
    [job] = listed(url)[: len(listed(url)) - before]
    assert told["charged"]["low"] < job["trained_tokens"] < told["charged"]["high"], "the estimate held what it really was"
    with pytest.raises(ConfigError, match="no price_train"):
        pipeline.run_stages(opened(where, tmp_path / "other", "models.gpt.price_train=0"))


def test_doctor_and_a_missing_key(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {c.what: c for c in checks(finished / "project")}
    assert found["base model"].ok and "tiny-1 at" in found["base model"].says and found["training"].ok and not found["extra [train]"].needed
    monkeypatch.delenv("PROVIDER_KEY")
    with pytest.raises(ModelError, match='environment variable "PROVIDER_KEY" is not set'):
        pipeline.run_stages(opened(finished / "project", finished / "runs" / "keyless"))


START = "from groundling.llm import tuning; tuning.POLL = (0.05, 0.2); from groundling.cli import main; main()"


def begun(where: Path, out: Path) -> tuple[subprocess.Popen[str], str]:
    """`groundling train` as a process, and the job that it says it waits for."""
    command = [sys.executable, "-c", START, "train", str(where), "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PROVIDER_KEY": KEY})
    for line in process.stdout or ():
        if found := re.match(r"  job (\S+) at gpt: ", line):
            return process, found.group(1)
    raise AssertionError(process.communicate())


@pytest.mark.slow
def test_killed_and_interrupted_it_goes_on_with_its_job_and_ends_it_on_request_only(tmp_path: Path) -> None:
    with fake.running("--set", f"key={KEY}", "--set", "tuning.seconds=600") as url:
        where, out = project(tmp_path / "p", url), tmp_path / "run"
        pipeline.run_stages(opened(where, out), last="curate")
        process, job = begun(where, out)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        process, same = begun(where, out)
        assert same == job == listed(url)[0]["id"] and len(listed(url)) == 1
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)
        assert process.returncode == 130 and f"The job {job} goes on at gpt, and is paid for." in said[1] and "--cancel" in said[1]
        assert listed(url)[0]["status"] in ("validating_files", "queued", "running"), "nobody asked to end it"
        with pytest.raises(StaleError, match=f"job {job} with other examples or settings is under way"):
            pipeline.run_stages(opened(where, out, "train.epochs=1"), "train", "train")
        told: list[str] = []
        jobs.tell(opened(where, out, said=told), cancel=True, as_json=False)
        assert "cancelled" in told[-1] and listed(url)[0]["status"] == "cancelled"
        process, new = begun(where, out)
        assert new != job and len(listed(url)) == 2
        process.send_signal(signal.SIGKILL)
        process.communicate()
