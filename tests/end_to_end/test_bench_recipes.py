"""What the recipes are measured on: right by construction, held out by document, a project for every recipe, and the table as it was measured."""

from __future__ import annotations

import asyncio
import csv
import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import comb
from pathlib import Path
from types import ModuleType

import pytest

from groundling import matching, pipeline, registry
from groundling.llm import fake
from groundling.records import Answer, Document, Example, Pair, Passage, Quote

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks" / "recipes"
MODULES = ("world", "folds", "projects", "measures", "run")
MADE = ("raft", "questions", "rag_sft", "grounded", "backtranslation", "qa", "rest", "classification")  # without a model of this machine


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
    beside = {**row("qa", 0.6), "metric": "f1, given"}
    del beside["minutes"], beside["processor_minutes"]
    for rows in ([row("qa", 0.5)], [row("raft", 0.6)], [row("qa", 0.8), beside]):
        run.written(rows)
    told = (tmp_path / "README.md").read_text()
    assert told.startswith("before\n") and told.endswith("after\n") and "old" not in told and told.count("[qa](qa.md)") == 2
    assert "| [qa](qa.md) | `correct, k=3` | 50 | 25 % [20, 30] | 80 % [70, 90] | < 0.001 (exact McNemar) | 1.3 | 1.1 |" in told
    assert "| [qa](qa.md) | `f1, given` | 50 | 25 % [20, 30] | 60 % [50, 70] | < 0.001 (exact McNemar) | the same | the same |" in told
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


def test_over_the_folds_each_text_is_held_out_once_and_each_label_alike(bench: dict[str, ModuleType], tmp_path: Path) -> None:
    bench["projects"].write("classification", tmp_path / "c", "")
    whole = _texts(tmp_path / "c" / "messages.csv")
    settings = bench["folds"].write(tmp_path / "c", "messages.csv")
    held: list[tuple[str, str]] = []
    for data, test in ([setting.rpartition("=")[2] for setting in one] for one in settings):
        train, out = _texts(tmp_path / "c" / data), _texts(tmp_path / "c" / test)
        assert sorted(train + out) == sorted(whole) and not {text for text, _ in train} & {text for text, _ in out}
        assert set(Counter(label for _, label in out).values()) == {6}, "thirty of each label, in five folds"
        held += out
    assert len(settings) == 5 and sorted(held) == sorted(whole) and len(set(held)) == len(whole) == 150
    rows = [{"text": text, "label": label} for text, label in whole]
    assert bench["folds"].folds(rows[::-1]) == bench["folds"].folds(rows) and bench["folds"].folds([]) == [[]] * 5


def test_what_the_folds_tell_beside_their_table(bench: dict[str, ModuleType]) -> None:
    """Ten texts alone in their words and ten that share theirs with others: the tuned model gets the first, the base the second."""
    alone = [("a", f"word{n}", "b", "a") for n in range(10)]
    alike = [("b", f"the same words here, number {n}", "b", "a") for n in range(10)]
    told = bench["folds"].beside(alone + alike)
    assert "base gave: b 20" in told and "tuned gave: a 20" in told
    assert "least like what was trained on: of 10 right 0 before, 10 after; most: of 10 right 10 before, 0 after" in told
    texts = [f"{n:02} the same words here" for n in range(20)]
    first = bench["folds"].folds([{"text": text, "label": "a"} for text in texts])[0]
    said = [
        ("a", f"{t[:2]} quite alone with its one twin", "a", "b") if {"text": t, "label": "a"} in first[:2] else ("a", t, "b", "b") for t in texts
    ]
    assert "least like what was trained on: of 10 right 2 before" in bench["folds"].beside(said), "the twin is in the same fold: not trained on"
    assert "without the texts that rate and epochs were chosen on: of 16 right 8 before, 8 after" in told, "a quarter of each label, rounded"


