"""The whole model, its adapters merged in: loads with transformers alone (and whatever reads its format)."""

from __future__ import annotations

from pathlib import Path

from .. import stock
from ..job import Job, Packed
from ..merge import precision_of, save_whole


def check(job: Job) -> None:
    """Raise ConfigError for a precision that there is not."""
    precision_of(job)


def pack(job: Job, folder: Path) -> Packed:
    """Save the model and its tokenizer."""
    precision = save_whole(job, folder)
    kind = "AutoModelForSequenceClassification" if job.is_reward else "AutoModelForCausalLM"
    usage = [
        f"from transformers import {kind}, AutoTokenizer",
        "",
        f'model = {kind}.from_pretrained("FOLDER", dtype="auto")',
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        *(stock_score() if job.is_reward else stock_reply()),
    ]
    return Packed(usage, ask=stock.whole(folder, job.is_reward), asked="stock transformers", precision=precision)


def stock_reply() -> list[str]:
    """How a reply is asked for."""
    return [
        'ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=False)',
        "out = model.generate(ids, do_sample=False, max_new_tokens=256)",
        "print(tokenizer.decode(out[0, ids.shape[1]:], skip_special_tokens=True))",
    ]


def stock_score() -> list[str]:
    """How a score is asked for."""
    return [
        'ids = tokenizer.apply_chat_template(messages + [{"role": "assistant", "content": reply}], return_tensors="pt", return_dict=False)',
        "print(model(input_ids=ids).logits[0, 0].item())  # the higher the better",
    ]
