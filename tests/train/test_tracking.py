"""What is logged reaches the trackers once, also over an interruption, and no tracker is touched unless it is named."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from groundling import config
from groundling.errors import MachineError
from groundling.llm.local import need_torch
from groundling.llm.weights import Weights
from groundling.train import tracking
from groundling.train.checks import base_of, check
from groundling.train.log import entries, figures

from .learning import options, rows, trained

SEEN = {"loss": "loss", "rate": "rate", "gradient": "gradient", "held_out_loss": "held_out_loss"}


class Killed(BaseException):
    """Ends a training as a signal would."""


def interrupted(base: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> None:
    """A training that ends as step 6 is logged; its last checkpoint is of step 3, and step 5 was logged: it will be trained and logged again."""
    real = tracking.TensorBoard.log

    def log(self: Any, step: int, logs: Any) -> None:
        if step == 6:
            raise Killed
        real(self, step, logs)

    with monkeypatch.context() as patched:
        patched.setattr(tracking.TensorBoard, "log", log)
        with pytest.raises(Killed):
            trained(base, folder, rows(8, held_out=7), **more)


def told(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The points in all event files of a stage's folder, as TensorBoard reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tracking" / "tensorboard"))
    found.Reload()
    return {name: [(point.step, round(point.value, 4)) for point in found.Scalars(name)] for name in found.Tags()["scalars"]}


def logged(log: list[dict[str, float]], name: str) -> list[tuple[int, float]]:
    return [(int(entry["step"]), round(entry[name], 4)) for entry in log if name in entry]


def agree(found: dict[str, list[tuple[int, float]]], log: list[dict[str, float]]) -> None:
    for name in SEEN:
        assert [step for step, _ in found[name]] == [step for step, _ in logged(log, name)], name
        assert [value for _, value in found[name]] == pytest.approx([value for _, value in logged(log, name)], rel=1e-3, abs=1e-4), name


def test_an_interrupted_training_goes_on_in_the_same_curves_with_no_point_twice(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_torch()
    folder = tmp_path / "run" / "6-model"
    folder.parent.mkdir()
    interrupted(tiny_model, folder, monkeypatch, report_to=["tensorboard"])
    before = json.loads((folder / "tracking" / "run.json").read_bytes())
    assert before["told"]["tensorboard"]["loss"] == 5 and (folder / "checkpoints" / "checkpoint-3").is_dir()
    assert not (folder / "checkpoints" / "checkpoint-6").exists()
    log = trained(tiny_model, folder, rows(8, held_out=7), report_to=["tensorboard"])
    after = json.loads((folder / "tracking" / "run.json").read_bytes())
    assert after["name"] == before["name"] and before["name"].startswith("run 20") and after["told"] == {"tensorboard": {"loss": 8, "eval_loss": 8}}
    agree(told(folder), log)


def test_nothing_is_told_to_the_hub(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL tells of every trainer that is made, unless it is forbidden; also where the hub's code was imported before ours."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _telemetry

    told: list[dict[str, Any]] = []
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(constants, "is_offline_mode", lambda: False)
    monkeypatch.setattr(_telemetry, "_start_telemetry_thread", lambda: None)
    monkeypatch.setattr(_telemetry, "_TELEMETRY_QUEUE", type("Queue", (), {"put": staticmethod(told.append)}))
    _telemetry.send_telemetry("it would be told")
    assert len(told) == 1
    trained(tiny_model, tmp_path / "out", rows(4), epochs=1)
    assert len(told) == 1


def test_the_curves_are_those_of_the_record(tiny_model: Path, tmp_path: Path) -> None:
    need_torch()
    log = trained(tiny_model, tmp_path / "m", rows(8, held_out=7), report_to=["tensorboard"])
    assert {"step", "loss", "rate", "gradient", "held_out_loss"} == {name for entry in log for name in entry}
    agree(told(tmp_path / "m"), log)


def test_a_tracker_named_later_is_told_what_was_before(tiny_model: Path, tmp_path: Path) -> None:
    """Where a thing is logged does not change the model: the same training goes on, and its whole curve is told."""
    need_torch()
    folder = tmp_path / "m"
    trained(tiny_model, folder, rows(8, held_out=7))
    assert not (folder / "tracking").exists() and "wandb" not in sys.modules and "mlflow" not in sys.modules
    log = trained(tiny_model, folder, rows(8, held_out=7), report_to=["tensorboard"])
    agree(told(folder), log)
    again = trained(tiny_model, folder, rows(8, held_out=7), report_to=["tensorboard"])
    assert again == log and [step for step, _ in told(folder)["loss"]] == [int(entry["step"]) for entry in log]


def test_a_tracker_added_to_another_is_told_what_was_before(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    folder, heard = tmp_path / "m", []

    class Other:
        def __init__(self, trainer: Any, notes: Any) -> None:
            pass

        def log(self, step: int, logs: Any) -> None:
            heard.append((step, "loss" in logs))

        def close(self) -> None:
            pass

    interrupted(tiny_model, folder, monkeypatch, report_to=["tensorboard"])
    monkeypatch.setattr(tracking, "Trackio", Other)
    log = trained(tiny_model, folder, rows(8, held_out=7), report_to=["tensorboard", "trackio"])
    agree(told(folder), log)
    assert [step for step, of_training in heard if of_training] == [int(entry["step"]) for entry in log if "loss" in entry]
    assert [step for step, of_training in heard if not of_training] == [int(entry["step"]) for entry in log if "held_out_loss" in entry]


def test_a_tracker_that_fails_while_the_model_trains_is_a_sentence_and_the_same_command_goes_on(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_torch()
    real = tracking.TensorBoard.log

    def log(self: Any, step: int, logs: Any) -> None:
        if step == 5:
            raise ConnectionError("no route\nmore")
        real(self, step, logs)

    with monkeypatch.context() as patched:
        patched.setattr(tracking.TensorBoard, "log", log)
        with pytest.raises(
            MachineError, match=r"tracker tensorboard .* could not take step 5: no route Mend it, .*checkpoint, of step 4, is kept in"
        ):
            trained(tiny_model, tmp_path / "m", rows(8, held_out=7), report_to=["tensorboard"])
    found = trained(tiny_model, tmp_path / "m", rows(8, held_out=7), report_to=["tensorboard"])
    agree(told(tmp_path / "m"), found)


def test_a_tracker_that_cannot_end_is_a_sentence(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()

    def close(self: Any) -> None:
        raise OSError("gone")

    monkeypatch.setattr(tracking.TensorBoard, "close", close)
    with pytest.raises(MachineError, match=r"The tracker tensorboard \(train.report_to\) could not end: gone Mend it"):
        trained(tiny_model, tmp_path / "m", rows(4), report_to=["tensorboard"])


def test_a_trial_is_named_by_its_run_and_number(tmp_path: Path) -> None:
    assert tracking.Notes(tmp_path / "mine" / "search" / "trials" / "12" / "tracking").name.startswith("mine trial 12 20")
    assert tracking.Notes(tmp_path / "mine" / "6-model" / "tracking").name.startswith("mine 20")


def test_where_it_is_logged_is_not_in_the_fingerprint() -> None:
    assert config.Train(report_to=["tensorboard", "wandb"]).identity() == config.Train().identity()


def test_a_tracker_that_is_not_installed_is_said_at_the_start(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "find_spec", lambda name: None if name in ("wandb", "mlflow") else object())
    with pytest.raises(
        MachineError, match=r"report_to names wandb, mlflow, not installed here: pip install wandb mlflow\. Or take wandb and mlflow out"
    ):
        check(options(report_to=["tensorboard", "wandb", "mlflow"]), base_of(Weights(str(tiny_model))))


def test_a_tracker_that_cannot_begin_is_a_sentence(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()

    def broken(self: Any, trainer: Any, notes: Any) -> None:
        raise ValueError("no such project\nmore")

    monkeypatch.setattr(tracking.TensorBoard, "__init__", broken)
    with pytest.raises(MachineError, match=r"The tracker tensorboard \(train.report_to\) could not begin: no such project Set it up"):
        trained(tiny_model, tmp_path / "m", report_to=["tensorboard"])


def test_figures_have_our_names_and_are_numbers() -> None:
    raw = {"loss": 1.23456789, "grad_norm": float("inf"), "learning_rate": 1e-5, "epoch": 1, "margin": 0.2, "num_tokens": 7.0, "eval_runtime": 2.0}
    assert figures(raw) == {"loss": 1.23457, "rate": 1e-5, "margin": 0.2}
    history = [{"step": 1, "loss": 2.0}, {"step": 1, "eval_loss": 1.5}, {"step": 2, "eval_loss": 9.0}, {"step": 3, "train_runtime": 1.0}]
    assert entries(history) == [{"step": 1, "loss": 2.0, "held_out_loss": 1.5}]


def unreachable(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every connection that is tried is noted and refused."""
    tried: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        tried.append(address)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return tried


