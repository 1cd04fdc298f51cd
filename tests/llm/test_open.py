"""From names in the config to models, and a budget through the real command line."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from groundling.config import Config, parse
from groundling.errors import BudgetError, ConfigError, ModelError
from groundling.llm import fake
from groundling.llm.api import Api
from groundling.llm.base import Reply, Request
from groundling.llm.batch import Batch
from groundling.llm.budget import Cost
from groundling.llm.journal import Journal, Origin
from groundling.llm.open import open_model, remembered

from .torture import documents, random

ENDPOINT = {"base_url": "http://127.0.0.1:9/v1", "model": "m"}


def config(**settings) -> Config:
    return parse({"models": {"gpt": ENDPOINT | settings}}, "test")


def test_a_name_is_the_template_an_endpoint_or_a_checkpoint(tiny_model: Path) -> None:
    assert open_model("template").name == "template"
    assert type(open_model("gpt", config())) is Api and type(open_model("gpt", config(batch=True))) is Batch
    local = open_model(str(tiny_model), config())
    assert local.batched and local.fingerprint.startswith("local/")


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match='no model "gtp".*Did you mean "gpt"'):
        open_model("gtp", config())
    with pytest.raises(ConfigError, match='Did you mean "template"'):
        open_model("templat", Config())
    with pytest.raises(ModelError, match="is not a folder"):
        open_model("./nowhere", Config())


def test_an_endpoint_is_opened_with_what_earlier_runs_of_the_folder_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j.sqlite")
    journal.put({"k": Reply(text="t", tokens_in=300, tokens_out=200)}, Origin("gpt", True), usd=0.5)
    opened = remembered(open_model("gpt", c := config(tokens_per_day=600)), journal, c, print)
    assert opened.inner.budget.spent_tokens == 500 and opened.inner.budget.spent_usd == 0.5
    assert opened.inner.gate.limits.wait(50) == 0 and opened.inner.gate.limits.wait(200) > 86_000
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ModelError, match="NO_SUCH_KEY"):
        remembered(open_model("gpt", c := config(key_env="NO_SUCH_KEY")), journal, c, print)
    journal.close()


def test_what_a_broken_call_may_have_cost_is_in_the_journal_for_the_next_run(tmp_path: Path) -> None:
    async def main(journal: Journal) -> int:
        async with fake.serving(fake.Script(wire={"short_body": 0.2})) as url:
            c = parse({"budget_tokens": 10**6, "models": {"gpt": {"base_url": url, "model": "fake", "retries": 20, "max_parallel": 8}}}, "test")
            model = remembered(open_model("gpt", c), journal, c, print)
            await model.replies([Request(messages=[{"role": "user", "content": f"What is {n}?"}], max_tokens=20) for n in range(20)])
            await model.drain()
            return model.inner.budget.spent_tokens

    journal = Journal(tmp_path / "j.sqlite")
    spent = asyncio.run(main(journal))
    lost = Cost(*journal._db.execute("SELECT sum(tokens_in), sum(tokens_out), sum(usd) FROM lost").fetchone())
    assert lost.tokens > 0 and journal.spent().tokens == spent
    journal.close()


def test_two_endpoints_of_one_run_spend_one_budget(tmp_path: Path) -> None:
    """A teacher and a judge, each of which alone would stay below it."""

    async def main(journal: Journal) -> None:
        async with fake.serving(fake.Script(latency=0.01)) as url:
            one = {"base_url": url, "max_parallel": 4}
            c = parse({"budget_tokens": 3000, "models": {"a": one | {"model": "fake"}, "b": one | {"model": "other"}}}, "test")
            models = [remembered(open_model(name, c), journal, c, print) for name in "ab"]
            requests = [Request(messages=[{"role": "user", "content": f"What is {n}?"}], max_tokens=20) for n in range(400)]
            ended = await asyncio.gather(*(m.replies(requests) for m in models), return_exceptions=True)
            for m in models:
                await m.drain()
            assert [type(e) for e in ended] == [BudgetError, BudgetError]

    journal = Journal(tmp_path / "j.sqlite")
    asyncio.run(main(journal))
    assert 2000 < journal.spent().tokens <= 3000
    assert min(journal.spent(name).tokens for name in "ab") > 500
    journal.close()


def run(project: Path, out: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    given = [f"--set={name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-c", "from groundling.cli import main; main()", "synthesize", str(project), "--out", str(out), *given]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=300)


def test_a_run_stops_below_its_budget_and_goes_on_when_it_is_raised(tmp_path: Path) -> None:
    project, out = tmp_path / "project", tmp_path / "run"
    documents(project / "documents", 30, random.Random(1))
    with fake.running("--latency", "0.01") as url:
        settings = {
            "documents": "documents",
            "synthesize": {"teacher": "gpt"},
            "models": {"gpt": {"base_url": url, "model": "fake", "price_in": 1.0}},
        }
        (project / "groundling.yaml").write_text(yaml.safe_dump(settings))
        for stage in ("ingest", "chunk", "index"):
            command = [sys.executable, "-c", "from groundling.cli import main; main()", stage, str(project), "--out", str(out)]
            assert subprocess.run(command, capture_output=True, text=True).returncode == 0
        unpriced = run(project, out, **{"budget_usd": 1, "models.gpt.price_in": 0})
        assert unpriced.returncode == 2 and "models.gpt has no prices" in unpriced.stderr
        stopped = run(project, out, budget_usd=0.004)
        assert stopped.returncode == 2 and "Traceback" not in stopped.stderr, stopped.stderr
        assert "of budget_usd 0.004 are spent" in stopped.stderr and "Raise the budget" in stopped.stderr
        db = sqlite3.connect(out / "journal.sqlite")
        [(paid, calls)] = db.execute("SELECT sum(usd), count(*) FROM replies").fetchall()
        assert 0.002 < paid <= 0.004 and f"{paid:.4f} of budget_usd" in stopped.stderr
        assert not (out / "4-examples").exists()
        again = run(project, out, budget_usd=0.004)
        assert again.returncode == 2, "the budget is the folder's, not the process's"
        assert db.execute("SELECT count(*) FROM replies").fetchone()[0] <= calls + 2
        done = run(project, out, budget_usd=1)
        assert done.returncode == 0, done.stderr
        counts = json.loads((out / "4-examples" / "record.json").read_text())["counts"]
        assert counts["kept"] > 60
        db.close()
