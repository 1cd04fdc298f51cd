"""How many processes share a training, and what is not trained by several."""

from __future__ import annotations

from ..config import Train
from ..errors import ConfigError, MachineError
from ..llm.local import device
from . import ranks
from .model import precision

SHARED = ("sft",)  # the objectives whose loss is known to be one process's when the examples of a step are divided


def refuse(options: Train) -> None:
    """Raise ConfigError for settings under which several processes cannot share the training. Looks at the settings alone."""
    if options.devices < 2 and options.size != "multi" and ranks.size() == 1:
        return
    alone = "Train with one process (train.devices=1, and another train.size than multi), or set "
    if options.objective not in SHARED:
        raise ConfigError(f"train.objective {options.objective} is trained by one process only, not by several. {alone}train.objective=sft.")
    if options.method == "qlora":
        raise ConfigError(f"train.method qlora is trained by one process only: weights in four bits are not split. {alone}train.method=lora.")
    if options.optimizer == "adamw_8bit":
        raise ConfigError(f"train.optimizer adamw_8bit is for one process only: its state is not split. {alone}train.optimizer=adamw.")


def wanted(options: Train) -> int:
    """The processes that share this training: those that a launcher started, those of `devices`, or with `size: multi` one for each GPU.

    Raises ConfigError where several cannot share it, MachineError where this machine has no place for them.
    """
    refuse(options)
    processes = count(options)
    if options.size == "multi" and processes < 2:
        raise MachineError(
            f"train.size = multi is for several GPUs, and this machine has {_gpus()}. Set train.size to what one of them holds, or train.devices to "
            "the number of processes."
        )
    if processes == 1:
        return 1
    if device() == "mps":
        raise MachineError("This machine's GPU cannot be shared by several processes. Set train.devices=1.")
    if ranks.size() == 1 and device() == "cuda" and processes > _gpus():
        raise MachineError(f"train.devices = {processes}, and this machine has {_gpus()} GPUs. Lower it; for several machines see docs/train.md.")
    if precision(options) == "fp16":
        raise MachineError("Several processes do not train in fp16. Set train.precision=fp32, or train.devices=1.")
    return processes


def count(options: Train) -> int:
    """The same, not looking whether there is place for them."""
    return ranks.size() if ranks.size() > 1 else options.devices or (_gpus() if options.size == "multi" else 0) or 1


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
