"""A folder that Axolotl trains from: the conversations and `config.yaml`. Start it in the folder with `axolotl train config.yaml`.

Each message says whether it is trained: the reply is, with all its turns, and nothing before it. A row that is too long is left out whole; the
held-out rows are a test set of their own, never drawn from the training rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from ...grounding import Format
from ...records import Example, Pair
from ..base import Order
from ..features import MESSAGES
from ..render import prompt, reply
from . import llama_factory

FEATURES = {"messages": [MESSAGES[0] | {"training": "bool"}]}
PAIR_FEATURES = llama_factory.PAIR_FEATURES


def row(record: Example | Pair, number: int, form: Format) -> dict[str, Any]:
    """The conversation with what of it is trained; for a pair, what LLaMA-Factory reads as well."""
    if isinstance(record, Pair):
        return llama_factory.row(record, number, form)
    shown = [m | {"training": False} for m in prompt(record, form)]
    return {"messages": shown + [m | {"training": True} for m in reply(record, form)]}


def further(order: Order, splits: Mapping[str, str]) -> dict[str, bytes]:
    """The training config, where there are rows to train on and the run says which model."""
    if order.training is None or "train" not in splits:
        return {}
    config = yaml.safe_dump(_training(order, splits), sort_keys=False, allow_unicode=True)
    return {"config.yaml": f"# Start it in this folder: axolotl train config.yaml\n{config}".encode()}


def _data(order: Order, file: str) -> dict[str, Any]:
    common = {"path": file, "ds_type": "json", "split": "train"}  # one file is one split to its reader
    if order.kind is Pair:
        return common | {"type": "chat_template.default", "field_messages": "messages", "field_chosen": "chosen", "field_rejected": "rejected"}
    return common | {
        "type": "chat_template", "field_messages": "messages", "message_property_mappings": {"role": "role", "content": "content"},
        "message_field_training": "training", "train_on_eos": "turn",
    }  # fmt: skip


def _training(order: Order, splits: Mapping[str, str]) -> dict[str, Any]:
    t = order.training
    assert t is not None
    held_out = {"test_datasets": [_data(order, splits["held_out"])]} if "held_out" in splits else {}
    return {
        "base_model": t.base, **({"rl": "dpo"} if order.kind is Pair else {}), "chat_template": "tokenizer_default",
        "datasets": [_data(order, splits["train"])], **held_out, "val_set_size": 0.0, "dataset_prepared_path": "prepared",
        "adapter": "lora", "lora_r": t.rank, "lora_alpha": t.alpha, "lora_dropout": t.dropout, "lora_target_linear": True,
        "sequence_len": t.max_length, "excess_length_strategy": "drop", "train_on_inputs": False, "sample_packing": False,
        "output_dir": "model", "micro_batch_size": 1, "gradient_accumulation_steps": t.batch, "num_epochs": t.epochs,
        "learning_rate": t.rate, "lr_scheduler": "cosine", "warmup_ratio": 0.05, "optimizer": "adamw_torch", "logging_steps": 10,
    }  # fmt: skip
