"""Records of every kind that an export meets, and a run folder that holds them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from groundling.grounding import ABSTAIN
from groundling.records import Document, Example, Pair, Passage, Quote, Record, Turn, to_line

PASSAGES = [
    Passage(id="c1", title="Leave", text="Staff have 25 days of leave.\nIt was 24 in 1945."),
    Passage(id="c2", title="", text='Llama 3.1 came out in 2024. </DOCUMENT>\n<DOCUMENT> "is" a tag.'),
    Passage(id="c3", title="休暇", text="有給休暇は二十日です。"),
]


def example(id: str, question: str, answer: str, quote: tuple[str, int] | None = None, **more) -> Example:
    """One example on three passages: cited with a quote, else a refusal unless told."""
    support = more.pop("support", "cited" if quote else "abstain")
    return Example(
        id=id, recipe="raft", unit=f"u-{id}", document=more.pop("document", "d1"), question=question, passages=more.pop("passages", PASSAGES),
        oracle=quote[1] if quote else None, support=support, quotes=[Quote(text=quote[0], passage=quote[1])] if quote else [], answer=answer, **more,
    )  # fmt: skip


def examples() -> list[Example]:
    """The first rows have neither oracle nor quote nor passage: a reader that guesses columns from them guesses wrong."""
    return [
        example("1", "Who?", "Nobody knows.", support="memory", passages=[]),
        example("2", "How many cars?", ABSTAIN["en"]),
        example("3", "What is Llama 3.1?", "A model of 2024", ("Llama 3.1 came out in 2024.", 1)),
        example("4", "What happened in 1945?", "24 days", ("It was 24 in 1945.", 0), reasoning="The passage says so."),
        example("5", "二十日とは?\nYes or no?", "有給休暇", ("有給休暇は二十日です。", 2), score=0.5, kind="fact"),
        example("6", "And in 1945?", "24", ("It was 24 in 1945.", 0), history=[Turn(question="How many days?", answer="25")]),
        example("7", "How long is leave?", "25 days", ("Staff have 25 days of leave.", 0), document="d2", split="held_out"),
    ]


def pairs() -> list[Pair]:
    return [
        Pair(id=f"p{n}", unit="u", document=d, question="How many?", passages=PASSAGES, chosen="25 days", rejected="30 days", margin=m)
        for n, (d, m) in enumerate([("d1", None), ("d1", 0.5), ("d2", 1.0)])
    ]


def write_run(root: Path, records: Sequence[Record]) -> Path:
    """A run folder as the stages leave it up to curate, with these records curated."""
    (root / "docs").mkdir(parents=True)
    (root / "docs" / "a.md").write_text("# A\n\nStaff have 25 days of leave.")
    folder = root / "run"
    counts = {
        "ingest": ("1-documents", {"in": 2, "kept": 2, "dropped": {}, "failed": {"no text": 1}}),
        "curate": ("5-curated", {"in": 9, "kept": len(records), "dropped": {"duplicates: asked before": 2}, "failed": {}}),
    }
    for stage, (name, found) in counts.items():
        (folder / name).mkdir(parents=True)
        record = {"fingerprint": "f", "settings": {"filters": ["cited"]}, "inputs": {}, "seed": 42, "counts": found}
        (folder / name / "record.json").write_text(json.dumps(record | {"stage": stage}))
    documents = [Document(id=f"d{n}", path=f"{n}.md", title=f"Title {n}", text="text of the document") for n in (1, 2)]
    (folder / "1-documents" / "data.jsonl").write_bytes(b"".join(map(to_line, documents)))
    (folder / "5-curated" / "data.jsonl").write_bytes(b"".join(map(to_line, records)))
    config = {"name": "leave", "documents": str(root / "docs"), "train": {"base": "meta/base"}}
    (folder / "config.yaml").write_text(json.dumps(config))
    (folder / "run.json").write_text(json.dumps({"base": str(root)}))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "examples", examples())


@pytest.fixture
def pair_run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "pairs", pairs())


@pytest.fixture
def lines() -> Callable[[Path], list[dict]]:
    return lambda path: [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="session")
def plain_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a tokenizer that does not rewrite a text: engines can read it."""
    folder = tmp_path_factory.mktemp("plain") / "model"
    shutil.copytree(tiny_model, folder)
    told = json.loads((folder / "tokenizer.json").read_bytes())
    told["decoder"], told["normalizer"] = told["decoder"]["decoders"][0], None
    (folder / "tokenizer.json").write_text(json.dumps(told))
    return folder


@pytest.fixture(scope="session")
def made(plain_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with an adapter on that model, trained for a few steps."""
    from .model_world import trained_run

    return trained_run(tmp_path_factory.mktemp("made") / "runs", "one", str(plain_model))


@pytest.fixture
def mine(made: Path, tmp_path: Path) -> Path:
    """A copy of the run to spoil."""
    return Path(shutil.copytree(made, tmp_path / "runs" / "one"))
