"""How each training went, as plots for the report: the loss on both sides of the split, the rate, the gradient, and an objective's own measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from . import charts

# What a measure is, in words; one that is not named here is an objective's own and stands under its name.
WORDS = {
    "rate": ("Learning rate", ""), "gradient": ("Gradient norm", "of all that is trained, before it is clipped"),
    "ahead": ("Better reply ahead", "share of a step's pairs"), "accuracy": ("Better reply ahead", "share of a step's pairs"),
    "right": ("Right label likeliest", "share of a step's examples"), "margin": ("Margin", ""),
    "chosen": ("Better replies", "as the objective measures them"), "rejected": ("Worse replies", "as the objective measures them"),
}  # fmt: skip
BESIDE = ("step", "loss", "held_out_loss")


class Training(NamedTuple):
    """A run's training: its name, what was trained from what in words, and its log."""

    name: str
    words: str
    log: Sequence[Mapping[str, float]]


def plots(one: Training) -> list[dict[str, str]]:
    """The plots of a training; none where fewer than two steps were logged."""
    if len(_points(one.log, "loss")) < 2:
        return []
    held = _points(one.log, "held_out_loss")
    note = "each step faint, its running mean over it" + ("; squares: on held-out examples" if held else "")
    found = [{"title": "Loss", "note": note, "svg": charts.loss(_points(one.log, "loss"), f"Training loss by step, {one.name}", held)}]
    for name in dict.fromkeys(name for entry in one.log for name in entry if name not in BESIDE):
        title, note = WORDS.get(name, (name.replace("_", " ").capitalize(), ""))
        points = _points(one.log, name)
        if len(points) > 1:
            found.append({"title": title, "note": note, "svg": charts.line(points, f"{title} by step, {one.name}")})
    return found


def _points(log: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    return [(entry["step"], entry[name]) for entry in log if entry.get(name) is not None]
