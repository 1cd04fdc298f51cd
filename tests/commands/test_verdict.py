"""A model that is not shown to be better than its base is not shown off as if it were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundling.commands.reporting import origin
from groundling.commands.verdict import not_better
from groundling.errors import InputError
from groundling.runs import Run, open_run


def run_with(tmp_path: Path, difference: float | None, p: float | None, *settings: str) -> Run:
    (tmp_path / "docs").mkdir()
    run = open_run(tmp_path / "docs", tmp_path / "run", [*settings], lambda text: None)
    for stage, notes in (("train", {}), ("evaluate", {"headline": {"setting": "k=3", "metric": "correct", "format": "raft"}})):
        run.space.folder(stage).mkdir(parents=True)
        record = {"stage": stage, "fingerprint": "f", "settings": {}, "inputs": {}, "seed": 1, "counts": {"kept": 24}, "notes": notes}
        (run.space.folder(stage) / "record.json").write_text(json.dumps(record))
    both = {"metric": "correct", "base": 0.5, "tuned": 0.5, "low": None, "high": None, "n": 40, "method": "exact McNemar"}
    test = {"setting": "k=3", "difference": difference, "p": p, **both}
    other = {"setting": "none", "difference": 0.5, "p": 0.001, **both}
    (run.space.folder("evaluate") / "tests.json").write_text(json.dumps([other, test]))
    return run


def abstaining(base: float, tuned: float) -> list[dict[str, Any]]:
    row = {"setting": "k=3", "metric": "abstain_recall", "questions": "all"}
    return [row | {"model": "base", "value": base}, row | {"model": "tuned", "value": tuned}]


def test_no_difference_is_said_with_what_helps(tmp_path: Path) -> None:
    said = not_better(run_with(tmp_path, 0.02, 0.4), abstaining(0.8, 0.25))
    for words in (
        "not shown to be better than its base at k=3 (correct, p = 0.4)", "it refuses 25%, its base 80%", "it was trained on 24",
        "a language model as teacher", "another base than nano",
    ):  # fmt: skip
        assert words in said


def test_a_worse_model_is_called_worse(tmp_path: Path) -> None:
    said = not_better(run_with(tmp_path, -0.2, 0.01), abstaining(0.5, 0.5))
    assert "is worse than its base at k=3" in said and "refuses" not in said


def test_another_teacher_is_no_advice_where_the_recipe_asks_none(tmp_path: Path) -> None:
    run = run_with(tmp_path, 0.02, 0.4, "synthesize.recipe=questions", "synthesize.options.file=training.jsonl")
    said = not_better(run, abstaining(0.8, 0.8))
    assert "teacher" not in said and "more examples (it was trained on 24), or another base than nano" in said
    assert "teacher" not in origin(run, {"written_by": "teacher"}) and "own file" in origin(run, {"written_by": "file"})


def test_a_teacher_that_was_asked_is_named_as_the_writer_of_the_questions(tmp_path: Path) -> None:
    assert "the teacher made them" in origin(run_with(tmp_path, 0.02, 0.4), {"written_by": "teacher"})


@pytest.mark.parametrize(("difference", "p"), [(0.2, 0.01), (None, None)])
def test_a_better_model_and_one_not_tested_need_no_word(difference: float | None, p: float | None, tmp_path: Path) -> None:
    assert not_better(run_with(tmp_path, difference, p), abstaining(0.8, 0.1)) == ""


@pytest.mark.parametrize(("damaged", "told"), [("[", "is not readable JSON"), ('[{"setting": "k=3"}]', 'the field "metric" is missing')])
def test_a_damaged_file_of_tests_is_a_sentence(tmp_path: Path, damaged: str, told: str) -> None:
    run = run_with(tmp_path, 0.02, 0.4)
    (run.space.folder("evaluate") / "tests.json").write_text(damaged)
    with pytest.raises(InputError, match=told):
        not_better(run, abstaining(0.8, 0.25))
