"""The optimiser's state of a training that several processes share: each writes its part of every parameter, as safetensors.

A parameter is split along its first dimension, in the order of the processes, so that the parts one after the other are the whole: another number of
processes, one too, goes on from the same checkpoint.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import ranks

if TYPE_CHECKING:
    import torch

FOLDER = "parts"  # within a checkpoint, apart from the model's own files


def write(trainer: Any, checkpoint: Path) -> None:
    """This process's part."""
    from safetensors.torch import save_file
    from torch.distributed.tensor import DTensor

    parts = {}
    for name, parameter in trainer.model.named_parameters():
        for key, value in trainer.optimizer.state.get(parameter, {}).items():
            own = value.to_local() if isinstance(value, DTensor) else value
            parts[f"{name}/{key}"] = own.detach().cpu().contiguous()
    folder = checkpoint / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    save_file(parts, folder / f"optimizer-{ranks.rank() + 1:05d}-of-{ranks.size():05d}.safetensors")


def going_on(trainer: Any) -> None:
    """Let the trainer find the optimiser's state in whichever form a checkpoint has it."""
    stock = trainer._load_optimizer_and_scheduler

    def load(checkpoint: str | None) -> None:
        stock(checkpoint)
        if checkpoint is not None:
            _fill(trainer, Path(checkpoint))

    trainer._load_optimizer_and_scheduler = load


def _fill(trainer: Any, checkpoint: Path) -> None:
    """Read the parts, or split what one process wrote whole."""
    from safetensors import safe_open
    from torch.distributed.tensor import DTensor

    files = sorted((checkpoint / FOLDER).glob("*.safetensors"))
    state = trainer.optimizer.state
    with ExitStack() as opened:
        parts = [opened.enter_context(safe_open(path, framework="pt")) for path in files]
        keys = list(parts[0].keys()) if parts else []
        for name, parameter in trainer.model.named_parameters():
            for key in (key.rpartition("/")[2] for key in keys if key.rpartition("/")[0] == name):
                found = [part.get_tensor(f"{name}/{key}") for part in parts]
                state[parameter][key] = _like(parameter, found[0] if not found[0].dim() else _whole(found))
            if not parts and isinstance(parameter, DTensor):
                state[parameter].update({key: _like(parameter, value) for key, value in state.get(parameter, {}).items()})


def _whole(parts: list[torch.Tensor]) -> torch.Tensor:
    import torch

    return torch.cat(parts)


def _like(parameter: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """A value where its parameter is: this process's part of it, where the parameter is split. What has no dimensions (a count) is not."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    whole = whole.to(parameter.device)
    if not isinstance(parameter, DTensor) or not whole.dim():
        return whole
    return distribute_tensor(whole, parameter.device_mesh, parameter.placements, src_data_rank=None)
