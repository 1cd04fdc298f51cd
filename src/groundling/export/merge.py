"""A trained model as a whole: its adapters merged into the base, saved as transformers saves any model, with the tokenizer it was trained with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ConfigError, MachineError, ModelError
from ..registry import nearest
from .job import PRECISIONS, Job

# What a tokenizer is made of, in the forms that transformers saves. Copied as they are: loading and saving would change them.
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json", "added_tokens.json", "tokenizer.model", "vocab.json",
    "merges.txt", "vocab.txt",
)  # fmt: skip


def copy_tokenizer(job: Job, folder: Path) -> None:
    """The trained model's tokenizer and chat template, byte for byte."""
    for name in TOKENIZER:
        if (job.tokenizer_folder / name).is_file():
            shutil.copyfile(job.tokenizer_folder / name, folder / name)


def precision_of(job: Job) -> str:
    """The precision to save in: the wanted one, else that in which the run's own model computes here. Raises ConfigError."""
    if not job.wish.precision:
        return computed()
    if job.wish.precision not in PRECISIONS:
        raise ConfigError(f"--precision {job.wish.precision}: there is no such precision.{nearest(job.wish.precision, list(PRECISIONS))}")
    return job.wish.precision


def computed() -> str:
    """The precision in which groundling's door computes on this machine."""
    from ..llm.local import device

    return "fp32" if device() == "cpu" else "bf16"


def save_whole(job: Job, folder: Path) -> str:
    """Save the merged model and its tokenizer into the folder; returns the precision. Raises MachineError where the disk is full."""
    import torch

    precision = precision_of(job)
    network: Any = job.model.network
    network.config.pad_token_id = job.model.tokenizer.pad_token_id
    with written(folder):
        network.to(getattr(torch, PRECISIONS[precision])).save_pretrained(str(folder), safe_serialization=True)
        copy_tokenizer(job, folder)
    if not any(folder.glob("model*.safetensors")):
        raise ModelError(f"The merged model could not be saved: transformers left no weights in {folder}.")
    return precision


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """Safetensors' own error for a full disk, as a sentence."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise MachineError(f"The model could not be written beside {folder.parent} ({error}). Free some space or give another --out.") from error
