"""The plan of a recipe that asks no teacher, and of the evaluation: the number of answers, and time only where there is something to tell it by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundling import pipeline
from groundling.config import Synthesize
from groundling.errors import InputError
from groundling.runs import open_run
from groundling.synthesize import asks_teacher
from groundling.workspace import write_json

from .conftest import PLACES, Teacher
from .test_plan import planned, written

ASKED = 12


@pytest.fixture
def taught(docs: Path) -> Path:
    """The project with questions to learn from and to ask; a third of the latter have no passage."""
    rows = [
        {"id": f"t{n}", "question": f"How long is the warranty in {p}?", "answers": [f"1{11 + 3 * n} EUR"], "answerable": True, "document": f"{p}.md",
         "passage": f"The warranty of the scale costs 1{11 + 3 * n} EUR in {p}."}
        for n, p in enumerate(PLACES)
    ]  # fmt: skip
    (docs / "training.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = [row | {"passage": row["passage"] if n % 3 else None, "question": f"Say: {row['question']}"} for n, row in enumerate(rows[:ASKED])]
    (docs / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    return docs


QUESTIONS = ("synthesize.recipe=questions", "synthesize.options.file=training.jsonl")


@pytest.mark.parametrize("pilot", [4, 0])
@pytest.mark.parametrize("named", ["t", "template"])
def test_a_teacher_that_is_not_asked_is_not_named(taught: Path, teacher: Teacher, pilot: int, named: str) -> None:
    setting = (*QUESTIONS, f"synthesize.teacher={named}")
    told = planned(taught, pilot, *setting)["synthesize"]
    assert told["teacher"] == told["endpoint"] == "" and told["called"] == "rows" and told["chunks"]["all"] == 16
    assert teacher.stats()["requests"] == 0
    said = written(taught, pilot, *setting)
    assert "recipe questions, which asks no teacher" in said
    for word in ("template", "tokens in", "money", "fake", "to ask about", "replies"):
        assert word not in said.partition("train  ")[0], word


def test_nor_is_it_to_be_changed_where_nothing_was_made(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("# Scale\n\nThe scale weighs 12 kg in all.")
    row = {"id": "t", "question": "How heavy is it?", "answers": ["12 kg"], "answerable": True, "passage": "The scale weighs 12 kg in all."}
    (tmp_path / "training.jsonl").write_text(json.dumps(row))
    run = open_run(tmp_path, tmp_path / "run", [*QUESTIONS, "synthesize.options.oracle_probability=0"], lambda text: None)
    with pytest.raises(InputError) as told:
        pipeline.run_stages(run, last="synthesize")
    assert "questions made no example at all: 1 × no passage to show" in str(told.value) and "teacher" not in str(told.value)


def test_one_that_is_asked_is_named(docs: Path) -> None:
    assert "recipe raft, teacher t, fake at " in written(docs, 2) and "left to ask about" in written(docs, 2)


BOTH = {"student": "nano", "judge": "nano"}


@pytest.mark.parametrize(
    ("recipe", "given", "roles", "asks"),
    [
        ("raft", {}, {}, True), ("qa", {}, {}, True), ("grounded", {}, {}, True), ("questions", {"file": "f"}, {}, False),
        ("preference", {}, {"student": "nano"}, False), ("rag_sft", {"instructions": "f"}, {}, False),
        ("rag_sft", {"instructions": "f", "check": "model"}, {}, True), ("rag_sft", {"instructions": "f", "check": "model"}, {"judge": "nano"}, False),
        ("classification", {"data": "f"}, {}, False), ("classification", {"labels": {"a": "b", "c": "d"}, "per_label": 3}, {}, True),
        ("backtranslation", {"make": "backward", "seeds": "f"}, {}, False), ("backtranslation", {"make": "augmented"}, {"judge": "nano"}, True),
        ("backtranslation", {"make": "augmented"}, BOTH, False), ("rest", {}, BOTH, True), ("rest", {"questions": "f"}, BOTH, False),
        ("rest", {"questions": "f"}, {"student": "nano"}, True),
    ],
)  # fmt: skip
def test_each_recipe_says_whether_it_asks_a_teacher(recipe: str, given: dict, roles: dict, asks: bool) -> None:
    assert asks_teacher(Synthesize(recipe=recipe, options=given, **roles)) is asks


def test_the_evaluation_is_counted_by_setting_and_its_time_is_not_made_up(taught: Path) -> None:
    told = planned(taught, 0, *QUESTIONS, "evaluate.k=[1,3]")["evaluate"]
    assert told["questions"] == ASKED and told["models"] == 2
    assert told["settings"] == {"none": 12, "k=1": 12, "k=3": 12, "given": 8} and told["answers"] == 2 * 44 and told["trial"] == 3 * 12
    assert told["seconds"] == {"value": None, "low": None, "high": None}
    said = written(taught, 0, *QUESTIONS, "evaluate.k=[1,3]")
    assert "88   answers; 12 questions, 2 models: none 12, k=1 12, k=3 12, given 8" in said
    assert "not measured   evaluate once with these settings, and the next plan tells" in said


@pytest.mark.parametrize(
    ("setting", "answers", "trial"),
    [
        ("evaluate.compare=false", 44, 0),
        ("evaluate.prompt_trials=5", 88, 15),
        ("evaluate.without=false", 2 * 32, 36),
        ("evaluate.without_limit=5", 2 * (32 + 5), 36),
        ("evaluate.given=false", 2 * 36, 36),
        ("evaluate.limit=3", None, 9),
    ],
)
def test_the_settings_of_the_evaluation_are_heeded(taught: Path, setting: str, answers: int | None, trial: int) -> None:
    told = planned(taught, 0, *QUESTIONS, "evaluate.k=[1,3]", setting)["evaluate"]
    assert told["trial"] == trial and told["answers"] == (answers or told["models"] * sum(told["settings"].values()))
    assert told["questions"] == (3 if ".limit" in setting else ASKED)


def test_without_a_file_of_questions_they_are_counted_when_they_are_made(taught: Path) -> None:
    (taught / "questions.jsonl").unlink()
    assert planned(taught, 0, *QUESTIONS)["evaluate"] == {
        "state": "missing", "why": "its questions are the examples of held-out documents, and those are not made and curated yet",
    }  # fmt: skip
    assert "evaluate     not known: its questions are" in written(taught, 0, *QUESTIONS)
    run = open_run(taught, taught.parent / "run", [*QUESTIONS, "held_out=0.4"], lambda text: None)
    pipeline.run_stages(run, last="curate")
    from groundling.asked import examples_behind, questions_of

    made = len(questions_of(run, examples_behind(run)))
    assert made and planned(taught, 0, *QUESTIONS, "held_out=0.4")["evaluate"]["questions"] == made


def evaluated(docs: Path, **changes: Any) -> None:
    """A record of an evaluation, as one of 66 replies in 132 seconds would have left it."""
    run = open_run(docs, docs.parent / "run", [*QUESTIONS], lambda text: None)
    notes = {"headline": {"format": "raft"}, "asked": {"base": "nano", "replies": 66}} | changes.pop("notes", {})
    run.space.folder("evaluate").mkdir(parents=True, exist_ok=True)
    record = {"stage": "evaluate", "fingerprint": "old", "settings": run.config.evaluate.identity(), "inputs": {}, "seed": 1}
    write_json(run.space.folder("evaluate") / "record.json", record | {"counts": {"kept": 60}, "seconds": 132.0, "notes": notes} | changes)


def test_time_is_told_by_the_last_evaluation_where_it_was_asked_the_same_way(taught: Path) -> None:
    evaluated(taught)
    told = planned(taught, 0, *QUESTIONS)["evaluate"]
    assert told["state"] == "stale" and told["seconds"]["value"] == pytest.approx(2.0 * (told["answers"] + told["trial"] * 2 // 3))
    assert "by the last evaluation of this run" in written(taught, 0, *QUESTIONS)
    twice = planned(taught, 0, *QUESTIONS, "evaluate.limit=6")["evaluate"]
    assert twice["seconds"]["value"] == pytest.approx(2.0 * (twice["answers"] + twice["trial"] * 2 // 3)), "fewer questions take less"
    for other in ("evaluate.k=[1]", "evaluate.max_tokens=40", "evaluate.without=false", "train.format=two-turn"):
        assert planned(taught, 0, *QUESTIONS, other)["evaluate"]["seconds"]["value"] is None, other


@pytest.mark.parametrize("asked", [{"base": "other", "replies": 66}, {"base": "nano", "replies": 0}, {}])
def test_another_base_or_replies_that_were_all_in_the_journal_tell_no_time(taught: Path, asked: dict[str, Any]) -> None:
    evaluated(taught, notes={"asked": asked})
    assert planned(taught, 0, *QUESTIONS)["evaluate"]["seconds"]["value"] is None
