"""The fine-tuning protocol of OpenAI and those who follow it: what is ordered, how a job stands, what its curve was. No I/O."""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
from typing import Any, NamedTuple

from .completions import Damaged

ENDED = {"succeeded", "failed", "cancelled"}
_LINE = re.compile(r"\bline (\d+)", re.IGNORECASE)
_LOSS = {"loss": ("train_loss", "training_loss", "loss"), "held_out_loss": ("full_valid_loss", "valid_loss", "validation_loss", "eval_loss")}
SHOWN = 200  # points of a curve in a run's record


class State(NamedTuple):
    """A job as the provider tells it. `tokens`: trained in all, None where it does not say; `reason` of a failed one, with the line it names."""

    status: str
    tuned: str
    tokens: int | None
    results: str
    reason: str
    line: int
    epochs: Any


class Checkpoint(NamedTuple):
    """A model that a job left on its way, with its loss on the validation file; None where there was none."""

    model: str
    step: int
    loss: float | None


class Step(NamedTuple):
    """How far a job is: the step, of how many (0: not told), and the loss there."""

    step: int
    steps: int
    loss: float | None


def state(told: Any) -> State:
    """A job object. Raises Damaged for something else."""
    if not isinstance(told, dict) or not isinstance(told.get("status"), str):
        raise Damaged("the answer is no fine-tuning job")
    error = told.get("error") if isinstance(told.get("error"), dict) else {}
    reason = " ".join(str(error.get("message") or error.get("code") or "").split())
    found = _LINE.search(reason)
    files = [f for f in told.get("result_files") or [] if isinstance(f, str)]
    tokens = told.get("trained_tokens")
    return State(
        told["status"], str(told.get("fine_tuned_model") or ""), tokens if isinstance(tokens, int) else None, files[0] if files else "",
        reason, int(found.group(1)) if found else 0, _hyper(told).get("n_epochs"),
    )  # fmt: skip


def _hyper(told: dict[str, Any]) -> dict[str, Any]:
    """The hyper-parameters that a job says it has, in the newer place or the older."""
    method = told.get("method")
    inner = method.get(method.get("type")) if isinstance(method, dict) else None
    found = (inner.get("hyperparameters") if isinstance(inner, dict) else None) or told.get("hyperparameters")
    return found if isinstance(found, dict) else {}


def checkpoints(told: Any) -> list[Checkpoint]:
    """What a job left on its way, the earliest first."""
    listed = told.get("data") if isinstance(told, dict) else None
    found = []
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and isinstance(one.get("fine_tuned_model_checkpoint"), str):
            metrics = one.get("metrics") if isinstance(one.get("metrics"), dict) else {}
            found.append(Checkpoint(one["fine_tuned_model_checkpoint"], int(one.get("step_number") or 0), _first(metrics, "held_out_loss")))
    return sorted(found, key=lambda c: c.step)


def newest(told: Any) -> Step | None:
    """How far a job is, by its newest event with metrics; None where it tells nothing."""
    listed = told.get("data") if isinstance(told, dict) else None
    for one in listed if isinstance(listed, list) else []:
        data = one.get("data") if isinstance(one, dict) else None
        if isinstance(data, dict) and isinstance(data.get("step"), int):
            of = re.search(rf"\b{data['step']}/(\d+)", str(one.get("message")))
            return Step(data["step"], int(of.group(1)) if of else int(data.get("total_steps") or 0), _first(data, "loss"))
    return None


def _first(values: dict[str, Any], what: str) -> float | None:
    """The first of the names that a loss goes by which holds a number."""
    for name in _LOSS[what]:
        try:
            return float(values[name])
        except (KeyError, TypeError, ValueError):
            continue
    return None


def plain(data: bytes) -> bytes:
    """A file of results as CSV: OpenAI sends it in base64."""
    try:
        return data if b"," in data else base64.b64decode(data, validate=True)
    except binascii.Error:
        return data


def curve(data: bytes) -> list[dict[str, float]]:
    """The losses by step, as a run's record has them; empty where the file holds none."""
    rows = csv.DictReader(io.StringIO(data.decode("utf-8", "replace")))
    found = []
    for row in rows:
        loss, held = _first(row, "loss"), _first(row, "held_out_loss")
        if (row.get("step") or "").isdigit() and (loss is not None or held is not None):
            told = {"step": int(row["step"]), "loss": loss, "held_out_loss": held}
            found.append({name: value for name, value in told.items() if value is not None})
    return found


def shown(points: list[dict[str, float]]) -> list[dict[str, float]]:
    """So many of them with a loss, the first, the last and each that was measured on held-out examples among them."""
    points = [p for p in points if "loss" in p]
    every = max(1, -(-len(points) // SHOWN))
    return [p for n, p in enumerate(points) if n % every == 0 or n == len(points) - 1 or "held_out_loss" in p]
