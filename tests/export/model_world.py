"""Runs with a model that was really trained for a few steps, and what an exported folder is compared with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundling import config
from groundling.commands.delivering import Wanted, deliver
from groundling.export.job import Wish
from groundling.llm.local import need_torch
from groundling.llm.weights import resolve_weights
from groundling.records import Record
from groundling.train import train
from groundling.train.dial import settle
from groundling.workspace import Workspace

from .conftest import examples, write_run

# A rate at which a random network of one layer answers otherwise after three steps.
FEW = {"steps": 3, "batch": 2, "rank": 2, "rate": 0.05, "eval_rows": 0, "precision": "fp32", "warmup": 0.0}


def trained_run(runs: Path, name: str, base: str, records: Sequence[Record] = (), **settings: Any) -> Path:
    """The run `name`, its stages up to train as they leave them."""
    need_torch()
    given = FEW | {"base": base} | settings
    made = write_run(runs.parent / f"of {name}", records or examples())
    folder = runs / name
    runs.mkdir(exist_ok=True)
    shutil.move(made, folder)
    documents = str(made.parent / "docs")
    (folder / "config.yaml").write_text(json.dumps({"name": name, "documents": documents, "train": given}))
    (folder / "4-examples").mkdir()
    counts = {"in": 9, "kept": 9, "dropped": {}, "failed": {}}
    stage = {"stage": "synthesize", "fingerprint": "f", "settings": {"recipe": "raft"}, "inputs": {}, "seed": 42, "counts": counts}
    (folder / "4-examples" / "record.json").write_text(json.dumps(stage))
    options, weights, space = config.Train(**given), resolve_weights(base, None, runs), Workspace(folder)
    with space.writing("train", f"train of {name}", options.identity(), {}, 1, resumes=True) as out:
        train(records or examples(), settle(options, weights)[0], weights, 1, out)
    return folder


def exported(run: Path, target: str, out: Path, push: str = "", **wish: Any) -> dict[str, Any]:
    """Export, and the record of it."""
    deliver(run, Wanted(target, out, Wish(**wish), push), lambda text: None)
    return json.loads((out / "export.json").read_bytes())


def card(out: Path) -> str:
    return (out / "README.md").read_text("utf-8")


def parameters(network: Any) -> dict[str, Any]:
    """All weights by their names."""
    return dict(network.state_dict())


def near(one: dict[str, Any], other: dict[str, Any], within: float = 1e-5) -> bool:
    """Whether two networks have the same weights."""
    import torch

    return one.keys() == other.keys() and all(torch.allclose(one[name].float(), other[name].float(), atol=within) for name in one)
