"""The filters in a real run: through the pipeline, with options, an embedding model, and what a changed option makes stale."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy
import pytest

from groundling.commands.trials import judgements
from groundling.curating import filtering
from groundling.errors import ConfigError, InputError
from groundling.index.retrievers.dense import Embedder
from groundling.pipeline import run_stages, states
from groundling.records import Example
from groundling.runs import Run, open_run
from tests.index.test_dense import encoder

PAGES = {
    "leave.md": "# Leave\n\nStaff in Finland have 30 days of annual leave. Kirsi Alanko approves every request. A doctor's note is needed after 3 days.",
    "travel.md": "# Travel\n\nA hotel night may cost at most 140 EUR. The receipt must be handed in within 21 days. Per diem in Estonia is 45 EUR.",
    "scale.md": "# Katla 200\n\nThe Katla 200 weighs 12 kg. Its battery lasts 18 months. The warranty of the Katla 200 runs for 3 years.",
    "other.md": "# Katla 250\n\nThe Katla 250 weighs 15 kg. Its battery lasts 30 months. The warranty of the Katla 250 runs for 5 years.",
}
FILTERS: list[Any] = [
    "cited", {"length": {"question_min": 5}}, "duplicates", {"near": {"threshold": 0.7}}, {"semantic": {"threshold": 0.999}}, "leaked",
    {"mixture": {"weights": {"raft": 1}}}, {"balance": {"by": "unit", "ratio": 2}}, {"top": {"n": 5}},
]  # fmt: skip


def project(folder: Path, filters: list[Any], more: str = "") -> Path:
    (folder / "docs").mkdir()
    for name, text in PAGES.items():
        (folder / "docs" / name).write_text(text + "\n", "utf-8")
    (folder / "groundling.yaml").write_text(f"documents: docs\ncurate: {{filters: {json.dumps(filters)}}}\n{more}", "utf-8")
    return folder


def opened(folder: Path, *settings: str) -> Run:
    return open_run(folder, folder / "run", list(settings), lambda text: None)


def why(folder: Path, *settings: str) -> str:
    [state] = [s for s in states(opened(folder, *settings)) if s.name == "curate"]
    return state.why if state.state == "stale" else state.state


def test_all_kinds_of_filters_in_one_run_with_a_real_if_tiny_encoder(tmp_path: Path) -> None:
    project(tmp_path, FILTERS, "index: {model: ./encoder}\n")
    encoder(tmp_path / "encoder")
    run_stages(opened(tmp_path), "ingest", "curate")
    folder = tmp_path / "run" / "5-curated"
    lines = {name: (folder / f"{name}.jsonl").read_bytes().splitlines() for name in ("data", "dropped")}
    record = json.loads((folder / "record.json").read_text())
    made = (tmp_path / "run" / "4-examples" / "data.jsonl").read_bytes().splitlines()
    assert len(made) == record["counts"]["in"] == len(lines["data"]) + len(lines["dropped"])
    reasons = Counter(json.loads(line)["reason"] for line in lines["dropped"])
    assert dict(reasons) == record["counts"]["dropped"] and reasons["top: not among the best that differ"] > 0
    kept = [json.loads(line) for line in lines["data"]]
    assert Counter(e["split"] for e in kept)["train"] == 5
    assert record["settings"]["filters"][:2] == ["cited", {"length": {"question_min": 5}}]

    again = opened(tmp_path)
    run_stages(again, "ingest", "curate", redo=["curate"])
    assert [(folder / f"{name}.jsonl").read_bytes().splitlines() for name in lines] == list(lines.values())
    assert why(tmp_path) == "done"
    assert "curate.filters: " in why(tmp_path, "curate.filters=[cited, {near: {threshold: 0.6}}]")
    assert "prefix changed" in why(tmp_path, "index.query_prefix='x: '")
    encoder(tmp_path / "encoder", seed=9)
    assert "model changed" in why(tmp_path)


def test_texts_are_embedded_in_one_row_each_as_questions_are(tmp_path: Path) -> None:
    run = opened(project(tmp_path, ["semantic"], "index: {model: ./encoder, query_prefix: 'query: '}\n"))
    encoder(tmp_path / "encoder")
    embed = filtering(run).embed
    assert embed is not None
    texts = ["leave", "The scale weighs 12 kg.", "trains"]
    rows, embedder = embed(texts), Embedder(run.index_options)
    assert rows == pytest.approx(numpy.stack([embedder.query(text) for text in texts]), abs=1e-5)
    assert rows[0] != pytest.approx(rows[1], abs=0.01)


def test_a_changed_option_makes_the_stage_stale_and_a_default_written_out_does_not(tmp_path: Path) -> None:
    project(tmp_path, ["cited", "near"])
    run_stages(opened(tmp_path), "ingest", "curate")
    assert why(tmp_path) == why(tmp_path, "curate.filters=[cited, {near: {threshold: 0.8}}]") == "done"
    assert (
        why(tmp_path, "curate.filters=[cited, {near: {threshold: 0.9}}]")
        == "curate.filters: ['cited', 'near'] -> ['cited', {'near': {'threshold': 0.9}}]"
    )


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        (["cited", "semantic"], "The filter semantic needs an embedding model: set index.model"),
        ([{"near": {"treshold": 0.8}}], 'there is no option "treshold". Did you mean "threshold"'),
        (["sematic"], 'There is no filter "sematic". Did you mean "semantic"'),
    ],
)
def test_a_mistake_is_told_before_anything_runs(tmp_path: Path, filters: list[Any], told: str) -> None:
    project(tmp_path, filters)
    with pytest.raises(ConfigError, match=told):
        run_stages(opened(tmp_path), "ingest", "curate")
    assert not (tmp_path / "run" / "1-documents").exists()


def test_a_preview_asks_no_filter_that_weighs_the_whole_set(tmp_path: Path) -> None:
    project(tmp_path, ["cited", {"near": {"threshold": 0.5}}, {"top": {"n": 1}}, {"balance": {}}, {"mixture": {"weights": {"qa": 1}}}, "leaked"])
    run = opened(tmp_path)
    run_stages(run, "ingest", "synthesize")
    rows = list(run.space.read("synthesize", Example))[:4]
    said = judgements(run, [*rows, rows[0].__class__(**{f: getattr(rows[0], f) for f in rows[0].__struct_fields__} | {"id": "zzz"})])
    assert {name for words in said.values() for name in words} == {"cited", "near", "leaked"}
    assert said["zzz"]["near"] == "nearly a better one" and "leaked" not in said["zzz"], "options reach it, and what is dropped is not asked further"


ONCE = "synthesize.options.oracle_probability=1"
SAID = {
    "leave.md": ("Kirsi Alanko", "Kirsi Alanko approves every request."), "travel.md": ("21 days", "The receipt must be handed in within 21 days."),
    "scale.md": ("12 kg", "The Katla 200 weighs 12 kg."), "other.md": ("15 kg", "The Katla 250 weighs 15 kg."),
}  # fmt: skip


def learning(folder: Path, questions: list[str], *names: str) -> Path:
    """A project that learns from questions of a file, one about each page; the same stand in each of the files named."""
    project(folder, ["cited", {"length": {"answer_min": 3}}, "leaked"], "synthesize: {recipe: questions, options: {file: training.jsonl}}\n")
    rows = [
        {"id": str(n), "question": question, "answers": [answer], "answerable": True, "document": name, "passage": passage}
        for n, (question, (name, (answer, passage))) in enumerate(zip(questions, SAID.items(), strict=True))
    ]
    for name in names:
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return folder


def test_where_nothing_is_left_to_train_on_curate_says_so_with_its_cause(tmp_path: Path) -> None:
    """A copy of the evaluation's questions to learn from: all leak. What was made stays, and each reject with its reason."""
    asked = ["Who approves a request?", "When is the receipt due?", "How heavy is the Katla 200?", "What does the 250 weigh?"]
    run = opened(learning(tmp_path, asked, "training.jsonl", "questions.jsonl"), ONCE)
    for _ in range(2):  # the same command again does not take an empty stage for done
        with pytest.raises(InputError, match="nothing to train on: of 4 examples the filter leaked dropped 4, and none is left") as caught:
            run_stages(run, "ingest", "curate")
    assert "questions.jsonl) ask: the file to learn from may be the evaluation's own questions" in str(caught.value)
    assert len((tmp_path / "run" / "4-examples" / "data.jsonl").read_text().splitlines()) == 4
    left = tmp_path / "run" / ".5-curated.new" / "dropped.jsonl"
    assert [json.loads(line)["reason"] for line in left.read_text().splitlines()] == ["leaked: asked in the evaluation"] * 4
    assert str(left) in str(caught.value) and why(tmp_path, ONCE) == "missing"


def test_the_filter_that_dropped_most_is_named(tmp_path: Path) -> None:
    project(tmp_path, ["cited", {"length": {"question_min": 500}}, "leaked"])
    with pytest.raises(InputError, match=r"the filter length dropped \d+, and none is left .* Mend what it drops, or set its options"):
        run_stages(opened(tmp_path), "ingest", "curate")


def test_examples_that_are_held_out_are_nothing_to_train_on(tmp_path: Path) -> None:
    """One question about all pages, and no file of questions: the evaluation asks it, so none may be trained on."""
    learning(tmp_path, ["What does the page say?"] * 4, "training.jsonl")
    with pytest.raises(InputError, match=r"of 4 examples the filter leaked dropped 3, and the 1 that is left is held out") as caught:
        run_stages(opened(tmp_path, ONCE), "ingest", "curate")
    assert "There is no file of questions, so the evaluation asks the held-out examples" in str(caught.value)
