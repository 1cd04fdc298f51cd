"""The recipe rest over real HTTP: the whole way with answers, the agent's steps as rows, a student that is another run, paid once."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from groundling import pipeline
from groundling.commands.plan import plan
from groundling.commands.preview import preview
from groundling.errors import ConfigError, InputError
from groundling.llm import fake
from groundling.records import Example
from groundling.runs import Run, open_run


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fake.running() as address:
        yield address


def configured(project: Path, url: str, tiny: Path, **options: Any) -> None:
    """The small project with the recipe rest, the fake teacher, and a base model of one layer; without questions of its own."""
    (project / "questions.jsonl").unlink(missing_ok=True)
    data = yaml.safe_load((project / "groundling.yaml").read_text())
    data |= {"held_out": 0.4, "models": {"t": {"base_url": url, "model": "fake", "price_in": 1, "price_out": 2}}}
    data["synthesize"] = {"recipe": "rest", "teacher": "t", "options": {"samples": 2, "trajectories": 1, "count": 2, **options}}
    data["train"] |= {"base": str(tiny), "epochs": 1}
    data["evaluate"] |= {"max_tokens": 8, "prompt_trials": 2}
    (project / "groundling.yaml").write_text(yaml.safe_dump(data))


def opened(project: Path, out: Path, *settings: str) -> Run:
    return open_run(project, out, list(settings), lambda text: None)


def calls(url: str) -> int:
    with urllib.request.urlopen(f"{url}/stats", timeout=10) as answer:
        return json.load(answer)["requests"]


def test_the_whole_way_with_answers(project: Path, tmp_path: Path, url: str, tiny_model: Path) -> None:
    configured(project, url, tiny_model)
    run = opened(project, tmp_path / "run")
    pipeline.run_stages(run)
    curated = list(run.space.read("curate", Example))
    assert {e.split for e in curated} == {"train", "held_out"} and {e.support for e in curated} == {"cited"} and len(curated) >= 8
    notes = run.space.record("synthesize")["notes"]
    assert notes["noted"]["trajectories that answered"] >= len(curated) and notes["units_called"] == "topics"
    assert run.space.record("train")["counts"]["kept"] == sum(e.split == "train" for e in curated)
    scores = json.loads((run.space.folder("evaluate") / "scores.json").read_text())
    assert {s["metric"] for s in scores} >= {"f1", "citation_f1", "abstain_recall"}


def test_the_steps_are_rows_of_a_model_that_may_walk_the_next_round(project: Path, tmp_path: Path, url: str, tiny_model: Path) -> None:
    configured(project, url, tiny_model, rows="steps", searches=3)
    run = opened(project, tmp_path / "one", "train.format=step", "synthesize.limit=5")
    pipeline.run_stages(run)
    curated = list(run.space.read("curate", Example))
    assert {e.kind for e in curated} == {"decide", "summarise", "answer", "relevance", "grounding"}
    assert run.space.described()["format"] == "step" and run.space.record("train")["counts"]["kept"] > 3
    [headline] = {s["setting"] for s in json.loads((run.space.folder("evaluate") / "scores.json").read_text())}
    assert headline == "given"
    student = opened(project, tmp_path / "two", "train.format=step", "synthesize.student=run:one", "synthesize.limit=1", "synthesize.max_failed=1")
    with pytest.raises(InputError, match="made no example at all .*no trajectory: decide: "):
        pipeline.run_stages(student, "ingest", "synthesize")  # its weights are random: no reply of it fits a schema


def test_the_same_project_gives_the_same_rows_and_pays_once(project: Path, tmp_path: Path, url: str, tiny_model: Path) -> None:
    configured(project, url, tiny_model)
    start = calls(url)
    pipeline.run_stages(opened(project, tmp_path / "one"), "ingest", "synthesize")
    whole = calls(url) - start
    pipeline.run_stages(opened(project, tmp_path / "two", "synthesize.limit=3"), "ingest", "synthesize")
    part = calls(url) - start - whole
    pipeline.run_stages(opened(project, tmp_path / "two"), "ingest", "synthesize")
    assert 0 < part < whole and calls(url) - start - whole == whole, "what was made of three topics is not paid for again"
    pipeline.run_stages(opened(project, tmp_path / "two"), "synthesize", "synthesize", redo=["synthesize"])
    assert calls(url) - start == 2 * whole
    one, two = ((tmp_path / name / "4-examples" / "data.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two and one


def test_the_rules_and_the_wrong_format_are_refused_before_anything_is_made(project: Path, tmp_path: Path, url: str, tiny_model: Path) -> None:
    configured(project, url, tiny_model)
    for setting, sentence in (
        ("synthesize.teacher=template", "The recipe rest needs a language model"),
        ("synthesize.options.rows=steps", "makes examples for train.format=step, not for raft"),
        ("train.format=step", "makes examples for train.format=raft, not for step"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            pipeline.run_stages(opened(project, tmp_path / "run", setting))
    with pytest.raises(ConfigError, match="train.format step takes an agent's steps, and the recipe raft makes none"):
        pipeline.run_stages(opened(project, tmp_path / "run", "synthesize.recipe=raft", "synthesize.options={}", "train.format=step"))
    assert not (tmp_path / "run" / "1-documents").exists()


def test_a_file_of_questions_that_changes_makes_the_rows_stale(project: Path, tmp_path: Path, url: str, tiny_model: Path) -> None:
    configured(project, url, tiny_model, questions="ask.txt")
    (project / "ask.txt").write_text("Who owns the Katla 200?\n")
    run = opened(project, tmp_path / "run")
    pipeline.run_stages(run, "ingest", "synthesize")
    assert [e.support for e in run.space.read("synthesize", Example)] == ["abstain"]
    (project / "ask.txt").write_text("Who sold the Katla 200?\n")
    [state] = [s for s in pipeline.states(opened(project, tmp_path / "run")) if s.name == "synthesize"]
    assert state.state == "stale" and "ask.txt" in state.why


def test_preview_and_plan_know_the_recipe(project: Path, tmp_path: Path, url: str, tiny_model: Path) -> None:
    configured(project, url, tiny_model)
    said: list[str] = []
    preview(open_run(project, tmp_path / "run", [], said.append), "rest", 3, as_json=True)
    rows = [row for topic in json.loads(said[-1])["chunks"] for row in topic["rows"]]
    assert len(rows) == 3 and all(row["checks"]["cited"] == "kept" for row in rows)
    plan(open_run(project, tmp_path / "plan", [], said.append), 0, as_json=True)
    told, asked = json.loads(said[-1])["synthesize"], calls(url)
    plan(open_run(project, tmp_path / "plan", ["synthesize.student=t", "synthesize.judge=t"], said.append), 0, as_json=True)
    assert calls(url) == asked, "without a pilot nobody is asked, no student and no judge either"
    # Of each topic: questions, then for each of two of them three decisions, two summaries, an answer and two checks, twice each.
    assert told["called"] == "topics" and told["left"]["calls"]["value"] == pytest.approx(told["chunks"]["left"] * (1 + 2 * 2 * 8), rel=0.2)
