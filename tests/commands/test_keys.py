"""An endpoint's key: asked for before anything takes its time, and written down nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundling import pipeline
from groundling.errors import ConfigError, ModelError
from groundling.runs import open_run

from .conftest import Teacher, project

KEY = "sk-never-to-be-seen-7f3a"


def run(docs: Path, last: str, said: list[str], *settings: str) -> None:
    pipeline.run_stages(open_run(docs, docs.parent / "run", list(settings), said.append), "ingest", last)


def test_a_missing_key_is_told_before_the_first_stage_and_only_while_the_teacher_is_needed(
    tmp_path: Path, teacher: Teacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs, said = project(tmp_path, teacher.url, prices="key_env: TEST_TEACHER_KEY"), list[str]()
    monkeypatch.delenv("TEST_TEACHER_KEY", raising=False)
    with pytest.raises(ModelError, match='"TEST_TEACHER_KEY" is not set'):
        run(docs, "synthesize", said)
    assert said == [] and not (tmp_path / "run" / "1-documents").exists()
    run(docs, "index", said)  # nobody is asked

    monkeypatch.setenv("TEST_TEACHER_KEY", KEY)
    run(docs, "synthesize", said)
    monkeypatch.delenv("TEST_TEACHER_KEY")
    run(docs, "curate", said)
    assert "synthesize: done before" in said

    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(files) > 10 and [path for path in files if KEY.encode() in path.read_bytes()] == []
    assert KEY not in "".join(said)


def test_every_endpoint_that_is_asked_needs_prices_for_a_budget_of_money(tmp_path: Path, teacher: Teacher) -> None:
    docs = project(tmp_path, teacher.url, "budget_usd: 1\n")
    judge = ["models.j.base_url=http://127.0.0.1:9/v1", "models.j.model=m", "synthesize.judge=j"]
    with pytest.raises(ConfigError, match="budget_usd is set, but models.j has no prices"):
        run(docs, "synthesize", [], *judge)
