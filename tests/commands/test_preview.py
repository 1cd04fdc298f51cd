"""Preview shows real rows with what every check said, writes no stage's output, and its replies are the run's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundling import pipeline
from groundling.commands.preview import preview, show
from groundling.errors import ConfigError
from groundling.llm import fake
from groundling.runs import open_run

from .conftest import Teacher, project


def previewed(docs: Path, count: int = 3, *settings: str) -> dict[str, Any]:
    said: list[str] = []
    preview(open_run(docs, docs.parent / "run", list(settings), said.append), "raft", count, as_json=True)
    return json.loads(said[-1])


def test_rows_are_real_and_their_replies_are_the_run_s(docs: Path, teacher: Teacher) -> None:
    told = previewed(docs, 5)
    rows = [r for c in told["chunks"] for r in c["rows"]]
    assert len(rows) == 5 and not (docs.parent / "run" / "4-examples").exists()
    for row in rows:
        oracles = [p for p in row["passages"] if p["oracle"]]
        assert len(oracles) == (row["support"] == "cited")
        assert all(quote in oracles[0]["text"] for quote in row["quotes"])
        assert row["kept"] and row["checks"] == {"raft": "made", "cited": "kept", "duplicates": "kept", "leaked": "kept"}
    asked = teacher.stats()["requests"]
    assert told["cost"]["calls"] == asked == sum(c["calls"] for c in told["chunks"]) and told["cost"]["usd"] > 0
    assert sum(c["usd"] for c in told["chunks"]) == pytest.approx(told["cost"]["usd"])

    assert previewed(docs, 5)["cost"]["calls"] == 0 and teacher.stats()["requests"] == asked
    run = open_run(docs, docs.parent / "run", [], lambda text: None)
    pipeline.run_stages(run, "ingest", "synthesize")
    assert teacher.stats()["answered_again"] == 0
    made = {json.loads(line)["id"] for line in (docs.parent / "run" / "4-examples" / "data.jsonl").read_text().splitlines()}
    assert {r["id"] for r in rows} <= made, "the rows shown are rows of the run"


def test_what_a_check_drops_is_shown_with_its_reason(docs: Path) -> None:
    shown = [r["question"] for c in previewed(docs, 3)["chunks"] for r in c["rows"]]
    (docs / "questions.jsonl").write_text(json.dumps({"id": "q", "question": shown[1], "answers": ["x"], "answerable": True}) + "\n")
    rows = [r for c in previewed(docs, 3)["chunks"] for r in c["rows"]]
    assert [r["kept"] for r in rows] == [True, False, True] and rows[1]["checks"]["leaked"] == "asked in the evaluation"


def test_what_the_teacher_spoils_is_shown_as_left_out(tmp_path: Path) -> None:
    with fake.running("--set", "content.broken=1.0") as url:
        told = previewed(project(tmp_path, url), 1)
    assert not any(c["rows"] for c in told["chunks"]) and len(told["chunks"]) == 11, "it gives up after ten fruitless chunks"
    assert all(d["failed"] and d["reason"].startswith("no list of questions") for c in told["chunks"] for d in c["left_out"])


def test_plain_text_shows_everything_without_a_control_character(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preview(open_run(docs, docs.parent / "run", [], lambda text: None), "raft", 4, as_json=False)
    told = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in told)
    assert "oracle → [" in told and "checks: raft made, cited kept" in told and "tokens in" in told and "kept for the run" not in told
    assert "4 rows from 2 chunks" in told and "does not pay for them again" in told


def test_a_document_does_not_steer_the_terminal(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = previewed(docs, 1)
    row = told["chunks"][0]["rows"][0]
    row["question"] = row["passages"][0]["text"] = row["passages"][0]["title"] = row["answer"] = "a \x1b[31mred\x07\r word"
    told["chunks"][0]["left_out"] = [{"failed": True, "reason": "odd", "what": "\x1b[2J", "detail": "\x9b2J"}]
    capsys.readouterr()
    show(told)
    assert all(c.isprintable() or c == "\n" for c in capsys.readouterr().out)


def test_an_existing_run_s_config_stays_as_it_is(docs: Path) -> None:
    run = open_run(docs, docs.parent / "run", [], lambda text: None)
    pipeline.run_stages(run, "ingest", "synthesize")
    before = (docs.parent / "run" / "config.yaml").read_bytes()
    previewed(docs, 1, "synthesize.options.distractors=1")
    assert (docs.parent / "run" / "config.yaml").read_bytes() == before


def test_an_unknown_recipe_is_a_sentence(docs: Path) -> None:
    with pytest.raises(ConfigError, match='no recipe "rfat".*raft'):
        preview(open_run(docs, docs.parent / "run", [], lambda text: None), "rfat", 1, as_json=False)
