"""How far training is, for the panel; the trainer's own raw lines are taken away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..panel import View


def watched(trainer: Any) -> Callable[[], View]:
    """What the panel asks. Puts a callback that only listens in the place of the one that prints; what is computed stays as it is."""
    from transformers import PrinterCallback, TrainerCallback

    latest: dict[str, float] = {}

    class Listen(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **rest: Any) -> None:
            latest.update({name: float(value) for name, value in (logs or {}).items() if name in ("loss", "eval_loss", "learning_rate")})

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Listen)

    def view() -> View:
        state = trainer.state
        facts = {"epoch": f"{state.epoch or 0:.2f} of {state.num_train_epochs or 0:g}"}
        if "loss" in latest:
            facts["loss"] = f"{latest['loss']:.3f}"
        if "eval_loss" in latest:
            facts["held out"] = f"{latest['eval_loss']:.3f}"
        if "learning_rate" in latest:
            facts["rate"] = f"{latest['learning_rate']:.1e}"
        return View("train", "steps", state.global_step, state.max_steps, facts=facts)

    return view
