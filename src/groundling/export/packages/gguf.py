"""One GGUF file for llama.cpp and what stands on it: made by llama.cpp's own converter, asked through its server where that is there."""

from __future__ import annotations

import shutil
from pathlib import Path

from ...errors import ModelError
from .. import llamacpp
from ..job import Job, Packed
from ..merge import precision_of, save_whole

KINDS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def check(job: Job) -> None:
    """Raise ModelError for a model that llama.cpp would read otherwise than it is, MachineError where its converter is missing."""
    if job.is_reward:
        raise ModelError("A reward model gives a number and writes nothing; as GGUF it would lose its head. Use --to merged or adapter.")
    precision_of(job)
    llamacpp.check_tokenizer(job.tokenizer_folder)
    llamacpp.converter(job.wish.llama_cpp, job.target)


def pack(job: Job, folder: Path) -> Packed:
    """Merge, convert, and leave the GGUF alone."""
    merged = folder / "merged"
    merged.mkdir()
    precision = save_whole(job, merged)
    llamacpp.plain_template(merged)
    file = folder / f"{job.name}.gguf"
    llamacpp.convert(llamacpp.converter(job.wish.llama_cpp, job.target), merged, file, KINDS[precision])
    shutil.rmtree(merged)
    usage = [f"llama-server -m {file.name} --jinja --port 8080", f"llama-cli -m {file.name} --jinja"]
    notes = ["Smaller ones: `llama-quantize IN.gguf OUT.gguf Q4_K_M`. What a quantised model answers was not looked at."]
    common = {"language": "sh", "notes": notes, "asked": "llama-server", "precision": precision}
    if (binary := llamacpp.server(job.wish.llama_cpp)) is None:
        absent = "Unverified: llama-server is not on this machine, so the GGUF was not asked."
        why = f"{absent} Build llama.cpp, and export again; or ask it yourself: {usage[0]}"
        return Packed(usage, why_not=why, **common)
    return Packed(usage, ask=llamacpp.asking(binary, file), **common)
