"""What watches over a training: a loss that breaks stops it, the best checkpoint stays, the disk is looked at before each save.

The first checkpoint is proved at the first step: what was written is what is in memory, and the model generates.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

from .. import memory
from ..config import Train
from ..errors import MachineError, ModelError
from . import ranks
from .checkpoints import all_of, last_checkpoint, seal, size_of, step_of
from .proof import prove

START = 3  # logged losses that say where it began


def kept(folder: Path) -> str:
    """What an interrupted training still has, for the end of a sentence."""
    last = last_checkpoint(folder)
    return f"The last good checkpoint, of step {step_of(last)}, is kept in {last}." if last else "No checkpoint was saved before."


def bound(losses: list[float]) -> float:
    """A loss above this is no longer learning: twice where it began, and one more, as losses near zero may well double."""
    start = losses[:START]
    return 2 * sum(start) / len(start) + 1 if len(losses) > START else math.inf


def guard(trainer: Any, options: Train, folder: Path) -> Any:
    """The callback for a trainer whose checkpoints lie in `folder`."""
    from transformers import TrainerCallback

    watching = Watching(trainer, options, folder)

    class Guard(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            ranks.first(watching.room)

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if watching.unproved:
                control.should_save = True
            if control.should_save or control.should_evaluate:
                control.should_log = True  # the loss is looked at before anything is kept

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **rest: Any) -> None:
            if not ranks.first(lambda: watching.fine(state, logs or {})):
                control.should_save = False
            memory.give_back()

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **rest: Any) -> None:
            if ranks.first(lambda: watching.better(state, (metrics or {}).get("eval_loss"))):
                control.should_save = True

        def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            watching.saved(folder / f"checkpoint-{state.global_step}")
            if state.global_step < state.max_steps:
                ranks.first(watching.room)

    return Guard()


class Watching:
    """The state of the guard."""

    def __init__(self, trainer: Any, options: Train, folder: Path) -> None:
        self.trainer, self.options, self.folder = trainer, options, folder
        self.unproved = last_checkpoint(folder) is None
        self.broken = False

    def fine(self, state: Any, logs: dict[str, Any]) -> bool:
        """Whether what was just logged may be kept. Raises ModelError where the loss is no number, or twice in a row far above its beginning."""
        if "loss" not in logs:
            return True
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs.get(name, 0.0)) and not (name == "grad_norm" and self.trainer.args.fp16):  # fp16 skips such steps itself
                raise ModelError(f"The {_NAMES[name]} became infinite or not a number by step {state.global_step}. {_LOWER} {kept(self.folder)}")
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        if losses[-1:] != [logs["loss"]]:
            losses.append(logs["loss"])
        high = losses[-1] > bound(losses)
        if high and self.broken:
            raise ModelError(
                f"The loss is getting worse: it began at {losses[0]:.3g} and is {losses[-1]:.3g} at step {state.global_step}. {_LOWER} "
                f"{kept(self.folder)}"
            )
        self.broken = high
        return not high

    def better(self, state: Any, loss: float | None) -> bool:
        """Whether a held-out loss is the lowest so far and its checkpoint is wanted."""
        if loss is None:
            return False
        if not math.isfinite(loss):
            raise ModelError(f"The held-out loss is not a number at step {state.global_step}. {_LOWER} {kept(self.folder)}")
        return self.options.keep == "best" and not self.broken and loss < (math.inf if state.best_metric is None else state.best_metric)

    def saved(self, checkpoint: Path) -> None:
        ranks.wait()  # until each process has written its part
        ranks.first(lambda: seal(checkpoint))
        if self.unproved:
            prove(self.trainer, checkpoint)
            self.unproved = False

    def room(self) -> None:
        """Raise MachineError where one more checkpoint would not fit: into the disk, or into what the config allows."""
        need, used = self._next(), size_of(self.folder) if self.folder.is_dir() else 0
        free = shutil.disk_usage(next(p for p in (self.folder, *self.folder.parents) if p.is_dir())).free
        allowed = self.options.disk_gb * 1e9
        if allowed and used + need > allowed:
            raise MachineError(
                f"A checkpoint takes {need / 1e9:.3g} GB and {used / 1e9:.3g} GB are used: the next one would pass train.disk_gb = "
                f"{self.options.disk_gb:g}. Raise it. {kept(self.folder)}"
            )
        if need > free:
            raise MachineError(
                f"A checkpoint takes {need / 1e9:.3g} GB, but only {free / 1e9:.3g} GB are free in {self.folder.parent}. Free some space and run "
                f"again. {kept(self.folder)}"
            )

    def _next(self) -> int:
        """Bytes of a checkpoint: as the largest there is, else the trained weights and the optimiser's two values for each."""
        known = [size_of(path) for path in all_of(self.folder)]
        trained = sum(p.numel() * p.element_size() for p in self.trainer.model.parameters() if p.requires_grad)
        return max(known, default=3 * trained)


_NAMES = {"loss": "loss", "grad_norm": "gradient"}
_LOWER = "Lower train.rate and run again."
