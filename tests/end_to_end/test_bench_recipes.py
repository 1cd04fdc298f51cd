"""What the recipes are measured on: right by construction, held out by document, a project for every recipe, and the table as it was measured."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
from collections.abc import Iterator
from math import comb
from pathlib import Path
from types import ModuleType

import pytest

from groundling import pipeline, registry
from groundling.llm import fake
from groundling.records import Document, Example, Pair

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "recipes"
MODULES = ("world", "projects", "measures", "run")
MADE = ("raft", "rag_sft", "grounded", "backtranslation", "qa", "rest", "classification")  # without a model of this machine


@pytest.fixture(scope="module")
def bench() -> Iterator[dict[str, ModuleType]]:
    """The benchmark's modules, gone again afterwards: their names are short."""
    sys.path.insert(0, str(FOLDER))
    yield {name: importlib.import_module(name) for name in MODULES}
    sys.path.remove(str(FOLDER))
    for name in MODULES:
        del sys.modules[name]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fake.running() as address:
        yield address


def test_the_sheets_state_what_is_asked_and_the_same_seed_draws_the_same(bench: dict[str, ModuleType]) -> None:
    world = bench["world"]
    made = world.sheets(300)
    assert len({s.entity for s in made}) == 300 and made == world.sheets(300) != world.sheets(300, seed=2)
    for sheet in made:
        assert len({f.form for f in sheet.facts}) == len(sheet.facts) == 4
        for fact in sheet.facts:
            assert sheet.text.count(fact.sentence) == 1 and fact.answer in fact.sentence and fact.answer not in fact.question
            assert fact.entity == sheet.entity and sheet.entity in fact.question
    texts = {s.entity: s.text for s in made}
    assert all(one["output"] in texts[next(e for e in texts if e in one["instruction"])] for one in world.asked(made[:40]))
    for note, sheet in zip(world.notes(made), made, strict=True):
        named = {f.form.name for f in sheet.facts if f.sentence in note["output"]}
        assert len(named) == 2 and all(name in note["instruction"] for name in named) and sheet.entity in note["instruction"]


def test_every_recipe_has_a_project_and_its_page_names_the_metric(bench: dict[str, ModuleType]) -> None:
    projects = bench["projects"].PROJECTS
    assert sorted(projects) == registry.names("recipe")
    index = (ROOT / "docs" / "recipes" / "README.md").read_text("utf-8")
    for name, project in projects.items():
        page = (ROOT / "docs" / "recipes" / f"{name}.md").read_text("utf-8")
        told = page.partition("What it improves")[2]
        assert project.metric in told and "benchmarks/recipes/run.py" in told and project.setting in told, name
        assert f"[{name}]({name}.md)" in index


@pytest.mark.parametrize("name", MADE)
def test_what_is_held_out_is_in_no_row_that_is_trained_on(bench: dict[str, ModuleType], tmp_path: Path, url: str, name: str) -> None:
    bench["projects"].PROJECTS[name] = bench["projects"].PROJECTS[name]._replace(sheets=24)
    bench["projects"].write(name, tmp_path / name, url)
    run = bench["measures"].opened(tmp_path / name, name)
    pipeline.run_stages(run, "ingest", "curate")
    rows = list(run.space.read("curate", Example))
    sides = {side: [e for e in rows if e.split == side] for side in ("train", "held_out")}
    assert len(sides["train"]) > 10 and len(sides["held_out"]) > 3
    entities = {d.id: d.title for d in run.space.read("ingest", Document)} if name != "classification" else {}
    shown = {side: {w for e in part for t in (e.question, e.answer, *(p.text for p in e.passages)) for w in _entities(t, entities)}
             for side, part in sides.items()}  # fmt: skip
    if name == "backtranslation":  # its seeds are their own documents: one note of each sheet
        assert not {e.answer for e in sides["train"]} & {e.answer for e in sides["held_out"]}
        return
    if entities:
        assert shown["train"] and shown["held_out"] and not shown["train"] & shown["held_out"]
    assert not {e.document for e in sides["train"]} & {e.document for e in sides["held_out"]}


