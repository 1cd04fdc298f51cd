"""Rows with a rule that a tiny model learns in a few steps, and a training of it in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from groundling import config
from groundling.llm.local import need_torch
from groundling.llm.weights import Weights
from groundling.panel import unwatched
from groundling.train.tokens import Row, Rows


def rows(count: int = 8, answer: int = 7, held_out: int | None = None) -> Rows:
    """Prompts of differing lengths that are all answered by one token. `held_out`: the answer of two more rows that are only measured on."""
    made = Rows(Row(id=str(n), ids=[*range(20, 26 + n), answer], spans=[(6 + n, 7 + n)]) for n in range(count))
    if held_out is not None:
        made.held_out = [Row(id=f"h{n}", ids=[40 + n, 41, 42, held_out], spans=[(3, 4)]) for n in range(2)]
    return made


def options(**more: Any) -> config.Train:
    return config.Train(**({"epochs": 2, "batch": 2, "rank": 4, "rate": 0.02, "save_steps": 3, "eval_steps": 2, "warmup": 0.0} | more))


def trained(base: Path, folder: Path, made: Rows | None = None, **more: Any) -> list[dict[str, float]]:
    need_torch()
    from groundling.train.objectives import sft

    folder.mkdir(exist_ok=True)
    return sft.run(made or rows(), Weights(str(base)), options(**more), 1, folder, unwatched)


def weights(folder: Path) -> dict[str, Any]:
    """All tensors of a saved model or adapter."""
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found |= load_file(path)
    return found


def same(a: Path, b: Path) -> bool:
    import torch

    one, other = weights(a), weights(b)
    return bool(one) and one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
