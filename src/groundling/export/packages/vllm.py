"""What vLLM serves, with its launch line: the adapter where its base is on a hub, else the whole model."""

from __future__ import annotations

import shlex
from pathlib import Path

from ...errors import ModelError
from ..job import Job, Packed
from ..merge import precision_of
from . import adapter, merged

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # the values that --max-lora-rank takes


def check(job: Job) -> None:
    """Raise ModelError for a reward model."""
    if job.is_reward:
        raise ModelError("A reward model gives a number and writes nothing; what vLLM makes of it was never tried. Use --to merged or adapter.")
    precision_of(job)


def pack(job: Job, folder: Path) -> Packed:
    """Write the model and `serve.sh`."""
    weights = job.model.weights
    rank = sum(rank_of(a) for a in weights.adapters)
    on_hub = bool(weights.adapters) and not Path(weights.base).is_dir() and rank <= RANKS[-1] and not job.wish.precision
    made = (adapter if on_hub else merged).pack(job, folder)
    line = launch(job.name, weights.base if on_hub else "", rank)
    (folder / "serve.sh").write_text(f'#!/bin/sh\ncd "$(dirname "$0")" || exit 1\nexec {line}\n', "utf-8")
    return made._replace(usage=["sh serve.sh", f"# {line}"], language="sh", engine="vLLM")


def rank_of(path: Path) -> int:
    """The rank of an adapter."""
    import json

    return int(json.loads((path / "adapter_config.json").read_bytes())["r"])


def launch(name: str, base: str, rank: int) -> str:
    """The line. With a base it is served under the adapter's name, else the folder itself."""
    template = "--chat-template ./chat_template.jinja"
    if not base:
        return f"vllm serve . --served-model-name {shlex.quote(name)} {template}"
    room = next(n for n in RANKS if n >= rank)
    return f"vllm serve {shlex.quote(base)} --enable-lora --max-lora-rank {room} --lora-modules {shlex.quote(f'{name}=.')} {template}"
