"""Trackers of experiments, where `train.report_to` names some: each gets what is logged, once, also when a training is interrupted and goes on.

tensorboard and trackio write files on this machine. wandb and mlflow are transformers' own: they send to wherever the user has set them up to.
"""

from __future__ import annotations

import copy
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from ..config import Train
from ..errors import GroundlingError, MachineError
from ..workspace import write_json
from . import ranks
from .guard import kept
from .log import figures

FOLDER = "tracking"  # within the stage's folder
PROJECT = "groundling"  # what the runs of all projects stand under, so that they can be compared


def need_trackers(options: Train) -> None:
    """Raise MachineError where a tracker that is named is not installed."""
    absent = [name for name in options.report_to if find_spec(name) is None]
    if absent:
        raise MachineError(
            f"train.report_to names {', '.join(absent)}, not installed here: pip install {' '.join(absent)}. Or take {' and '.join(absent)} out."
        )


class Notes:
    """What the trackers know of this training, beside the checkpoints: its name there, their ids of it, and up to which step they were told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run.json"
        found = json.loads(self.path.read_bytes()) if self.path.is_file() else {}
        self.name: str = found.get("name") or f"{_called(folder.parent)} {datetime.now():%Y-%m-%d %H.%M.%S}"
        self.ids: dict[str, str] = found.get("ids", {})
        self.told: dict[str, dict[str, int]] = found.get("told", {})  # of each tracker, for each kind of entry
        self.begun = bool(found)

    def new_to(self, tracker: str, step: int, logs: Mapping[str, Any]) -> str:
        """The kind of an entry that this tracker was not told yet; empty where it was, or where it is of no kind that is told."""
        kind = next((name for name in ("loss", "eval_loss") if name in logs), "")
        return kind if step > self.told.setdefault(tracker, {}).get(kind, 0) else ""

    def keep(self) -> None:
        write_json(self.path, {"name": self.name, "ids": self.ids, "told": self.told})


def _called(stage: Path) -> str:
    """What is trained in a stage's folder: the run's name, and of a search's trial its number (RUN/search/trials/NUMBER)."""
    if stage.parent.name == "trials":
        return f"{stage.parents[2].name} trial {stage.name}"
    return stage.parent.name


