"""Classification the whole way: from a table, and from nothing but labels with the fake teacher over HTTP; asked, resumed, refused in time."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from groundling import pipeline
from groundling.commands.plan import plan
from groundling.commands.predicting import predict
from groundling.commands.preview import preview
from groundling.commands.running import after_evaluate
from groundling.errors import ConfigError, InputError, ModelError, TooManyFailed
from groundling.llm import fake
from groundling.records import Example
from groundling.runs import Run, open_run, service

from .conftest import groundling

LABELS = {
    "refund": "wants money back for a returned product",
    "delivery": "asks where a parcel stays or when it arrives",
    "login": "cannot sign into the account or forgot the password",
}
WRITTEN = {"labels": LABELS, "per_label": 12, "about": "messages of customers"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fake.running() as address:
        yield address


def rows(each: int) -> list[tuple[str, str]]:
    return [(f"Message {n} says {meaning}", label) for label, meaning in LABELS.items() for n in range(each)]


def project(root: Path, url: str, tiny: Path, options: dict, **synthesize: object) -> Path:
    """A folder with a table, a config, and a file of questions that has nothing to do with it."""
    root.mkdir(exist_ok=True)
    with (root / "messages.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("text", "label"), *rows(8)])
    (root / "questions.jsonl").write_text('{"id": "q", "question": "?", "answers": ["x"], "answerable": true}\n')
    data = {
        "name": "messages", "held_out": 0.25, "models": {"t": {"base_url": url, "model": "fake", "price_in": 1, "price_out": 2}},
        "synthesize": {"recipe": "classification", "options": options, **synthesize},
        "train": {"format": "labels", "base": str(tiny), "epochs": 1, "batch": 4, "save_steps": 2, "rank": 4}, "evaluate": {"prompt_trials": 3},  # keep is `best` where nothing else is said
    }  # fmt: skip
    (root / "groundling.yaml").write_text(yaml.safe_dump(data))
    return root


def opened(root: Path, out: Path, *settings: str, said: list[str] | None = None) -> Run:
    return open_run(root, out, list(settings), said.append if said is not None else lambda text: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, url: str) -> Path:
    """A run from the table, with its project beside it."""
    root = tmp_path_factory.mktemp("classification")
    folder = project(root / "project", url, tiny_model, {"data": "messages.csv", "labels": LABELS})
    pipeline.run_stages(opened(folder, root / "run"))
    return root


def test_from_a_table_to_scores_without_documents_and_without_a_teacher(finished: Path) -> None:
    run = opened(finished / "run", finished / "run")
    assert [run.space.record(name)["counts"]["in"] for name in ("ingest", "chunk")] == [0, 0], "no document is read"
    examples = list(run.space.read("curate", Example))
    assert len(examples) == 24 and sum(e.split == "held_out" for e in examples) == 6
    trained = run.space.record("train")["notes"]
    assert trained["held_out_rows"] == 6 and trained["keep"].startswith("last: the held-out examples are what the evaluation asks")
    scores = json.loads((finished / "run" / "7-scores" / "scores.json").read_bytes())
    assert {(s["setting"], s["metric"], s["n"]) for s in scores} == {("given", "accuracy", 6), ("given", "macro_f1", 6)}
    assert {s["model"] for s in scores} == {"base", "tuned"} and all(s["low"] is not None for s in scores if s["metric"] == "accuracy")
    notes = run.space.record("evaluate")["notes"]
    assert notes["written_by"] == "held-out examples" and sum(map(sum, notes["confusion"]["models"]["tuned"])) == 6
    said: list[str] = []
    after_evaluate(opened(finished / "run", finished / "run", said=said), None)
    [table] = [text for text in said if "macro_f1" in text]
    assert "accuracy" in table and "citation" not in table
    page = (finished / "run" / "report.html").read_text()
    assert "chose the right label for" in page and "The models were asked the held-out examples, of which none was trained on." in page


def test_a_finished_run_is_not_made_again_and_a_changed_table_makes_it_stale(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "copy")
    run = opened(tmp_path / "copy" / "project", tmp_path / "copy" / "run")
    assert {s.name: s.state for s in pipeline.states(run)} == dict.fromkeys(pipeline.NAMES, "done")
    with (tmp_path / "copy" / "project" / "messages.csv").open("a") as handle:
        handle.write("Another message about a parcel,delivery\n")
    (tmp_path / "copy" / "project" / "beside.txt").write_text("A document that nobody reads.")
    found = {s.name: s.state for s in pipeline.states(run)}
    assert (found["ingest"], found["index"], found["synthesize"], found["train"]) == ("done", "done", "stale", "stale")


def test_predict_gives_a_label_and_how_likely_each_is(finished: Path) -> None:
    said: list[str] = []
    run = opened(finished / "run", finished / "run", said=said)
    predict(run, "Where is my parcel?", None, as_json=True)
    told = json.loads(said.pop())
    assert told["label"] in LABELS and set(told["scores"]) == set(LABELS) and sum(told["scores"].values()) == pytest.approx(1, abs=1e-4)
    assert told["label"] == max(told["scores"], key=told["scores"].get) and "fault" not in told
    predict(run, "Where is my parcel?", None, as_json=False)
    first, *rest = said.pop().splitlines()
    assert first == told["label"] and len(rest) == 3 and first in rest[0] and all("%" in line for line in rest)


def test_predict_takes_a_file_of_texts(finished: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run = opened(finished / "run", finished / "run", said=said)
    (tmp_path / "in.txt").write_text("Where is my parcel?\n\n I forgot my password. \n")
    predict(run, None, tmp_path / "in.txt", as_json=True)
    assert [json.loads(line)["text"] for line in said] == ["Where is my parcel?", "I forgot my password."]
    by_lines = [json.loads(line)["label"] for line in said]
    said.clear()
    predict(run, None, finished / "project" / "messages.csv", as_json=False)
    assert len(said) == 24 and all(line.split("\t")[0] in LABELS and line.split("\t")[1].endswith(" %") for line in said)
    said.clear()
    predict(run, "I forgot my password.", None, as_json=True)
    assert json.loads(said[0])["label"] == by_lines[1], "alone or among others, a text gets the same label"


def test_predict_refuses_what_it_cannot_do(finished: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run = opened(finished / "run", finished / "run", said=said)
    for text, file in ((None, None), ("a", tmp_path / "b.txt")):
        with pytest.raises(ConfigError, match="Give one text, or --file"):
            predict(run, text, file, as_json=False)
    with pytest.raises(ConfigError, match="--k is how many passages are retrieved, and the format labels"):
        predict(run, "a", None, True, 3)
    (tmp_path / "long.txt").write_text(f"short\n{'word ' * 2000}\n")
    with pytest.raises(InputError, match="1 of 2 texts got no label: the text and the labels do not fit into the model's context. Shorten them."):
        predict(run, None, tmp_path / "long.txt", as_json=True)
    assert json.loads(said[0])["label"] in LABELS and json.loads(said[1])["label"] == "", "the other one is labelled all the same"
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no field is named text, message"):
        predict(run, None, tmp_path / "other.csv", as_json=False)
    with pytest.raises(ModelError, match="was taught the format labels, which is no conversation. Ask it with groundling predict"):
        service(run)


def test_from_the_command_line(finished: Path) -> None:
    done = groundling("predict", finished / "run", "Where is my parcel?")
    assert done.returncode == 0 and done.stdout.splitlines()[0] in LABELS, done.stderr
    listed = groundling("list", "recipes").stdout
    assert "classification" in listed and "all labels" in listed


def test_from_nothing_but_labels_with_a_teacher_over_http(tmp_path: Path, url: str, tiny_model: Path) -> None:
    folder = project(tmp_path / "project", url, tiny_model, WRITTEN, teacher="t")
    run = opened(folder, tmp_path / "run")
    pipeline.run_stages(run)
    examples = list(run.space.read("curate", Example))
    assert {e.answer for e in examples} == set(LABELS) and {e.kind for e in examples} == {"written"} and len(examples) > 40
    assert all({p.title: p.text for p in e.passages} == LABELS for e in examples)
    scores = json.loads((tmp_path / "run" / "7-scores" / "scores.json").read_bytes())
    assert {s["n"] for s in scores} == {sum(e.split == "held_out" for e in examples)}


def test_the_same_project_gives_the_same_examples(tmp_path: Path, url: str, tiny_model: Path) -> None:
    folder = project(tmp_path / "project", url, tiny_model, WRITTEN, teacher="t")
    for name in ("one", "two"):
        pipeline.run_stages(opened(folder, tmp_path / name), "ingest", "curate")
    one, two = ((tmp_path / name / "5-curated" / "data.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two and one


def test_an_interrupted_synthesis_goes_on_and_pays_nothing_twice(tmp_path: Path, tiny_model: Path) -> None:
    with fake.running("--set", f"log={tmp_path / 'calls.jsonl'}") as own:
        folder = project(tmp_path / "project", own, tiny_model, WRITTEN, teacher="t")
        pipeline.run_stages(opened(folder, tmp_path / "whole"), "ingest", "synthesize")
        calls = len((tmp_path / "calls.jsonl").read_text().splitlines())
        said: list[str] = []
        preview(opened(folder, tmp_path / "run", said=said), "classification", 3, as_json=True)
        between = len((tmp_path / "calls.jsonl").read_text().splitlines()) - calls
        pipeline.run_stages(opened(folder, tmp_path / "run"), "ingest", "synthesize")
        after = len((tmp_path / "calls.jsonl").read_text().splitlines()) - calls
    shown = [row for chunk in json.loads(said[-1])["chunks"] for row in chunk["rows"]]
    assert len(shown) == 3 and all(set(row["checks"].values()) <= {"made", "kept"} for row in shown) and 0 < between < calls
    assert after == calls, "what the preview asked is not asked again"
    assert (tmp_path / "run" / "4-examples" / "data.jsonl").read_bytes() == (tmp_path / "whole" / "4-examples" / "data.jsonl").read_bytes()


def test_the_plan_knows_what_it_takes(tmp_path: Path, url: str, tiny_model: Path) -> None:
    said: list[str] = []
    folder = project(tmp_path / "project", url, tiny_model, WRITTEN, teacher="t")
    plan(opened(folder, tmp_path / "run", said=said), 4, as_json=True)
    told = json.loads(said[-1])["synthesize"]
    assert told["called"] == "items" and told["chunks"]["all"] == 12 and told["chunks"]["done"] == 4
    assert told["left"]["calls"]["value"] == pytest.approx(8 * 5, rel=0.3), "a call for some texts and one for each text"


def test_active_labels_rows_with_a_student_of_another_run(finished: Path, tmp_path: Path, url: str, tiny_model: Path) -> None:
    shutil.copytree(finished / "run", tmp_path / "first")
    options = {"data": "messages.csv", "labels": LABELS, "unlabelled": "new.csv", "active": 3}
    folder = project(tmp_path / "project", url, tiny_model, options, teacher="t", student="run:first")
    with (folder / "new.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("text",), *[(f"Where is parcel {n}, or when arrives it?",) for n in range(9)]])
    run = opened(folder, tmp_path / "second")
    pipeline.run_stages(run, "ingest", "synthesize")
    active = [e for e in run.space.read("synthesize", Example) if e.kind == "active"]
    assert len(active) == 3 and {e.answer for e in active} == {"delivery"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["train.format=raft"], "The recipe classification makes examples for train.format=labels, not for raft"),
        (["evaluate.questions=questions.jsonl"], "train.format labels is evaluated on held-out examples"),
        (["evaluate.metrics=[f1]"], "f1 says nothing of models in the format labels. Those that do: accuracy, macro_f1."),
        (["synthesize.options={}"], "needs texts with labels"),
        (["synthesize.options={labels: [a, b], per_label: 3}"], "needs a language model to write texts"),
        (["synthesize.recipe=raft", "synthesize.options={}"], "train.format labels takes examples with labels"),
    ],
)
def test_what_cannot_end_well_is_refused_before_it_begins(tmp_path: Path, url: str, tiny_model: Path, settings: list[str], said: str) -> None:
    folder = project(tmp_path / "project", url, tiny_model, {"data": "messages.csv"})
    with pytest.raises(ConfigError, match=said):
        pipeline.run_stages(opened(folder, tmp_path / "run", *settings))
    assert not (tmp_path / "run" / "1-documents").exists()


def test_without_a_held_out_text_training_does_not_begin(tmp_path: Path, url: str, tiny_model: Path) -> None:
    folder = project(tmp_path / "project", url, tiny_model, {"data": "messages.csv"})
    with pytest.raises(InputError, match="There is no held-out example to evaluate on. Raise held_out"):
        pipeline.run_stages(opened(folder, tmp_path / "run", "held_out=0"))
    assert not (tmp_path / "run" / "6-model" / "record.json").exists()


def test_a_teacher_that_refuses_stops_the_run(tmp_path: Path, tiny_model: Path) -> None:
    with fake.running("--set", "reply=fixed", "--set", "text=I am sorry, I cannot help with that.") as refusing:
        folder = project(tmp_path / "project", refusing, tiny_model, WRITTEN, teacher="t")
        with pytest.raises(TooManyFailed, match="no list of texts: no JSON object in the reply"):
            pipeline.run_stages(opened(folder, tmp_path / "run"), "ingest", "synthesize")
