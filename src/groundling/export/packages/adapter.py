"""The LoRA adapter alone, for PEFT: small, and of use with its base only. A chain of adapters becomes one on the first base."""

from __future__ import annotations

from pathlib import Path

from ...errors import ModelError
from .. import stock
from ..job import PRECISIONS, Job, Packed
from ..lora import joined
from ..merge import computed, copy_tokenizer, written
from .merged import stock_reply, stock_score


def check(job: Job) -> None:
    """Raise ModelError for a model that was trained in full: it has no adapter."""
    if not job.model.weights.adapters:
        raise ModelError(f"The model of {job.name} was trained in full, so there is no adapter. Use --to merged.")
    if job.wish.precision:
        raise ModelError("--precision goes with what is saved whole: an adapter stays in the precision that it was trained in. Leave it out.")


def pack(job: Job, folder: Path) -> Packed:
    """Write one adapter and the tokenizer."""
    weights = job.model.weights
    with written(folder):
        rank = joined(weights.adapters, folder, weights.base)
        copy_tokenizer(job, folder)
    kind, dtype = "SequenceClassification" if job.is_reward else "CausalLM", PRECISIONS[computed()]
    heads = ", num_labels=1" if job.is_reward else ""
    usage = [
        f"from peft import AutoPeftModelFor{kind}",
        "from transformers import AutoTokenizer",
        "",
        f'model = AutoPeftModelFor{kind}.from_pretrained("FOLDER", dtype="{dtype}"{heads})',
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        *(stock_score() if job.is_reward else stock_reply()),
    ]
    ask = stock.on_base(folder, weights.base, job.is_reward, dtype)
    return Packed(usage, notes=_notes(job, rank), ask=ask, asked="stock PEFT", base=job.base, precision=computed())


def _notes(job: Job, rank: int) -> list[str]:
    notes = []
    if len(job.model.weights.adapters) > 1:
        notes.append(
            f"{len(job.model.weights.adapters)} adapters, trained one upon the other, are in this one: their products are added, so its rank is "
            f"{rank}, the sum of theirs. It belongs on the first base, not on a model between."
        )
    if Path(job.model.weights.base).is_dir():
        notes.append(
            f"The base, {job.base}, is a folder of the machine where this was made; `adapter_config.json` says where. Elsewhere, name its own place: "
            "`PeftModel.from_pretrained(base_model, FOLDER)`. To give the model away, `--to merged` is simpler."
        )
    return notes
