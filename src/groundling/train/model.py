"""The base model as training needs it: loaded in a precision that the machine really has, with a LoRA adapter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..config import Train
from ..errors import ModelError
from ..llm.local import bf16_is_fast, device

if TYPE_CHECKING:
    import torch


def load(base: str) -> torch.nn.Module:
    """The base in fp32 on a CPU (autocast does the rest), in bf16 on a GPU."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if device() == "cuda" and bf16_is_fast() else torch.float32
    try:
        return AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"The base model {base} could not be loaded: {str(error).splitlines()[0]}") from error


def lora(options: Train) -> Any:
    """LoRA on every linear layer but the vocabulary's."""
    from peft import LoraConfig

    return LoraConfig(r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout, target_modules="all-linear", task_type="CAUSAL_LM")
