"""Recipes that begin with instruction sets, the whole way: rag_sft with a judge over HTTP, and the rounds of backtranslation on a model of one layer."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from groundling import pipeline
from groundling.commands.predicting import predict
from groundling.commands.preview import preview
from groundling.commands.rounding import Wanted, run_rounds
from groundling.errors import TooManyFailed
from groundling.grounding import Instruct
from groundling.llm import fake
from groundling.records import Example
from groundling.runs import Run, open_run
from tests.synthesize.test_backtranslation import documents, seeds

from .conftest import groundling

ASKED = [
    ("How many days of annual leave do staff in Finland have?", "30 days."),
    ("After how many days of absence is a doctor's note needed?", "After 3 days."),
    ("What may a hotel night cost at most?", "At most 140 EUR."),
    ("Within how many days must the receipt be handed in?", "Within 21 days."),
    ("How much does the Katla 200 weigh?", "It weighs 12 kg."),
    ("How long does the warranty of the Katla 200 run?", "For 3 years."),
    ("How much does the Katla 250 weigh?", "It weighs 15 kg."),
    ("How long does the warranty of the Katla 250 run?", "For 5 years."),
    ("When does the office open?", "At 07:30."),
    ("How many places has the garage?", "It has 24 places."),
    ("Until when are prices valid?", "Until 31 December 2026."),
    ("Who painted the walls of the office?", "A painter whose name nobody remembers."),
    ("Where do staff in Finland eat lunch?", "Beside the harbour, under chestnut trees."),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fake.running() as address:
        yield address


@pytest.fixture
def joined(project: Path, url: str, tiny_model: Path) -> Path:
    """The small project with the recipe rag_sft and the fake as its judge."""
    (project / "questions.jsonl").unlink()
    (project / "asked.json").write_text(json.dumps([{"ID": str(n), "text": q, "output": a} for n, (q, a) in enumerate(ASKED)]))
    data = yaml.safe_load((project / "groundling.yaml").read_text())
    data |= {"held_out": 0.4, "models": {"t": {"base_url": url, "model": "fake"}}}
    data["synthesize"] = {"recipe": "rag_sft", "judge": "t", "options": {"instructions": "asked.json", "check": "model", "unsupported": "abstain"}}
    data["train"] |= {"base": str(tiny_model), "epochs": 1}
    data["evaluate"] |= {"max_tokens": 8, "prompt_trials": 2}
    (project / "groundling.yaml").write_text(yaml.safe_dump(data))
    return project


def opened(project: Path, out: Path, *settings: str) -> Run:
    return open_run(project, out, list(settings), lambda text: None)


def asked(run: Run) -> int:
    with sqlite3.connect(run.space.journal) as journal:
        return journal.execute("SELECT count(*) FROM replies").fetchone()[0]


def test_instructions_joined_with_passages_the_whole_way(joined: Path, tmp_path: Path) -> None:
    run = opened(joined, tmp_path / "run")
    pipeline.run_stages(run)
    curated = list(run.space.read("curate", Example))
    assert {e.support for e in curated} == {"cited", "abstain"} and {e.split for e in curated} == {"train", "held_out"}
    assert sum(e.support == "cited" for e in curated) >= 8
    scores = json.loads((run.space.folder("evaluate") / "scores.json").read_text())
    held = sum(e.split == "held_out" and e.support == "cited" for e in curated)
    assert {s["n"] for s in scores if (s["setting"], s["metric"], s["questions"]) == ("given", "f1", "all")} == {held} and held
    paid = asked(run)
    shutil.rmtree(run.space.folder("synthesize"))
    before = run.space.data("curate").read_bytes()
    again = opened(joined, tmp_path / "run")
    pipeline.run_stages(again, "synthesize", "curate")
    assert run.space.data("curate").read_bytes() == before and asked(again) == paid, "replies that were paid for are not asked for again"


def test_a_changed_file_makes_the_examples_stale_and_only_what_follows(joined: Path, tmp_path: Path) -> None:
    pipeline.run_stages(opened(joined, tmp_path / "run", "synthesize.options.check=words"), "ingest", "curate")

    def states() -> dict[str, str]:
        return {s.name: s.state for s in pipeline.states(opened(joined, tmp_path / "run", "synthesize.options.check=words"))}

    assert states()["synthesize"] == states()["index"] == "done"
    rows = json.loads((joined / "asked.json").read_text())
    (joined / "asked.json").write_text(json.dumps(rows[:-1]))
    assert (states()["index"], states()["synthesize"], states()["curate"]) == ("done", "stale", "stale")


def test_preview_and_the_same_bytes(joined: Path, tmp_path: Path) -> None:
    said: list[str] = []
    preview(open_run(joined, tmp_path / "one", [], said.append), "rag_sft", 3, as_json=True)
    assert sum(len(c["rows"]) for c in json.loads(said[-1])["chunks"]) == 3
    for name in ("one", "two"):
        pipeline.run_stages(opened(joined, tmp_path / name), "ingest", "synthesize")
    one, two = ((tmp_path / name / "4-examples" / "data.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two and one


def test_what_cannot_work_is_refused_before_anything_is_made(joined: Path, tmp_path: Path) -> None:
    for settings, told in (
        (['synthesize.judge=""'], "needs a language model to say whether a passage supports an answer"),
        (['synthesize.options.instructions=""'], "needs a file of instructions with their answers"),
        (["synthesize.options.instructions=nowhere.json"], "nowhere.json does not exist"),
        (["train.format=labels"], "The recipe rag_sft makes examples for train.format=raft, not for labels"),
    ):
        done = groundling("run", joined, "--out", tmp_path / "run", *(part for s in settings for part in ("--set", s)))
        assert done.returncode == 2 and told in " ".join(done.stderr.split()) and "Traceback" not in done.stderr, done.stderr
        assert not (tmp_path / "run" / "1-documents").exists()


def test_a_judge_that_refuses_stops_the_run(joined: Path, tmp_path: Path) -> None:
    with fake.running("--set", "reply=fixed", "--set", "text=I am sorry, I cannot help with that.") as refusing:
        run = opened(joined, tmp_path / "run", f"models.t.base_url={refusing}")
        with pytest.raises(TooManyFailed, match="no word on the support: no JSON object in the reply"):
            pipeline.run_stages(run, "ingest", "synthesize")
        assert asked(run) >= 13, "what was paid for is there"


# Backtranslation


@pytest.fixture
def backward(tmp_path: Path, tiny_model: Path) -> Path:
    """A project of three rounds, as small as they go: who writes instructions, who judges, and the model of both kinds of pairs."""
    root = tmp_path / "loop"
    (root / "documents").mkdir(parents=True)
    for document in documents(4):
        (root / "documents" / document.path).write_text(document.text, "utf-8")
    (root / "seeds.json").write_text(json.dumps(seeds(12)))
    (root / "labelled.json").write_text(json.dumps([{"instruction": "Who?", "output": "He.", "score": n} for n in (1, 3, 5)]))
    attention = ["q_proj", "k_proj", "v_proj", "o_proj"]
    score = {"score": {"minimum": 1, "scale": [1, 5], "unscored": "keep"}}
    augmented = {"make": "augmented", "labelled": "labelled.json", "max_tokens": 12}
    data = {
        "version": 1, "name": "loop", "documents": "documents", "held_out": 0.3,
        "synthesize": {"recipe": "backtranslation", "options": {"make": "backward", "seeds": "seeds.json"}},
        "curate": {"filters": ["cited"]},
        "train": {"base": str(tiny_model), "format": "backward", "rank": 8, "alpha": 32, "targets": attention, "steps": 2, "batch": 4},
        "evaluate": {"metrics": ["bleu", "rouge_l"], "max_tokens": 8, "limit": 2, "prompt_trials": 1},
        "rounds": [
            {"name": "first", "synthesize": {"options": {"make": "forward"}}, "train": {"format": "instruct"}},
            {
                "name": "second", "synthesize": {"student": "run:loop", "judge": "run:first", "max_failed": 1.0, "options": augmented},
                "curate": {"filters": ["cited", score]}, "train": {"format": "instruct"},
            },
        ],
    }  # fmt: skip
    (root / "groundling.yaml").write_text(yaml.safe_dump(data))
    return root


@pytest.mark.slow
def test_the_rounds_of_backtranslation_the_whole_way(backward: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    run_rounds(opened(backward, runs / "loop"), Wanted())
    folders = {name: opened(runs / name, None).space for name in ("loop", "first", "second")}
    for name, space in folders.items():
        scores = json.loads((space.folder("evaluate") / "scores.json").read_text())
        assert {(s["metric"], s["setting"]) for s in scores} == {("bleu", "given"), ("rouge_l", "given")}, name
        assert json.loads((space.folder("train") / "adapter_config.json").read_text())["r"] == 8
    inverted = list(folders["loop"].read("curate", Example))
    assert {e.split for e in inverted} == {"train", "held_out"} and all(e.passages for e in inverted)
    made = list(folders["second"].read("synthesize", Example))
    notes = folders["second"].record("synthesize")["notes"]
    assert {e.question.partition("\n\n")[0] for e in made if e.kind == "seed"} == {Instruct.tags[0]}
    scored = [e for e in made if e.kind == "augmented"]
    assert all(1 <= e.score <= 5 and e.question.startswith(Instruct.tags[1]) for e in scored)
    assert len(scored) + sum(folders["second"].record("synthesize")["counts"]["dropped"].values()) >= 12
    assert "the judge beside a person on 3 labelled pairs" in notes["advice"][0]
    for name, field in (("loop", "instruction"), ("second", "answer")):
        said: list[str] = []
        predict(open_run(runs / name, None, [], said.append), "The kettle of hall 3 weighs 11 kg.", None, as_json=True)
        assert json.loads(said[0]).keys() == {"text", field}
    sides = [{e.answer: e.split for e in folders[name].read("synthesize", Example) if e.kind == "seed"} for name in folders]
    assert sides[0] == sides[1] == sides[2]


def test_a_teacher_over_http_writes_and_scores_and_is_paid_once(backward: Path, tmp_path: Path, url: str) -> None:
    settings = [
        f"models.t.base_url={url}", "models.t.model=fake", "synthesize.teacher=t", "synthesize.options.make=augmented", "train.format=instruct",
        'curate.filters=["cited", {score: {minimum: 4, scale: [1, 5], unscored: keep}}]',
    ]  # fmt: skip
    one = opened(backward, tmp_path / "runs" / "loop", *settings)
    pipeline.run_stages(one, "ingest", "curate")
    made, kept = (list(one.space.read(stage, Example)) for stage in ("synthesize", "curate"))
    assert len([e for e in made if e.kind == "augmented"]) == 12 and {e.score for e in kept if e.kind == "augmented"} <= {4.0, 5.0}
    assert len(kept) >= 12 and asked(one) == 24, "an instruction and a score for each segment"
    shutil.rmtree(one.space.folder("synthesize"))
    before = one.space.data("curate").read_bytes()
    pipeline.run_stages(opened(backward, tmp_path / "runs" / "loop", *settings), "synthesize", "curate")
    assert one.space.data("curate").read_bytes() == before and asked(one) == 24
