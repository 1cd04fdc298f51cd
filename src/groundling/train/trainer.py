"""What the training of every objective shares: its arguments, going on from a checkpoint, its end, and the log.

model, tokenizer = load(base, options), prepare(base, seed)
trainer = SomeTrainer(model=model, args=arguments(SomeConfig, options, seed, folder, rows), processing_class=tokenizer, …)
return fit(trainer, options, folder, watch)
"""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..config import Train
from ..errors import MachineError, ModelError, TooLarge
from ..llm.local import device, load_tokenizer
from ..llm.weights import Weights
from ..panel import Watch
from . import ranks
from .checkpoints import all_of, last_checkpoint, publish, step_of, sweep
from .guard import guard, kept
from .kernels import fused
from .log import entries
from .model import in_32_bits, precision
from .order import keep_order
from .progress import Judged, judging, watched
from .sharded import spread
from .tracking import following

FOLDER = "checkpoints"  # within the stage's folder
# Lengths are filled up to a multiple of this: a CPU compiles its multiplications for each shape anew and keeps them all (0.6 MB a shape and layer).
WHOLE = 64


def prepare(base: Weights, seed: int) -> Any:
    """Seed every generator; the base's tokenizer, padding on the right as training wants it."""
    from transformers import set_seed

    set_seed(seed)
    tokenizer = load_tokenizer(base.outermost)
    tokenizer.padding_side = "right"
    return tokenizer


def held_out(rows: Sequence[Any]) -> list[Any]:
    """The rows that are measured and not trained on; an objective gives them to its trainer as `eval_dataset`, where there are any."""
    return list(getattr(rows, "held_out", ()))


def arguments(kind: type, options: Train, seed: int, folder: Path, rows: Sequence[Any] = (), **more: Any) -> Any:
    """The arguments of a training, as the config class `kind` of its trainer; `more` wins.

    With held-out rows the loss on them is measured every `eval_steps`, and the lowest is remembered.
    """
    names = {field.name for field in dataclasses.fields(kind)}
    # Renamed in transformers 5; TRL turns it on where it is not named.
    checkpointing = "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    arithmetic = precision(options)
    batch, accumulate = ranks.parts(options, ranks.size())
    found: dict[str, Any] = {
        "output_dir": str(folder / FOLDER), "num_train_epochs": options.epochs, "max_steps": options.steps or -1,
        "per_device_train_batch_size": batch, "per_device_eval_batch_size": options.batch,
        "gradient_accumulation_steps": accumulate, "learning_rate": options.rate, "weight_decay": options.weight_decay,
        "warmup_steps": int(options.warmup) if options.warmup >= 1 else options.warmup, "train_sampling_strategy": "group_by_length",
        "bf16": arithmetic == "bf16", "fp16": arithmetic == "fp16", "use_cpu": device() == "cpu", "seed": seed, "data_seed": seed,
        "save_strategy": "steps", "save_steps": options.save_steps, "save_total_limit": 2, "logging_steps": 5, "logging_first_step": True,
        "logging_nan_inf_filter": False, "report_to": "none", "disable_tqdm": True, "dataloader_pin_memory": False,
        checkpointing: options.checkpointing,
    }  # fmt: skip
    if held_out(rows):
        found |= {
            "eval_strategy": "steps", "eval_steps": options.eval_steps, "prediction_loss_only": True,
            "metric_for_best_model": "loss", "greater_is_better": False,
        }  # fmt: skip
    if ranks.size() > 1:  # a model that is split is never whole on one GPU, where the trainer would put it first
        kind = type(kind.__name__, (kind,), {"place_model_on_device": property(lambda self: False)})
    made: Any = kind(**found | _falling(options) | _optimiser(options) | more)
    # Where one process sees several GPUs transformers would take them all (DataParallel): each step would have as many times the examples, and the
    # network would be wrapped in what our losses do not read through. Several GPUs are several processes here. Asking sets the devices up.
    made._n_gpu = min(made.n_gpu, 1)
    return made


