"""What several test folders share: how examples are drawn, and a tiny Llama with random weights and nano's own tokenizer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Other work may share the machine: threads that wait leave the cores to it at once (docs/train.md, "Speed and memory"). Read when torch is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

# The same examples every time; no limit on the time of one, as other work may share the machine; nothing written beside the code.
settings.register_profile("groundling", deadline=None, derandomize=True, database=None)
settings.load_profile("groundling")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stock Llama of 32 columns and one layer with seeded random weights, saved with nano's tokenizer and chat template."""
    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    from groundling.llm.weights import resolve
    from groundling.nano import model

    folder = tmp_path_factory.mktemp("tiny model")
    torch.manual_seed(7)
    config = model.config(width=32, layers=1, heads=2, positions=1024)
    config.initializer_range = 0.5  # logits far apart: the best token does not hang on the last bit
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(resolve("nano"))
    tokenizer.chat_template = model.CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder
