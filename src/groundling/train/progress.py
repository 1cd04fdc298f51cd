"""How far training is, for the panel; the trainer's own raw lines are taken away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from ..panel import View, Watch
from .log import figures


class Judged(NamedTuple):
    """A watch that is also told each held-out loss as it is measured: the step, the loss, and the steps there will be. What it raises ends training,
    before anything of that step is saved."""

    watch: Watch
    measured: Callable[[int, float, int], None]

    def __call__(self, view: Callable[[], View]) -> AbstractContextManager[None]:
        return self.watch(view)


def judging(watch: Judged) -> Any:
    """The callback that tells it."""
    from transformers import TrainerCallback

    class Tell(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **rest: Any) -> None:
            watch.measured(state.global_step, (metrics or {})["eval_loss"], state.max_steps)

    return Tell()


def watched(trainer: Any, start: int = 0) -> Callable[[], View]:
    """What the panel asks. Puts a callback that only listens in the place of the one that prints; what is computed stays as it is.

    `start` is the step that training goes on from: what was done before is not counted as done in no time.
    """
    from transformers import PrinterCallback

    seen = Seen()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(listening(seen))
    trainer.get_train_dataloader = counting(trainer, seen)

    def view() -> View:
        state = trainer.state
        facts = {"epoch": f"{state.epoch or 0:.2f} of {state.num_train_epochs or 0:g}"} | seen.facts()
        done, rates = max(start, state.global_step), {"tokens": seen.tokens} if seen.tokens else {}
        return View("train", "steps", done, state.max_steps, rates=rates, facts=facts, notice=seen.notice)

    return view


class Seen:
    """What the panel knows of a training: the newest figures, the first loss, the lowest held-out loss, and the tokens so far."""

    def __init__(self) -> None:
        self.latest: dict[str, float] = {}
        self.first: float | None = None
        self.lowest: tuple[float, int] | None = None
        self.tokens = 0
        self.notice = ""

    def hear(self, figures: dict[str, float], step: int) -> None:
        self.latest |= figures
        if self.first is None and "loss" in figures:
            self.first = figures["loss"]
        loss = figures.get("held_out_loss")
        if loss is not None and (self.lowest is None or loss < self.lowest[0]):
            self.lowest = (loss, step)

    def facts(self) -> dict[str, str]:
        """The figures in words, the loss first and an objective's own measures last."""
        rest, found = dict(self.latest), {}
        if (loss := rest.pop("loss", None)) is not None:
            found["loss"] = f"{loss:.3f}" + (f" (first {self.first:.3f})" if self.first != loss else "")
        if (held := rest.pop("held_out_loss", None)) is not None and self.lowest:
            found["held out"] = f"{held:.3f}" + (f" (lowest {self.lowest[0]:.3f} at step {self.lowest[1]})" if held > self.lowest[0] else "")
        for name, form in (("rate", ".1e"), ("gradient", ".2f")):
            if name in rest:
                found[name] = format(rest.pop(name), form)
        return found | {name.replace("_", " "): f"{value:.2f}" for name, value in rest.items()}


def listening(seen: Seen) -> Any:
    """The callback that tells `seen` what is logged, and what training waits for."""
    from transformers import TrainerCallback

    class Listen(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **rest: Any) -> None:
            seen.hear(figures(logs or {}), state.global_step)

        def on_prediction_step(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            seen.notice = "the held-out loss is being measured"

        def on_evaluate(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            seen.notice = ""

    return Listen()


def counting(trainer: Any, seen: Seen) -> Callable[[], Any]:
    """The loader of what is trained on, counting its tokens as batches are made: without padding, and before anything is on a GPU."""
    load, fields = trainer.get_train_dataloader, ("input_ids", "chosen_ids", "rejected_ids")

    def loader() -> Any:
        collate = trainer.data_collator

        def counted(features: Any) -> Any:
            seen.tokens += sum(len(feature[name]) for feature in features for name in fields if name in feature)
            return collate(features)

        trainer.data_collator = counted
        try:
            return load()
        finally:
            trainer.data_collator = collate

    return loader
