"""Each recipe the whole way with the fake teacher: synthesize, curate, train, evaluate; killed and resumed; refused in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from groundling import pipeline
from groundling.commands.plan import plan
from groundling.commands.preview import preview
from groundling.errors import ConfigError, TooManyFailed
from groundling.llm import fake
from groundling.records import Example
from groundling.runs import Run, open_run

from .conftest import groundling

RECIPES = {
    "qa": {"train": {"format": "raft"}, "options": {"questions": 3, "multi_hop": 0.5}},
    "grounded": {"train": {"format": "two-turn"}, "options": {"documents": 3, "turns": 2, "out_of_domain": 0.3}},
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fake.running() as address:
        yield address


@pytest.fixture(params=sorted(RECIPES))
def recipe(request: pytest.FixtureRequest) -> str:
    return request.param


def configured(project: Path, recipe: str, url: str, tiny: Path) -> None:
    """The small project with that recipe, the fake teacher, and a base model of one layer; without questions of its own."""
    (project / "questions.jsonl").unlink(missing_ok=True)
    data = yaml.safe_load((project / "groundling.yaml").read_text())
    own = RECIPES[recipe]
    data |= {"held_out": 0.4, "models": {"t": {"base_url": url, "model": "fake", "price_in": 1, "price_out": 2}}}
    data["synthesize"] = {"recipe": recipe, "teacher": "t", "options": own["options"]}
    data["train"] |= own["train"] | {"base": str(tiny), "epochs": 1}
    data["evaluate"] |= {"max_tokens": 8, "prompt_trials": 2}
    (project / "groundling.yaml").write_text(yaml.safe_dump(data))


def opened(project: Path, out: Path, *settings: str) -> Run:
    return open_run(project, out, list(settings), lambda text: None)


def test_the_whole_way_with_each_recipe(project: Path, tmp_path: Path, url: str, tiny_model: Path, recipe: str) -> None:
    configured(project, recipe, url, tiny_model)
    run = opened(project, tmp_path / "run")
    pipeline.run_stages(run)
    made = list(run.space.read("synthesize", Example))
    curated = list(run.space.read("curate", Example))
    assert {e.split for e in curated} == {"train", "held_out"} and {e.kind for e in curated} >= ({"fact"} if recipe == "qa" else {"good", "ood"})
    notes = run.space.record("synthesize")["notes"]
    assert notes["units_called"] == "clusters" and sum(notes["kinds"].values()) == pytest.approx(1, abs=1e-2)
    assert len(curated) > 0.7 * len(made) > 10
    assert any(len({q.passage for q in e.quotes}) > 1 for e in curated), "some rest on several passages"
    if recipe == "grounded":
        assert any(e.history for e in curated)
    trained = run.space.record("train")
    assert trained["counts"]["kept"] == sum(e.split == "train" for e in curated) and trained["notes"]["log"]
    scores = json.loads((run.space.folder("evaluate") / "scores.json").read_text())
    assert {s["metric"] for s in scores} >= {"f1", "citation_f1", "abstain_recall"}
    asked = {s["n"] for s in scores if s["setting"] == "given" and s["metric"] == "f1" and s["questions"] == "all"}
    alone = [e for e in curated if e.split == "held_out" and e.support == "cited" and not e.history and len({q.passage for q in e.quotes}) == 1]
    assert asked == {len(alone)} and alone, "questions that stand alone and rest on one passage are asked, no others"


def test_the_same_project_gives_the_same_examples_and_pays_once(project: Path, tmp_path: Path, url: str, tiny_model: Path, recipe: str) -> None:
    configured(project, recipe, url, tiny_model)
    for name in ("one", "two"):
        pipeline.run_stages(opened(project, tmp_path / name), "ingest", "curate")
    one, two = ((tmp_path / name / "4-examples" / "data.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two and one


def test_preview_shows_rows_of_a_recipe(project: Path, tmp_path: Path, url: str, tiny_model: Path, recipe: str) -> None:
    configured(project, recipe, url, tiny_model)
    said: list[str] = []
    preview(open_run(project, tmp_path / "run", [], said.append), recipe, 3, as_json=True)
    rows = [row for chunk in json.loads(said[-1])["chunks"] for row in chunk["rows"]]
    assert len(rows) == 3 and all(row["checks"]["cited"] == "kept" for row in rows)


def test_the_teacher_of_rules_is_refused_before_anything_is_made(project: Path, tmp_path: Path, url: str, tiny_model: Path, recipe: str) -> None:
    configured(project, recipe, url, tiny_model)
    done = groundling("run", project, "--out", tmp_path / "run", "--set", "synthesize.teacher=template")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"The recipe {recipe} needs a language model" in " ".join(done.stderr.split())
    assert not (tmp_path / "run" / "1-documents").exists()
    run = opened(project, tmp_path / "run", "synthesize.teacher=template")
    for ask in (lambda: plan(run, 2, as_json=True), lambda: preview(run, recipe, 2, as_json=True)):
        with pytest.raises(ConfigError, match="needs a language model"):
            ask()


def test_too_few_chunks_are_told_in_a_sentence(project: Path, tmp_path: Path, url: str, tiny_model: Path, recipe: str) -> None:
    configured(project, recipe, url, tiny_model)
    option = "hops" if recipe == "qa" else "least"
    settings = (f"synthesize.options.{option}=8", 'ingest.include=["leave.md","travel.md"]', "synthesize.options.documents=9")
    with pytest.raises(ConfigError, match=f"A cluster takes 8 chunks, but the documents gave only .*synthesize.options.{option}"):
        pipeline.run_stages(opened(project, tmp_path / "run", *settings[: 2 + (recipe == "grounded")]), "ingest", "synthesize")


def test_a_teacher_that_refuses_stops_the_run_and_its_replies_are_kept(project: Path, tmp_path: Path, tiny_model: Path, recipe: str) -> None:
    with fake.running("--set", "reply=fixed", "--set", "text=I am sorry, I cannot help with that.") as refusing:
        configured(project, recipe, refusing, tiny_model)
        run = opened(project, tmp_path / "run")
        with pytest.raises(TooManyFailed, match="no JSON object in the reply"):
            pipeline.run_stages(run, "ingest", "synthesize")
    import sqlite3

    with sqlite3.connect(run.space.journal) as journal:
        assert journal.execute("SELECT count(*) FROM replies").fetchone()[0] > 10, "what was paid for is there"