def _texts(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as handle:
        return [(row["text"], row["label"]) for row in csv.DictReader(handle)]


def test_the_messages_repeat_none_of_each_other(bench: dict[str, ModuleType]) -> None:
    """Else a text could be held out while nearly the same one is trained on."""
    texts = [matching.tokens(text) for text, _ in _texts(bench["projects"].MESSAGES / "messages.csv")]
    runs = [{tuple(words[n : n + 3]) for n in range(len(words) - 2)} for words in texts]
    assert all(len(a & b) <= 0.2 * len(a | b) for a, b in combinations(runs, 2))


def test_an_answer_is_scored_by_what_it_says_and_its_documents_by_just_those(bench: dict[str, ModuleType]) -> None:
    measures, shown = bench["measures"], [Passage(id=str(n), title="", text="") for n in range(3)]
    common = {"recipe": "grounded", "unit": "u", "document": "d", "question": "q", "passages": shown, "oracle": None}
    quotes = [Quote(text="It weighs 3 kg.", passage=2), Quote(text="It costs 9 EUR.", passage=0)]
    good = Example(id="1", support="cited", quotes=quotes, answer="It is stated as 3 kg. It is stated as 9 EUR.", **common)
    none = Example(id="2", support="abstain", quotes=[], answer="Not in the documents.", **common)
    values = {"It weighs 3 kg.": "3 kg", "It costs 9 EUR.": "9 EUR"}

    def said(text: str, ids: list[int], abstained: bool = False, invalid: Sequence[str] = ()) -> Answer:
        return Answer(question="q", passages=shown, turns=[text], text=text, abstained=abstained, quotes=[], citations=ids, invalid=list(invalid))

    refusal = said("Not in the documents.", [], abstained=True)
    full = [said(text, [0, 2]) for text in (good.answer, "9 EUR, 3 kg")]
    assert [measures.answered(a, good, values) for a in full] == [1, 1], "the teacher's words are no better than the bare values"
    assert measures.answered(said("3 kg", [2]), good, values) == pytest.approx(2 / 3)
    assert (measures.answered(refusal, good, values), measures.answered(refusal, none, values), measures.answered(full[1], none, values)) == (0, 1, 0)
    assert measures.identified(full[0], good) and measures.identified(refusal, none) and not measures.identified(refusal, good)
    assert not any(measures.identified(said("x", ids), good) for ids in ([0], [0, 1, 2])) and not measures.identified(said("x", [0]), none)
    assert not measures.identified(said("x", [0, 2], invalid=["7"]), good)
    assert measures._refused([refusal, full[0], refusal], [none, none, good]) == "1 of 2 without an answer refused, 1 of 1 with one"


def test_a_metric_that_is_no_share_gets_bootstrap_intervals_and_a_permutation_test(bench: dict[str, ModuleType]) -> None:
    measures = bench["measures"]
    metric = measures.Metric("macro_f1", registry.load("metric", "macro_f1"))
    right_a, a_for_b, right_b = (1.0, 0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0, 0.0, 1.0), (0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    line = measures.scored(metric, "five folds", [(right_a, right_a)] * 20 + [(a_for_b, right_b)] * 20)  # the base says a to everything
    assert (line.metric, line.n, line.method) == ("macro_f1, five folds", 40, "swap permutation")
    assert (line.base.value, line.tuned.value) == (pytest.approx((2 * 20 / 60) / 2), 1) and line.p < 0.001 and line.base.high < 0.5 < line.tuned.low


# Sheets of each recipe's project: as few as show it. Classification has its table, of which two of the five folds are trained on and asked here.
SHORT = {"raft": 60, "rag_sft": 40, "grounded": 150, "backtranslation": 80, "qa": 80, "rest": 60, "preference": 60, "classification": 0}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_each_recipe_significantly_improves_what_its_page_names(
    bench: dict[str, ModuleType], tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """From synthesize to evaluate on the built-in model, in short; in full by `make bench-recipes`."""
    monkeypatch.setitem(bench["projects"].PROJECTS, name, bench["projects"].PROJECTS[name]._replace(sheets=SHORT[name]))
    whole = bench["folds"].write
    monkeypatch.setattr(bench["folds"], "write", lambda folder, table: whole(folder, table)[:2])
    lines, weights = bench["measures"].measure(name, tmp_path / name, url)
    assert weights and lines[0].metric.startswith(bench["projects"].PROJECTS[name].metric)
    for line in lines:
        assert line.n >= 10 and line.tuned.value > line.base.value and line.p < 0.05, line
    assert [run for run in (tmp_path / name / "runs").iterdir() if (run / "7-scores" / "scores.json").is_file()], "evaluated too"
