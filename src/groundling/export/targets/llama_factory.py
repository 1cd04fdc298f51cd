"""A folder that LLaMA-Factory trains from: the conversations, `dataset_info.json` that describes them, and `train.yaml`.

Start it in the folder with `llamafactory-cli train train.yaml`. The rows are described as `sharegpt` with the names of OpenAI's roles: under its
own `openai` formatting LLaMA-Factory adds a line to every system message (converter.py of 0.9.5), and the model would be asked in other words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from ...grounding import Format
from ...records import Example, Pair
from ..base import Order
from ..features import MESSAGES
from ..render import one_turn, prompt, reply, said

FEATURES = {"messages": MESSAGES}
PAIR_FEATURES = {"messages": MESSAGES, "chosen": MESSAGES[0], "rejected": MESSAGES[0]}
TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system"}
NOTES = """\
# Start it in this folder: llamafactory-cli train train.yaml
# No template is named, so that LLaMA-Factory takes the chat template of the model's own tokenizer.
# LLaMA-Factory cuts what is longer than cutoff_len without a word: the answer stands last. Raise it if rows are longer.
"""


def check(form: Format) -> None:
    """Raise ConfigError for a format of two turns: LLaMA-Factory skips conversations in which one side speaks twice."""
    one_turn(form, "llama-factory")


def row(record: Example | Pair, number: int, form: Format) -> dict[str, Any]:
    """The conversation; for a pair, the conversation up to the reply and both replies."""
    if isinstance(record, Pair):
        return {"messages": prompt(record, form), "chosen": said(record.chosen), "rejected": said(record.rejected)}
    return {"messages": prompt(record, form) + reply(record, form)}


def further(order: Order, splits: Mapping[str, str]) -> dict[str, bytes]:
    """The description of the data, and the training config."""
    names = {split: f"groundling_{split}" for split in splits}
    info = {names[split]: _described(file, order.kind is Pair) for split, file in splits.items()}
    found = {"dataset_info.json": json.dumps(info, ensure_ascii=False, indent=1).encode() + b"\n"}
    if order.training is not None and "train" in splits:
        text = yaml.safe_dump(_training(order, names), sort_keys=False, allow_unicode=True)
        found["train.yaml"] = (NOTES + text).encode()
    return found


def _described(file: str, pairs: bool) -> dict[str, Any]:
    columns = {"messages": "messages"} | ({"chosen": "chosen", "rejected": "rejected"} if pairs else {})
    return {"file_name": file, "formatting": "sharegpt", "ranking": pairs, "columns": columns, "tags": TAGS}


def _training(order: Order, names: Mapping[str, str]) -> dict[str, Any]:
    t = order.training
    assert t is not None
    held_out = {"eval_dataset": names["held_out"], "eval_strategy": "epoch"} if "held_out" in names else {}
    return {
        "model_name_or_path": t.base, "stage": "dpo" if order.kind is Pair else "sft", "do_train": True, "finetuning_type": "lora",
        "lora_rank": t.rank, "lora_alpha": t.alpha, "lora_dropout": t.dropout, "lora_target": "all",
        "dataset": names["train"], "dataset_dir": ".", **held_out,
        "cutoff_len": t.max_length, "train_on_prompt": False, "mask_history": True,
        "output_dir": "model", "per_device_train_batch_size": 1, "gradient_accumulation_steps": t.batch, "learning_rate": t.rate,
        "num_train_epochs": t.epochs, "lr_scheduler_type": "cosine", "logging_steps": 10, "report_to": "none",
    }  # fmt: skip
