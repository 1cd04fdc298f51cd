"""Doctor holds the questions against the documents, and tells which settings were overridden."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundling.doctor import Check, project
from groundling.errors import ConfigError
from groundling.pipeline import run_stages
from groundling.runs import open_run
from groundling.verify import every_round


def told(tmp_path: Path, *questions: dict[str, Any], more: tuple[str, ...] = ()) -> dict[str, Check]:
    (tmp_path / "docs" / "sub").mkdir(parents=True)
    (tmp_path / "docs" / "sub" / "leave.md").write_text("# Leave\n\nStaff have 25 days of leave.\n")
    asked = [{"id": f"q{n}", "question": "How many?", "answers": ["25"], "answerable": True} | q for n, q in enumerate(questions)]
    (tmp_path / "docs" / "questions.jsonl").write_text("".join(json.dumps(q) + "\n" for q in asked))
    (tmp_path / "docs" / "groundling.yaml").write_text("name: one\n")
    return {c.what: c for c in project(tmp_path / "docs", settings=["serve.k=2", *more])}


def test_a_document_that_is_not_there_is_said(tmp_path: Path) -> None:
    said = told(tmp_path, {"document": "leave.md"}, {"document": "holidays.md"})["questions"]
    assert not said.ok and '1 of 2 rows names a document that is not among the documents. The first is line 2: "holidays.md"' in said.says


def test_questions_that_are_all_answerable_are_remarked_upon(tmp_path: Path) -> None:
    said = told(tmp_path, {"document": "./sub/leave.md"}, {"document": "0123456789abcdef"})["questions"]
    assert said.ok and "all are answerable" in said.says


def test_with_one_that_is_not_nothing_is_remarked_and_settings_are_told(tmp_path: Path) -> None:
    found = told(tmp_path, {"document": "leave.md"}, {"answers": [], "answerable": False})
    assert found["questions"].ok and "answerable" not in found["questions"].says
    assert found["config"].says.endswith("groundling.yaml with --set serve.k=2")


def test_the_file_to_learn_from_is_looked_into(tmp_path: Path) -> None:
    recipe = "synthesize.recipe=questions"
    said = told(tmp_path / "a", {}, more=(recipe, "synthesize.options.file=training.jsonl"))["recipe files"]
    assert not said.ok and "names training.jsonl, and there is no such file" in said.says
    said = told(tmp_path / "b", {}, more=(recipe, "synthesize.options.file=questions.jsonl"))["recipe files"]
    assert not said.ok and "the evaluation's own file" in said.says
    said = told(tmp_path / "c", {}, more=(recipe, "synthesize.options.file=groundling.yaml"))["recipe files"]
    assert not said.ok and "groundling.yaml, line 1: it is no JSON" in said.says
    said = told(tmp_path / "d", {}, more=(recipe, "synthesize.options.file=sub"))["recipe files"]
    assert not said.ok and "synthesize.options.file is sub, and that is a folder. Name a .jsonl file" in said.says
    assert "recipe files" not in told(tmp_path / "e", {}), "the rules of raft read no file"


@pytest.mark.parametrize("stage", ["curate", "train"])
def test_a_run_says_of_the_file_to_learn_from_what_is_wrong_before_anything_is_read(tmp_path: Path, stage: str) -> None:
    told(tmp_path, {})
    for file, said in {
        "sub": "and that is a folder",
        "gone.jsonl": "gone.jsonl does not exist",
        "questions.jsonl": "the evaluation's own file",
    }.items():
        run = open_run(tmp_path / "docs", tmp_path / "run", ["synthesize.recipe=questions", f"synthesize.options.file={file}"], lambda text: None)
        for check in (lambda run=run: run_stages(run, "ingest", stage), lambda run=run: every_round(run, train=False)):
            with pytest.raises(ConfigError, match=said):
                check()
    assert not (tmp_path / "run").exists()
