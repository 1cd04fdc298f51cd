"""A stock transformers Trainer for objectives whose loss is made of replies' likelihoods: preferences and labels.

TRL's trainers for such objectives are not used: they read the prompt once for each reply, project the vocabulary at every position on a CPU, and
compute metrics from all logits. Here a batch is one pass, and the loss is a function of its tokens' log-probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..config import Train
from ..llm.branches import Branches, batch_of, can_share, log_probs
from ..llm.weights import Weights
from ..panel import Watch
from .model import adapter, load
from .trainer import WHOLE, arguments, fit, held_out, prepare

if TYPE_CHECKING:
    import torch


class Scored(Protocol):
    """A row whose replies are scored."""

    @property
    def ids(self) -> list[int]: ...

    def branches(self) -> Branches: ...


class Job(NamedTuple):
    """What an objective is asked to do."""

    rows: Sequence[Any]
    base: Weights
    options: Train
    seed: int
    folder: Path
    watch: Watch


class Step(NamedTuple):
    """One batch: the tokens' log-probabilities, where training stands, and the network (`bare` is without what a distributed run puts around it).

    `autocast` is the context in which another network computes in the precision of this one. Held-out rows are always measured as at the last
    step, so that their losses compare.
    """

    values: torch.Tensor
    batch: dict[str, Any]
    step: int
    steps: int
    network: Any
    bare: Any
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext


class Measured(NamedTuple):
    """The loss of a batch, and figures that are told beside it."""

    loss: torch.Tensor
    figures: Mapping[str, torch.Tensor | float]


Loss = Callable[[Step], Measured]
Extra = Callable[[Sequence[Any]], dict[str, Any]]


def quiet(network: Any) -> Any:
    """The network without dropout of its own: likelihoods that are compared must not differ by chance."""
    import torch

    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return network


def trainable(base: Weights, options: Train) -> Any:
    """The network to train: with its adapter, or whole."""
    network, lora = quiet(load(base, options)), adapter(options)
    if lora is None:
        return network
    from peft import get_peft_model

    network = get_peft_model(network, lora)
    if options.checkpointing:
        network.enable_input_require_grads()
    return network


def trainer_class(loss: Loss) -> type:
    """A Trainer with that loss. It keeps the figures of each batch, and tells their means where the loss is logged."""
    from transformers import Trainer

    class ScoringTrainer(Trainer):
        loss_is_scaled_for_ga = False

        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self.can_return_loss, self.label_names = True, []  # or held-out rows would not be measured: they have no field `labels`
            self.heard: dict[str, list[float]] = {}

        def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            steps = self.state.max_steps
            now = self.state.global_step if model.training else steps - 1
            bare = self.accelerator.unwrap_model(model)
            found = loss(Step(log_probs(model, inputs), inputs, now, steps, model, bare, self.accelerator.autocast))
            if model.training:
                for name, value in found.figures.items():
                    self.heard.setdefault(name, []).append(float(value))
            return (found.loss, {"loss": found.loss}) if return_outputs else found.loss

        def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
            if "loss" in logs:
                logs.update({name: round(sum(values) / len(values), 4) for name, values in self.heard.items()})
                self.heard.clear()
            super().log(logs, start_time)

    return ScoringTrainer


def collator(pad: int, share: bool, extra: Extra) -> Callable[[Sequence[dict[str, Any]]], dict[str, Any]]:
    def collate(features: Sequence[dict[str, Any]]) -> dict[str, Any]:
        rows = [feature["row"] for feature in features]
        return batch_of([row.branches() for row in rows], pad, share, WHOLE) | extra(rows)

    return collate


def features(rows: Sequence[Scored]) -> list[dict[str, Any]]:
    """Rows as the Trainer reads them: `input_ids` is only asked for its length."""
    return [{"input_ids": row.ids, "row": row} for row in rows]


def optimise(job: Job, loss: Loss, extra: Extra = lambda rows: {}) -> list[dict[str, float]]:
    """Train on the job's rows with that loss, or go on from the last whole checkpoint. Returns the log, with the figures in it.

    `extra` are further tensors of a batch of rows.
    """
    from transformers import TrainingArguments

    tokenizer = prepare(job.base, job.seed)
    network = trainable(job.base, job.options)
    measured = held_out(job.rows)
    trainer = trainer_class(loss)(
        model=network,
        args=arguments(TrainingArguments, job.options, job.seed, job.folder, job.rows, remove_unused_columns=False),
        train_dataset=features(job.rows),
        eval_dataset=features(measured) if measured else None,
        data_collator=collator(tokenizer.pad_token_id, can_share(network), extra),
        processing_class=tokenizer,
    )
    return fit(trainer, job.options, job.folder, job.watch)
