"""The hyper-parameters of published systems by name, for `train.preset`. What their sources do not say is left to the defaults.

A preset has a table for each objective that the system trained with. Precision is left out everywhere: the machine decides it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
SEVEN = [*ATTENTION, "gate_proj", "up_proj", "down_proj"]


class Preset(NamedTuple):
    """Where the values stand, and the values by objective."""

    source: str
    values: dict[str, dict[str, Any]]


_LIVEDOOR = {
    "method": "qlora", "targets": SEVEN, "rank": 16, "alpha": 16, "dropout": 0.0, "epochs": 4.0, "batch": 2, "accumulate": 4, "rate": 2e-4,
    "scheduler": "linear", "warmup": 5, "weight_decay": 0.01, "optimizer": "adamw_8bit", "max_length": 2048,
}  # fmt: skip
_VIKHR = {"targets": SEVEN, "scheduler": "cosine", "batch": 1, "accumulate": 8}

TRAIN = {
    # Its length of 512 is left out: it cut the answers off behind three passages of 1,000 characters each.
    "rag-sft": Preset(
        "yf591/llm-toolkit, LLM_SFT_&_RAG_GradioUI.ipynb",
        {
            "sft": {
                "method": "qlora",
                "targets": SEVEN,
                "rank": 8,
                "alpha": 16,
                "dropout": 0.05,
                "epochs": 1.0,
                "batch": 2,
                "accumulate": 8,
                "rate": 2e-4,
                "scheduler": "cosine",
                "warmup": 0.0,
            }
        },
    ),  # fmt: skip
    # 500 steps are those of its 3,200 seed pairs; its dropout of 0.1 was the network's own and has no setting here.
    "backtranslation": Preset(
        "Humpback, arXiv 2308.06259",
        {
            "sft": {
                "method": "full",
                "rate": 1e-5,
                "scheduler": "linear",
                "floor": 0.9,
                "weight_decay": 0.1,
                "batch": 32,
                "accumulate": 1,
                "steps": 500,
            }
        },
    ),  # fmt: skip
    # One example on each of four GPUs: four examples a step.
    "raft-chatbot": Preset(
        "Meta llama-cookbook, end-to-end-use-cases/RAFT-Chatbot",
        {"sft": {"method": "full", "rate": 1e-5, "epochs": 1.0, "batch": 1, "accumulate": 4, "max_length": 8192}},
    ),
    # Its adapter on lm_head is left out (the loss reads those weights directly). Where only the rank is told, alpha equals it, as in its SMPO.
    "vikhr-8b": Preset(
        "Vikhr's training scripts, configs for Llama-3.1-8B",
        {
            "sft": _VIKHR | {"rank": 256, "alpha": 256, "rate": 4e-5, "epochs": 1.0, "max_length": 16384},
            "reward": _VIKHR | {"rank": 32, "alpha": 32, "rate": 4e-4, "epochs": 2.0},
            "smpo": _VIKHR
            | {
                "rank": 96,
                "alpha": 96,
                "rate": 2e-5,
                "epochs": 2.0,
                "warmup": 10,
                "max_length": 8192,
                "options": {"beta": 1.1, "margin": 0.4, "ratio": 0.75},
            },
        },
    ),  # fmt: skip
    "livedoor": Preset("TOSHISTATS, Llama3-8B_20240518, on the Livedoor news", {"sft": _LIVEDOOR, "classify": _LIVEDOOR}),
}


def values(name: str, objective: str) -> dict[str, Any]:
    """What a preset chooses for an objective; nothing for a preset or an objective that is not known."""
    return TRAIN[name].values.get(objective, {}) if name in TRAIN else {}
