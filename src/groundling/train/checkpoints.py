"""Checkpoints on disk: which are whole, which one to go on from, how much they take, and the saved model made of one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import MachineError
from ..workspace import write_json

MARK = "complete.json"  # written last, after everything beside it is on the disk: the sizes of all files
WEIGHTS = ("adapter_model.safetensors", "adapter_config.json", "config.json", "generation_config.json", "model*.safetensors*")


def seal(checkpoint: Path) -> None:
    """Mark a checkpoint as whole, once every file of it is really on the disk."""
    sizes = {}
    for path in _files(checkpoint):
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
        sizes[str(path.relative_to(checkpoint))] = path.stat().st_size
    write_json(checkpoint / MARK, sizes)


def is_whole(checkpoint: Path) -> bool:
    """Whether every file that the mark names is there at its size."""
    try:
        sizes = json.loads((checkpoint / MARK).read_bytes())
        return bool(sizes) and all((checkpoint / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def all_of(folder: Path) -> list[Path]:
    """The checkpoints in a folder, whole or not, by their steps."""
    return sorted(folder.glob("checkpoint-*"), key=step_of)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole."""
    return next((path for path in reversed(all_of(folder)) if is_whole(path)), None)


def sweep(folder: Path) -> None:
    """Take away what a killed save left: it counts as a checkpoint where old ones are removed, but nothing can go on from it."""
    for path in all_of(folder):
        if not is_whole(path):
            shutil.rmtree(path)


def size_of(folder: Path) -> int:
    """Bytes in a folder and what is in it."""
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MARK)


def weights_of(folder: Path) -> list[Path]:
    """The files of a saved model that say what it is: weights and their configuration."""
    return sorted({path for pattern in WEIGHTS for path in folder.glob(pattern)})


def publish(saved: Path, folder: Path) -> None:
    """Copy the files of a saved model into the model's folder, each in one move. Raises MachineError where the disk is full."""
    for path in weights_of(saved):
        temporary = folder / f".{path.name}.tmp"
        try:
            shutil.copyfile(path, temporary)
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, folder / path.name)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise MachineError(
                f"{folder / path.name} could not be written ({error.strerror}). The checkpoints in {saved.parent} are whole. "
                "Free some space and run again: only the saving is left to do."
            ) from error
