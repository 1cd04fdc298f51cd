"""A model scored on any folder: a run folder, a checkpoint or an endpoint, and what is kept of its replies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundling.commands.asking import Bare, evaluate_model
from groundling.errors import ConfigError
from groundling.llm.fake.process import running
from groundling.llm.local import Local

QUESTIONS = [
    {"id": "1", "question": "What colour is the assembly point's flag?", "answers": ["green"], "answerable": True, "document": "a.txt"},
    {"id": "2", "question": "Who painted it?", "answers": [], "answerable": False},
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("The flag of the assembly point is green. It stands by the lake.")
    (tmp_path / "q.jsonl").write_text("\n".join(json.dumps(q) for q in QUESTIONS))
    return tmp_path


def test_scored_again_it_goes_on_from_the_replies_it_has(place: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    bare = Bare(str(tiny_model), place / "docs", place / "q.jsonl", "1", ["evaluate.max_tokens=8"])
    evaluate_model(bare, place / "out.json", said.append)
    first = json.loads((place / "out.json").read_bytes())
    assert {s["setting"] for s in first} == {"k=1"} and any(s["metric"] == "f1" and s["n"] == 1 for s in first)
    monkeypatch.setattr(Local, "_generate", lambda *_: pytest.fail("asked again"))
    evaluate_model(bare, place / "out.json", said.append)
    assert json.loads((place / "out.json").read_bytes()) == first
    with pytest.raises(pytest.fail.Exception, match="asked again"):
        evaluate_model(bare, None, said.append)  # nothing is kept where no file is named


def test_an_endpoint_of_the_folders_config_is_scored_too(place: Path) -> None:
    said: list[str] = []
    with running() as url:
        (place / "docs" / "groundling.yaml").write_text(f"models: {{big: {{base_url: {url}, model: fake}}}}\nevaluate: {{batch: 1}}\n")
        evaluate_model(Bare("big", place / "docs", place / "q.jsonl", "1", []), place / "out.json", said.append)
    rows = [json.loads(line) for line in (place / "out.rows.jsonl").read_text("utf-8").splitlines()]
    assert {row["model"] for row in rows} == {"big"} and len(rows) == 2
    with pytest.raises(ConfigError, match='no model "bigg".*Did you mean "big"'):
        evaluate_model(Bare("bigg", place / "docs", place / "q.jsonl", "1", []), None, said.append)
