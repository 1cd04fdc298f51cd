"""The report of a round shows how its training and those before it went; that of a reward model, which is not evaluated, how well it ranks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from groundling import rounds
from groundling.commands.reporting import write_report
from groundling.errors import InputError
from groundling.evaluate import report
from groundling.runs import Run, open_run, write_config
from groundling.workspace import write_json

LOG = [{"step": n, "loss": 2.0 - n / 10, "rate": 1e-3, "gradient": 1.0} for n in range(6)]


def trained(run: Run, log: list[dict[str, float]], **notes: Any) -> None:
    write_config(run)
    folder = run.space.folder("train")
    folder.mkdir(parents=True)
    write_json(folder / "record.json", {"fingerprint": "f", "settings": {}, "inputs": {}, "seed": 1, "counts": {}, "notes": {"log": log} | notes})


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """A run of the objective sft, and a round that trains a reward model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    second = {"name": "rm", "synthesize": {"recipe": "preference", "student": "run:one"}, "train": {"objective": "reward", "base": "run:one"}}
    (tmp_path / "groundling.yaml").write_text(yaml.safe_dump({"name": "one", "documents": "docs", "rounds": [second]}))
    return rounds.runs(open_run(tmp_path / "groundling.yaml", None, [], lambda text: None))


def test_a_reward_model_s_report_says_how_well_it_ranks_and_has_both_rounds_curves(both: list[Run]) -> None:
    trained(both[0], LOG)
    own = [entry | {"accuracy": 0.5, "margin": 0.1} for entry in LOG]
    trained(both[1], own, pair_accuracy={"value": 0.75, "low": 0.6, "high": 0.85, "n": 40})
    page = write_report(both[1]).read_text()
    assert "Of 40 held-out pairs the reward model gives the better reply the higher score in 75.0 % (95 % interval 60.0 to 85.0 %)." in page
    names = re.findall(r'aria-label="([^"]*) by step, ([^"]*)"', page)
    common = ["Training loss", "Learning rate", "Gradient norm"]
    assert names == [(n, "one") for n in common] + [(n, "rm") for n in [*common, "Better reply ahead", "Margin"]]
    assert "reward on run:one" in page and "sft on nano" in page and "<h2>Scores</h2>" not in page and "<h2>Training</h2>" in page


def test_without_held_out_pairs_that_is_said(both: list[Run]) -> None:
    trained(both[1], LOG)
    assert "no pair was held out, so how well it ranks is not known" in write_report(both[1]).read_text()


@pytest.mark.parametrize(("method", "words"), [("lora", "LoRA"), ("qlora", "QLoRA"), ("full", "all weights")])
def test_the_report_names_the_method_that_the_model_was_trained_by(both: list[Run], monkeypatch: pytest.MonkeyPatch, method: str, words: str) -> None:
    trained(both[1], LOG)
    write_json(both[1].space.folder("train") / "groundling.json", {"method": method})
    seen: list[Any] = []
    monkeypatch.setattr(report, "write_report", lambda path, data: seen.append(data))
    write_report(both[1])
    assert seen[0].models["tuned"] == f"run:one + reward ({words})"


def test_a_run_that_answers_still_needs_scores(both: list[Run]) -> None:
    trained(both[0], LOG)
    with pytest.raises(InputError, match="has no scores yet"):
        write_report(both[0])
