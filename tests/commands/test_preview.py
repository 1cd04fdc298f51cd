"""Preview shows real rows with what every check said, writes no stage's output, and its replies are the run's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from groundling import pipeline
from groundling.cli import app
from groundling.commands.looking import trace
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


QUESTIONS = [
    {"id": "a", "question": "How heavy is the Katla 200?", "answers": ["12 kg"], "answerable": True, "document": "scale.md", "passage": "The Katla 200 weighs 12 kg."},
    {"id": "b", "question": "Who designed the Katla 200?", "answers": [], "answerable": False},
]  # fmt: skip


@pytest.fixture
def learning(tmp_path: Path) -> Path:
    """A project whose config has the recipe raft, and questions to learn from beside it."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "scale.md").write_text("# Scales\n\nThe Katla 200 weighs 12 kg. Its battery lasts 18 months.\n")
    (tmp_path / "docs" / "leave.md").write_text("# Leave\n\nStaff in Finland have 30 days of annual leave.\n")
    (tmp_path / "training.jsonl").write_text("".join(json.dumps(row) + "\n" for row in QUESTIONS))
    (tmp_path / "groundling.yaml").write_text("documents: docs\nheld_out: 0\nsynthesize: {recipe: raft, options: {questions: 2}}\n")
    return tmp_path


ABSENT = "synthesize.options.oracle_probability=0"
FILE = ["synthesize.options.file=training.jsonl", "synthesize.options.oracle_probability=1"]


def test_options_given_with_a_recipe_are_that_recipe_s(learning: Path) -> None:
    """Naming the recipe is enough: the config's own recipe, of which the folder's first stages are made, keeps the options of the config."""
    given = [word for setting in FILE for word in ("--set", setting)]
    told = CliRunner().invoke(app, ["preview", "questions", str(learning), "--out", str(learning / "run"), "--json", *given])
    assert told.exit_code == 0, told.output
    rows = [r for c in json.loads(told.stdout)["chunks"] for r in c["rows"]]
    assert {r["question"] for r in rows} == {q["question"] for q in QUESTIONS}
    kept = open_run(learning / "run", None, [], print).config.synthesize
    assert (kept.recipe, kept.options) == ("raft", {"questions": 2})
    told = CliRunner().invoke(app, ["preview", "raft", str(learning), "--out", str(learning / "run"), "--set", "synthesize.options.questions=0"])
    assert "questions = 0: it must be" in str(told.exception), "the config's own recipe is given them too"
    told = CliRunner().invoke(app, ["preview", "questions", str(learning), "--out", str(learning / "run"), "--set", "synthesize.options.fiel=x"])
    assert 'there is no option "fiel"' in str(told.exception)


def test_a_question_that_nothing_answers_is_filed_under_no_document(learning: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = open_run(learning, learning / "run", ["synthesize.recipe=questions", "synthesize.options={}", *FILE], lambda text: None)
    preview(run, "questions", 2, as_json=False)
    shown = capsys.readouterr().out.split("── ")[1:]
    [answered] = [one for one in shown if "? How heavy" in one]
    [refused] = [one for one in shown if "? Who designed" in one]
    assert "of 2 · scale.md · train split" in answered and "unanswerable" not in answered
    assert "of 2 · unanswerable · train split" in refused and "(unanswerable: passages shown, none answers it)" in refused
    assert ".md" not in refused.splitlines()[0]

    pipeline.run_stages(run, "ingest", "synthesize")
    pipeline.run_stages(run, "curate", "curate")
    examples = [json.loads(line) for line in run.space.data("curate").read_text().splitlines()]
    [answered, refused] = sorted(examples, key=lambda e: e["support"] == "abstain")
    told = {e["id"]: traced(learning, e["id"]) for e in examples}
    assert [d["path"] for d in told[answered["id"]]["document"]] == ["scale.md"] and not told[answered["id"]]["shown"]
    assert "unanswerable" not in told[answered["id"]]["example"][0]
    of = told[refused["id"]]
    assert of["document"] == of["chunk"] == [] and of["example"][0]["unanswerable"] == "passages shown, none answers it"
    assert {p["id"] for p in of["shown"]} == {p["id"] for p in refused["passages"]} and "scale.md" in {p["path"] for p in of["shown"]}

    again = open_run(learning, learning / "run", ["synthesize.recipe=questions", "synthesize.options={}", FILE[0], ABSENT], lambda text: None)
    preview(again, "questions", 2, as_json=False)
    [left_out] = [one for one in capsys.readouterr().out.split("── ") if "? How heavy" in one]
    assert "of 2 · scale.md · train split" in left_out and "(to be refused: none of these answers it)" in left_out, "its document is known"
    by_chunk = traced(learning, refused["unit"])
    assert by_chunk["chunk"] and {e["id"]: "unanswerable" in e for e in by_chunk["example"]}[refused["id"]]


def traced(folder: Path, identity: str) -> dict[str, Any]:
    said: list[str] = []
    trace(open_run(folder / "run", None, [], said.append), identity, as_json=True)
    return json.loads(said[-1])