def _falling(options: Train) -> dict[str, Any]:
    """How the rate falls: transformers has a name of its own for each shape that ends above zero."""
    if options.scheduler == "constant":
        return {"lr_scheduler_type": "constant_with_warmup"}
    if not options.floor:
        return {"lr_scheduler_type": options.scheduler}
    if options.scheduler == "cosine":
        return {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": options.floor}}
    return {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"lr_end": options.rate * options.floor, "power": 1.0}}


def _optimiser(options: Train) -> dict[str, Any]:
    return {"optim": "adamw_8bit"} if options.optimizer == "adamw_8bit" else {}


def fit(trainer: Any, options: Train, folder: Path, watch: Watch) -> list[dict[str, float]]:
    """Train, or go on from the last whole checkpoint; leave the best (or last) weights and the tokenizer in `folder`. Returns the log."""
    checkpoints = folder / FOLDER
    ranks.first(lambda: sweep(checkpoints))
    last = last_checkpoint(checkpoints)
    trainer.add_callback(guard(trainer, options, checkpoints))
    if isinstance(watch, Judged):
        trainer.add_callback(judging(watch))
    keep_order(trainer)
    in_32_bits(trainer.model)
    start = step_of(last) if last else 0
    with fused(trainer.model, options):
        spread(trainer, options, last)
        with watch(watched(trainer, start)), told(checkpoints), following(trainer, options, folder):
            trainer.train(resume_from_checkpoint=str(last) if last else None)
    ranks.first(lambda: _leave(trainer, options, folder))
    return log_of(trainer)


def _leave(trainer: Any, options: Train, folder: Path) -> None:
    """The model and its tokenizer, in the stage's folder."""
    publish(chosen(trainer, options, folder / FOLDER), folder)
    tokenizer = trainer.processing_class
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(folder)


def chosen(trainer: Any, options: Train, checkpoints: Path) -> Path:
    """The checkpoint that becomes the model: of the lowest held-out loss where that is wanted and known, else the last."""
    there = all_of(checkpoints)
    best = checkpoints / f"checkpoint-{trainer.state.best_global_step}"
    ended = checkpoints / f"checkpoint-{trainer.state.global_step}"
    if options.keep == "best" and best in there:
        return best
    if ended not in there:
        raise ModelError(
            f"The loss was far above its beginning when training ended, so that step was not saved. Lower train.rate. {kept(checkpoints)}"
        )
    return ended


def log_of(trainer: Any) -> list[dict[str, float]]:
    """What was logged at each step, also before a resume."""
    return entries(trainer.state.log_history)


@contextmanager
def told(checkpoints: Path) -> Iterator[None]:
    """A full disk or too little memory in the midst of training, as a sentence. Whole checkpoints stay."""
    import torch
    from safetensors import SafetensorError

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TooLarge(
            "The GPU has too little memory for this training. Lower train.batch (and raise train.accumulate), set train.checkpointing=true, "
            f"use train.method=qlora, or name your GPU with train.size. {kept(checkpoints)}"
        ) from error
    except (OSError, RuntimeError, SafetensorError) as error:
        if "allocate memory" in str(error):
            raise TooLarge(
                f"This machine has too little memory for this training. Lower train.batch or set train.size. {kept(checkpoints)}"
            ) from error
        if not _disk_is_full(error):
            raise
        raise MachineError(f"The disk is full: a checkpoint could not be written. Free some space and run again. {kept(checkpoints)}") from error


def _disk_is_full(error: BaseException) -> bool:
    """torch and safetensors wrap the system's error in their own words."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    words = ("No space left on device", "os error 28", "PytorchStreamWriter failed", "unexpected pos")
    return any(word in str(error) for word in words) or (error.__context__ is not None and _disk_is_full(error.__context__))
