"""Killed in the middle of evaluate: a real model, tiny and random, is asked again for the batch under way and no more."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluate_world import CHUNKS, DOCUMENTS, QUESTIONS, example, search
from test_evaluate_run import go

from groundling.config import Evaluate
from groundling.evaluate.cases import Books
from groundling.evaluate.run import Contestant, Plan
from groundling.grounding import FORMATS
from groundling.llm.journal import Journal
from groundling.llm.journaled import Journaled
from groundling.llm.local import Local

RAFT = FORMATS["raft"]
EXAMPLES = [example("short", "cited"), example("none", "abstain")]


class Watched(Local):
    """Counts its batches; the process dies before batch `last` is answered."""

    last: int | None = None

    def _generate(self, prompts, requests):
        self.batches = [*getattr(self, "batches", []), prompts]
        if len(self.batches) == self.last:
            raise SystemExit("killed")
        return super()._generate(prompts, requests)


def evaluated(model: Watched, folder: Path, journal: Path) -> Watched:
    opened = Journal(journal)
    asked = Journaled(model, opened)
    models = [Contestant("base", asked, RAFT, trial=True), Contestant("tuned", asked, RAFT)]
    options = Evaluate(k=[1, 2], batch=5, max_tokens=8, metrics=["correct", "f1"])
    try:
        go(Plan(options, 7, QUESTIONS, Books(DOCUMENTS, CHUNKS, search, frozenset()), models, EXAMPLES), folder)
    finally:
        opened.close()
    return model


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("place", [2, 5, -2])
def test_what_was_answered_before_a_kill_is_not_asked_again(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    monkeypatch.setattr("groundling.llm.local.MAX_ROWS", 2)  # a group of five questions is three batches
    calm = evaluated(Watched(tiny_model), tmp_path / "calm", tmp_path / "calm.sqlite")
    killed, again = Watched(tiny_model), Watched(tiny_model)
    killed.last = place % len(calm.batches)
    with pytest.raises(SystemExit):
        evaluated(killed, tmp_path / "torn", tmp_path / "torn.sqlite")
    evaluated(again, tmp_path / "torn", tmp_path / "torn.sqlite")
    assert killed.batches[:-1] + again.batches == calm.batches, "the same batches, and each once but for the one under way"
    assert files(tmp_path / "torn") == files(tmp_path / "calm")


def test_other_weights_are_asked_anew(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    first = evaluated(Watched(tiny_model), tmp_path / "a", tmp_path / "journal.sqlite")
    moved = Path(shutil.copytree(tiny_model, tmp_path / "moved"))
    assert not hasattr(evaluated(Watched(moved), tmp_path / "b", tmp_path / "journal.sqlite"), "batches"), "the same weights at another place"
    weights = bytearray((moved / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (moved / "model.safetensors").write_bytes(weights)
    other = evaluated(Watched(moved), tmp_path / "c", tmp_path / "journal.sqlite")
    assert len(other.batches) == len(first.batches)
