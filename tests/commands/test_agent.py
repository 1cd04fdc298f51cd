"""The command `agent` over real HTTP: a question step by step, auto-evaluation, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from groundling import pipeline
from groundling.agent import Trajectory
from groundling.cli import app
from groundling.errors import ConfigError, GroundlingError, InputError, ModelError
from groundling.llm import fake
from groundling.llm.rules.facts import facts
from groundling.records import from_line
from groundling.runs import Run, open_run

TEXT = "# Leave\n\nStaff in Finland have 30 days of annual leave. Leave is requested at least 14 days before it starts."


@pytest.fixture(scope="module")
def url():
    with fake.running() as address:
        yield address


@pytest.fixture
def run(tmp_path: Path, url: str) -> Run:
    """A run with an index and no model; the fake teacher is `t`."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "leave.md").write_text(TEXT)
    (tmp_path / "documents" / "lunch.md").write_text("# Lunch\n\nLunch is served at noon in the hall behind the stairs of the house.")
    config = {"documents": "documents", "models": {"t": {"base_url": url, "model": "fake"}}, "synthesize": {"recipe": "rest", "teacher": "t"}}
    (tmp_path / "groundling.yaml").write_text(yaml.safe_dump(config))
    opened = open_run(tmp_path, tmp_path / "runs" / "one", [], lambda text: None)
    pipeline.run_stages(opened, "ingest", "index")
    return opened


def known(run: Run) -> str:
    """A question whose answer the documents state."""
    [chunk] = [c for c in run.chunks.values() if c.path == "leave.md"]
    return next(f.asked for f in facts(chunk.text, chunk.title) if f.answer == "30 days")


def told(*arguments: object) -> str:
    """What the command prints. Raises what it raises."""
    done = CliRunner().invoke(app, ["agent", *map(str, arguments)], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.output


def test_a_question_is_shown_step_by_step(run: Run) -> None:
    question = known(run)
    lines = told(run.space.root, "--question", question, "--model", "t", "--samples", 1).splitlines()
    assert lines[0] == f"? {question}" and lines[1].startswith("  searched: ") and "of use: [0]" in lines[2]
    assert lines[-2:] == ["30 days [0]", "  [0] leave.md: “Staff in Finland have 30 days of annual leave.”"]
    whole = from_line(told(run.space.root, "--question", question, "--model", "t", "--samples", 1, "--json"), Trajectory)
    assert whole.answer == "30 days" and [s.kind for s in whole.steps] == ["decide", "summarise", "decide", "answer", "relevance", "grounding"]
    assert told(run.space.root, "--question", "Who owns lunch?", "--model", "t", "--samples", 1).splitlines()[-1] == "Not in the documents."


def questions(run: Run, tmp_path: Path) -> Path:
    lines = [
        {"id": "a", "question": known(run), "answers": ["30 days"], "answerable": True},
        {"id": "b", "question": "Who owns lunch?", "answers": ["Ann"], "answerable": True},
        {"id": "c", "question": "Who sells it?", "answers": [], "answerable": False},
    ]
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_file_of_questions_is_asked_and_judged_ten_times(run: Run, tmp_path: Path) -> None:
    file, kept = questions(run, tmp_path), tmp_path / "walked.jsonl"
    found = json.loads(told(run.space.root, "--questions", file, "--model", "t", "--samples", 1, "--trajectories", kept, "--json"))
    assert found["mean"] == 0.5 and found["sd"] == 0.0 and found["shares"] == [0.5] * 10
    assert (found["n"], found["unscored"], found["outcomes"]) == (20, 0, {"abstained": 10, "answered": 10})
    walked = [from_line(line, Trajectory) for line in kept.read_bytes().splitlines()]
    assert len(walked) == 20 and {t.question for t in walked} == {known(run), "Who owns lunch?"}
    said = told(run.space.root, "--questions", file, "--model", "t", "--samples", 1, "--repeat", 2)
    assert said.splitlines()[0] == "right: 50.0% ± 0.0% (standard deviation of 2 repetitions)"
    assert said.splitlines()[1].startswith("4 questions asked, 0 of the answers could not be judged; 2 abstained, 2 answered;")


def test_what_it_refuses_is_told_in_sentences(run: Run, tmp_path: Path) -> None:
    root, file = run.space.root, questions(run, tmp_path)
    (tmp_path / "none.jsonl").write_text('{"id": "c", "question": "Who?", "answers": [], "answerable": false}\n')
    cases: list[tuple[type[GroundlingError], str, list[object]]] = [
        (ConfigError, "one of the two", []),
        (ConfigError, "one of the two", ["--question", "Who?", "--questions", file]),
        (ModelError, "is not trained yet, so it cannot take the agent's steps", ["--question", "Who?"]),
        (ConfigError, "cannot search", ["--question", "Who?", "--model", "template"]),
        (ConfigError, 'There is no model "u"', ["--question", "Who?", "--model", "u"]),
        (ConfigError, "cannot say whether", ["--questions", file, "--model", "t", "--judge", "template"]),
        (InputError, "does not exist", ["--questions", tmp_path / "no.jsonl", "--model", "t"]),
        (InputError, "no question with an answer", ["--questions", tmp_path / "none.jsonl", "--model", "t"]),
    ]
    for kind, sentence, arguments in cases:
        with pytest.raises(kind, match=sentence):
            told(root, *arguments)
    with pytest.raises(InputError, match="no search index yet"):
        told(tmp_path / "documents", "--question", "Who?", "--model", "t")
