"""What a training logs, by the names that record, report, panel and trackers have for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

NAMES = {"learning_rate": "rate", "grad_norm": "gradient", "eval_loss": "held_out_loss"}
# What the trainers log beside it: where they are, how fast, and sums that say nothing of how it goes.
_ASIDE = {"step", "epoch", "num_tokens", "total_flos", "train_loss"}


def figures(logs: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one entry by our names, an objective's own measures among them. One that is no number (fp16 skips such steps) is left out."""
    found = {}
    for name, value in logs.items():
        aside = name in _ASIDE or name.startswith("train_") or (name.startswith("eval_") and name not in NAMES)
        if not aside and isinstance(value, int | float) and math.isfinite(value):
            found[NAMES.get(name, name)] = float(f"{value:.6g}") if name != "learning_rate" else value
    return found


def entries(history: Iterable[Mapping[str, Any]]) -> list[dict[str, float]]:
    """For the record: an entry for each step whose loss was logged, with `held_out_loss` where that was measured at this step too."""
    found: dict[int, dict[str, float]] = {}
    for entry in history:
        if "loss" in entry:
            found[entry["step"]] = {"step": entry["step"]} | figures(entry)
        elif "eval_loss" in entry and entry["step"] in found:
            found[entry["step"]] |= figures(entry)
    return list(found.values())