def test_trackio_stays_on_this_machine(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    trackio = pytest.importorskip("trackio")
    for name, value in (("TRACKIO_SPACE_ID", "owner/space"), ("HF_TOKEN", "hf_nobody")):
        monkeypatch.setenv(name, value)
    tried = unreachable(monkeypatch)
    log = trained(tiny_model, tmp_path / "m", rows(8, held_out=7), report_to=["trackio"])
    again = trained(tiny_model, tmp_path / "m", rows(8, held_out=7), report_to=["trackio"])
    assert tried == [] and again == log
    [run] = trackio.Api().runs("groundling")
    assert run.name == json.loads((tmp_path / "m" / "tracking" / "run.json").read_bytes())["name"]
    points = [p for p in run.history() if "loss" in p] if hasattr(run, "history") else []
    assert [p["step"] for p in points] == [int(entry["step"]) for entry in log]


def test_mlflow_goes_on_in_the_same_run(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "ml").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    interrupted(tiny_model, tmp_path / "m", monkeypatch, report_to=["mlflow", "tensorboard"])
    log = trained(tiny_model, tmp_path / "m", rows(8, held_out=7), report_to=["mlflow", "tensorboard"])
    client = mlflow.MlflowClient()
    [experiment] = [e for e in client.search_experiments() if e.name == "groundling"]
    [run] = client.search_runs([experiment.experiment_id])
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "loss")]
    assert sorted(steps) == [int(entry["step"]) for entry in log] and run.data.params["learning_rate"] == "0.02"


def test_wandb_goes_on_in_the_same_run(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, as W&B itself offers it: what would be sent is written here."""
    need_torch()
    wandb = pytest.importorskip("wandb")
    for name, value in (("WANDB_MODE", "offline"), ("WANDB_DIR", str(tmp_path)), ("WANDB_SILENT", "true")):
        monkeypatch.setenv(name, value)
    begun: list[Any] = []
    real = wandb.init
    monkeypatch.setattr(wandb, "init", lambda *a, **more: begun.append(real(*a, **more)) or begun[-1])
    trained(tiny_model, tmp_path / "m", rows(8, held_out=7), report_to=["wandb"])
    trained(tiny_model, tmp_path / "m", rows(8, held_out=7), report_to=["wandb"])
    assert len(begun) == 2 and begun[0].id == begun[1].id and begun[0].project == "groundling" and wandb.run is None
    assert list((tmp_path / "wandb").glob("offline-run-*"))