def _entities(text: str, known: dict[str, str]) -> set[str]:
    return {title for title in known.values() if title in text}


def test_paired_rights_and_wrongs(bench: dict[str, ModuleType]) -> None:
    line = bench["measures"].paired("pair accuracy", [True] * 10 + [False] * 30, [True] * 8 + [False] * 2 + [True] * 20 + [False] * 10)
    assert (line.n, line.base.value, line.tuned.value, line.method) == (40, 0.25, 0.7, "exact McNemar")
    assert line.p == pytest.approx(2 * sum(comb(22, k) for k in range(3)) / 2**22), "2 of the 22 that differ are the base's"
    assert line.base.low < 0.25 < line.base.high < line.tuned.value


def test_a_new_line_takes_the_old_one_s_place_and_leaves_the_others(bench: dict[str, ModuleType], tmp_path: Path, monkeypatch) -> None:
    run = bench["run"]
    monkeypatch.setattr(run, "RESULTS", tmp_path / "learnt.json")
    monkeypatch.setattr(run, "PAGE", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("before\n<!-- learnt -->\nold\n<!-- /learnt -->\nafter\n")

    def row(name: str, tuned: float) -> dict:
        figure = {"value": tuned, "low": tuned - 0.1, "high": tuned + 0.1}
        return {"recipe": name, "metric": "correct, k=3", "n": 50, "base": {"value": 0.25, "low": 0.2, "high": 0.3}, "tuned": figure, "p": 0.0004,
                "method": "exact McNemar", "minutes": 1.26, "processor_minutes": 1.1, "weights": "abc", "date": "2026-11-21"}  # fmt: skip

    assert run.improved(row("qa", 0.5)) and not run.improved(row("qa", 0.2)) and not run.improved({**row("qa", 0.5), "p": 0.05})
    for one in (row("qa", 0.5), row("raft", 0.6), row("qa", 0.8)):
        run.written(one)
    told = (tmp_path / "README.md").read_text()
    assert told.startswith("before\n") and told.endswith("after\n") and "old" not in told and told.count("[qa](qa.md)") == 1
    assert "| [qa](qa.md) | `correct, k=3` | 50 | 25 % [20, 30] | 80 % [70, 90] | < 0.001 (exact McNemar) | 1.3 | 1.1 |" in told
    assert told.index("[raft]") < told.index("[qa]") and "weights abc on 2026-11-21" in told
    assert sorted(json.loads((tmp_path / "learnt.json").read_text())["rows"]) == ["qa", "raft"]


def test_of_a_pair_the_likelier_reply_is_told_by_sum_or_by_mean(bench: dict[str, ModuleType]) -> None:
    pair = Pair(id="1", unit="u", document="d", question="q", passages=[], chosen="a", rejected="b", split="held_out")

    class Told:
        documents_role = False

        async def scores(self, messages: list, replies: list[str], mean: bool) -> list[float]:
            assert replies == ["a", "b"], "the better one comes first"
            return [-1.0, -2.0] if mean else [-5.0, -3.0]

    likelier = bench["measures"]._likelier
    assert asyncio.run(likelier(Told(), [pair], "raft", True)) == [True] and asyncio.run(likelier(Told(), [pair], "raft", False)) == [False]


@pytest.mark.slow
def test_the_backward_model_significantly_improves_on_held_out_seeds(bench: dict[str, ModuleType], tmp_path: Path, url: str) -> None:
    """One recipe for all in the tests; the others by `make bench-recipes`."""
    bench["projects"].PROJECTS["backtranslation"] = bench["projects"].PROJECTS["backtranslation"]._replace(sheets=80)
    line, weights = bench["measures"].measure("backtranslation", tmp_path / "b", url)
    assert line.n > 10 and line.p < 0.01 and line.tuned.low > line.base.high and line.metric == "rouge_l, given" and weights