class Tracker(Protocol):
    """Takes what is logged at a step."""

    def log(self, step: int, logs: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in the stage's folder: `tensorboard --logdir runs` shows all runs."""

    def __init__(self, trainer: Any, notes: Notes) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer: Any = SummaryWriter(log_dir=str(notes.path.parent / "tensorboard"))

    def log(self, step: int, logs: Mapping[str, Any]) -> None:
        for name, value in figures(logs).items():
            self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Trackio:
    """trackio's own database on this machine (`trackio show`): never a Space, never another server, and nobody is asked who the user is."""

    def __init__(self, trainer: Any, notes: Notes) -> None:
        import huggingface_hub.constants as hub
        import trackio

        elsewhere = dict.fromkeys(("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_BUCKET_ID", "TRACKIO_DATASET_ID", "TRACKIO_WEBHOOK_URL"))
        offline = hub.HF_HUB_OFFLINE
        try:
            hub.HF_HUB_OFFLINE = True  # else it sends the user's token to the hub, for the name of the account
            with environment(elsewhere), redirect_stdout(io.StringIO()):
                self.run: Any = trackio.init(
                    project=PROJECT, name=notes.name, resume="allow", embed=False, auto_log_gpu=False, auto_log_cpu=False
                )  # fmt: skip
        finally:
            hub.HF_HUB_OFFLINE = offline

    def log(self, step: int, logs: Mapping[str, Any]) -> None:
        if found := figures(logs):
            self.run.log(found, step=step)

    def close(self) -> None:
        with redirect_stdout(io.StringIO()):
            self.run.finish()


class Stock:
    """One of transformers' callbacks for `report_to`; where and as whom it logs is told to it by its own variables of the environment."""

    def __init__(self, kind: str, trainer: Any, notes: Notes) -> None:
        from transformers.integrations.integration_utils import get_reporting_integration_callbacks

        self.kind, self.trainer = kind, trainer
        [made] = get_reporting_integration_callbacks([kind])
        self.inner: Any = made()
        trainer.args.run_name = notes.name
        with environment(_missing(self._own(notes))):
            self._call("on_train_begin", trainer.state)
        if kind == "mlflow":
            notes.ids["mlflow"] = self.inner._ml_flow.active_run().info.run_id

    def _own(self, notes: Notes) -> dict[str, str]:
        if self.kind == "wandb":
            return {"WANDB_PROJECT": PROJECT, "WANDB_RUN_ID": re.sub(r"[^\w-]+", "-", notes.name), "WANDB_RESUME": "allow"}
        gone_on = {"MLFLOW_RUN_ID": notes.ids["mlflow"], "MLFLOW_MAX_LOG_PARAMS": "0"} if "mlflow" in notes.ids else {}
        return {"MLFLOW_EXPERIMENT_NAME": PROJECT} | gone_on

    def _call(self, event: str, state: Any, **more: Any) -> None:
        trainer = self.trainer
        getattr(self.inner, event)(trainer.args, state, trainer.control, model=trainer.model, processing_class=trainer.processing_class, **more)

    def log(self, step: int, logs: Mapping[str, Any]) -> None:
        state = copy.copy(self.trainer.state)
        state.global_step = step
        self._call("on_log", state, logs={name: value for name, value in logs.items() if name != "step"})

    def close(self) -> None:
        self._call("on_train_end", self.trainer.state)
        if self.kind == "wandb":
            self.inner._wandb.finish()  # or the next round's would go into this run


def opened(kind: str, trainer: Any, notes: Notes) -> Tracker:
    """The tracker of that name. Raises MachineError where it cannot begin."""
    try:
        if kind in ("wandb", "mlflow"):
            return Stock(kind, trainer, notes)
        return TensorBoard(trainer, notes) if kind == "tensorboard" else Trackio(trainer, notes)
    except GroundlingError:
        raise
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MachineError(f"The tracker {kind} (train.report_to) could not begin: {first} Set it up, or take it out of train.report_to.") from error


@contextmanager
def heard(kind: str, what: str, checkpoints: Path) -> Iterator[None]:
    """What a tracker raises while the model trains, as a sentence."""
    try:
        yield
    except GroundlingError:
        raise
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MachineError(
            f"The tracker {kind} (train.report_to) could not {what}: {first} Mend it, or take it out of train.report_to; the same command goes on. "
            f"{kept(checkpoints)}"
        ) from error


@contextmanager
def following(trainer: Any, options: Train, folder: Path) -> Iterator[None]:
    """Tell the trackers what is logged while the body trains; first what an earlier part of this training logged and they were not told."""
    if not options.report_to or ranks.rank():
        yield
        return
    from transformers import TrainerCallback

    notes, checkpoints = Notes(folder / FOLDER), Path(trainer.args.output_dir)
    trackers: dict[str, Tracker] = {}
    notes.path.parent.mkdir(parents=True, exist_ok=True)

    def tell(step: int, logs: Mapping[str, Any]) -> None:
        for name, tracker in trackers.items():
            if kind := notes.new_to(name, step, logs):
                with heard(name, f"take step {step}", checkpoints):
                    tracker.log(step, logs)
                notes.told[name][kind] = step
                notes.keep()

    class Follow(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            for kind in options.report_to:
                trackers[kind] = opened(kind, trainer, notes)
            notes.keep()
            for entry in state.log_history:
                tell(entry["step"], entry)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **rest: Any) -> None:
            tell(state.global_step, logs or {})

    trainer.add_callback(Follow())
    try:
        yield
    except BaseException:
        for tracker in trackers.values():
            with suppress(Exception):  # what ended the training is told
                tracker.close()
        raise
    with ExitStack() as ending:
        for kind, tracker in trackers.items():
            ending.callback(_end, kind, tracker, checkpoints)


def _end(kind: str, tracker: Tracker, checkpoints: Path) -> None:
    with heard(kind, "end", checkpoints):
        tracker.close()


def _missing(values: Mapping[str, str]) -> dict[str, str | None]:
    """Those that the user did not set."""
    return {name: value for name, value in values.items() if name not in os.environ}


@contextmanager
def environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Variables of the environment set, or taken away (None), while the body runs."""
    before = {name: os.environ.get(name) for name in values}
    _set(values)
    try:
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
