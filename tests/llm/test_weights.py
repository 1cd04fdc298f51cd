"""A model by `run:NAME`: found beside the run, never by a path, and never a reward model where one is to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundling.errors import ModelError
from groundling.llm.weights import resolve_weights, run_folder
from groundling.workspace import Workspace, write_json


def made(root: Path, base: str, objective: str) -> None:
    """A finished run's model, as far as its records tell."""
    from groundling.llm.weights import resolve_weights as resolved

    folder = Workspace(root).folder("train")
    folder.mkdir(parents=True)
    said = {"base": base, "base_fingerprint": resolved(base, None, root.parent).fingerprint, "objective": objective, "method": "lora"}
    write_json(folder / "groundling.json", said)
    write_json(folder / "record.json", {"fingerprint": objective, "settings": {}, "inputs": {}, "seed": 1, "counts": {}})
    write_json(root / "run.json", {"base": str(root)})


def test_adapters_stand_in_the_order_of_their_runs(tmp_path: Path, tiny_model: Path) -> None:
    made(tmp_path / "one", str(tiny_model), "sft")
    made(tmp_path / "two", "run:one", "smpo")
    found = resolve_weights("run:two", None, tmp_path)
    assert found.base == str(tiny_model) and [a.parent.name for a in found.adapters] == ["one", "two"]
    (Workspace(tmp_path / "one").folder("train") / "adapter_config.json").write_text("{}")  # other weights than before
    with pytest.raises(ModelError, match="other weights of run:one"):
        resolve_weights("run:two", None, tmp_path)


def test_a_reward_model_is_no_base_and_no_writer(tmp_path: Path, tiny_model: Path) -> None:
    made(tmp_path / "rm", str(tiny_model), "reward")
    with pytest.raises(ModelError, match="is a reward model"):
        resolve_weights("run:rm", None, tmp_path)


@pytest.mark.parametrize("name", ["run:../other", "run:..", "run:", "run:/etc", "run:a/b"])
def test_a_run_is_named_and_not_reached_by_a_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "runs" / "a" / "b").mkdir(parents=True)
    with pytest.raises(ModelError, match="no name of a run"):
        run_folder(name, tmp_path / "runs")
