"""Status tells what is stale and why in lines that can be read, however many settings changed; as JSON it tells all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundling import pipeline
from groundling.commands.looking import EVERY, status
from groundling.errors import StaleError
from groundling.runs import open_run
from groundling.stale import State, brief, stale

RECORD = {"settings": {"a": 1, "b": {"c": 2, "d": 3}, "name": "x"}, "inputs": {"chunk": "f", "index": "f", "files": "f"}, "seed": 1}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for n in range(4):
        (tmp_path / "docs" / f"d{n}.md").write_text(
            f"# Part {n}\n\nThe part {n} weighs {n + 3} kg in all. A battery of part {n} lasts {n + 7} months.\n"
        )
    run = open_run(tmp_path / "docs", tmp_path / "run", [], lambda text: None)
    pipeline.run_stages(run, last="synthesize")
    return tmp_path


def said(place: Path, *settings: str, as_json: bool = False) -> list[str]:
    lines: list[str] = []
    status(open_run(place / "docs", place / "run", [*settings], lines.append), as_json)
    return lines


def test_another_recipe_is_one_short_line_and_all_of_it_is_in_the_json(made: Path) -> None:
    (made / "docs" / "training.jsonl").write_text("")
    settings = ("synthesize.recipe=questions", "synthesize.options.file=training.jsonl", "chunk.size=400")
    lines = said(made, *settings)
    assert len(lines) == 8 and lines[-1] == EVERY
    [line] = [line for line in lines if line.startswith("4-examples")]
    assert len(line) < 200 and line.count(";") == 3 and line.split("; and ")[1].endswith(" more")
    assert "synthesize.recipe: 'raft' -> 'questions'" in line, "what was chosen comes before its options"
    whole = {s["stage"]: s["why"] for s in json.loads(said(made, *settings, as_json=True)[0])}["synthesize"]
    assert int(line.split("; and ")[1].split()[0]) == len([c for c in whole.split("; ") if c not in ("chunk changed", "index changed")]) + 1 - 3
    assert "synthesize.options.file: None -> 'training.jsonl'" in whole and "chunk changed" in whole


def test_few_changes_are_told_whole(made: Path) -> None:
    lines = said(made, "chunk.overlap=30", "chunk.size=500")
    assert "chunk.overlap: 100 -> 30; chunk.size: 1000 -> 500" in lines[1] and EVERY not in lines
    assert lines[2].split(None, 2) == ["3-index", "stale", "chunk changed"]
    assert lines[3].split(None, 2)[2] == "earlier stages changed"


def test_a_long_value_is_not_shown_and_what_is_left_out_is_counted() -> None:
    now = {"a": 2, "b": {"c": "v" * 80, "d": 4}, "name": "y"}
    state = stale("train", RECORD, now, {"chunk": "g", "index": "g", "files": "g"}, 2)
    assert state.brief == "files changed; seed changed; train.a: 1 -> 2; and 4 more" and state.cut
    assert state.why.startswith("train.a: 1 -> 2; train.b.c: 2 -> 'vvv") and state.why.endswith("index changed; files changed; seed changed")
    assert stale("train", RECORD, RECORD["settings"] | {"a": "v" * 80}, RECORD["inputs"], 1).brief == "train.a changed"
    assert brief([f"{'v' * 80}.jsonl changed"]) == f"{'v' * 80}.jsonl changed", "a file has no value to leave out"


def test_what_is_not_cut_is_not_called_cut() -> None:
    state = stale("train", RECORD, RECORD["settings"], {"chunk": "g", "index": "g", "files": "f"}, 1)
    assert (state.brief, state.cut) == ("earlier stages changed", False), "their own lines tell it"
    old = stale("train", RECORD, RECORD["settings"], RECORD["inputs"], 1)
    assert (old.brief, old.cut) == ("made by another version", False)
    assert State("train", "stale", "run:a is not done").brief == "run:a is not done" and not State("train", "done").cut
    assert brief(["a: 1 -> 2", "b: 1 -> 2", "c: 1 -> 2"]) == "a: 1 -> 2; b: 1 -> 2; c: 1 -> 2"


def test_a_run_that_would_read_what_is_stale_is_refused_in_a_short_sentence(made: Path) -> None:
    run = open_run(made / "docs", made / "run", ["synthesize.recipe=qa", "synthesize.teacher=nano"], lambda text: None)
    with pytest.raises(StaleError) as told:
        pipeline.run_stages(run, "curate", "curate")
    assert "synthesize.recipe: 'raft' -> 'qa'" in str(told.value) and "more). Start earlier" in str(told.value) and len(str(told.value)) < 300
