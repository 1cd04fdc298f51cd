"""The base model as training needs it: in a precision that the machine really has, whole, in four bits, and with an adapter or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..config import Train
from ..errors import MachineError, ModelError
from ..llm.local import bf16_is_fast, device, merged
from ..llm.weights import Weights
from . import kernels
from .sizing import kind_of

if TYPE_CHECKING:
    import torch


def precision(options: Train) -> str:
    """`bf16`, `fp16` or `fp32`: the named one where this machine can train in it, else what it has in hardware. Raises MachineError."""
    where = device()
    if options.precision == "auto":
        return "bf16" if bf16_is_fast() else "fp16" if where == "cuda" else "fp32"
    if options.precision == "fp16" and where != "cuda":
        raise MachineError("train.precision = fp16 needs a GPU: its gradients are scaled there. Use auto, bf16 or fp32 on this machine.")
    if options.precision == "bf16" and where == "cuda" and not bf16_is_fast():
        raise MachineError("train.precision = bf16: this GPU has no bf16. Use auto, fp16 or fp32.")
    return options.precision


def stored(options: Train) -> torch.dtype:
    """The precision in which weights lie in memory: fp32 on a CPU (autocast does the rest), and wherever all of them are trained."""
    import torch

    if device() != "cuda" or options.method == "full":
        return torch.float32
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision(options)]


def computing(options: Train, base: Weights) -> kernels.Computing:
    """Attention, kernels and packing as they are chosen for this base on this machine. Raises MachineError for a precision that it does not have."""
    return kernels.choose(options, kind_of(base), precision(options))


def load(base: Weights, options: Train, kind: Any = None, **more: Any) -> torch.nn.Module:
    """The network to train, its adapters merged into it. `kind` is a class with `from_pretrained`, else AutoModelForCausalLM.

    Raises ModelError where the base is not there or is of a kind that is not known, MachineError where four bits or an attention are not to be had.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    if options.method == "qlora":
        more |= _four_bits(options)
    attention = computing(options, base).attention
    if options.attention != "auto" or attention == kernels.FLASH:  # else transformers' own choice, which is sdpa where a network has it
        more |= {"attn_implementation": attention}
    try:
        network = (kind or AutoModelForCausalLM).from_pretrained(base.base, dtype=stored(options), **more)
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(why_not(base.base, error)) from error
    except ImportError as error:
        if attention != kernels.FLASH:
            raise
        raise MachineError(f"The package flash-attn cannot be used here: {str(error).splitlines()[0]} Set train.attention=sdpa.") from error
    if options.method == "qlora" and device() == "cpu":
        _keep_layout(network)
    return merged(network, base.adapters)


def why_not(base: str, error: Exception) -> str:
    """Why a base could not be loaded, as a sentence."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    if "gated repo" in str(error) or "restricted" in first:
        return f"The base model {base} is gated: accept its terms on the hub and log in with `hf auth login`, or name another train.base."
    if "does not recognize this architecture" in str(error):
        return f"The base model {base} is of an architecture that the installed transformers does not know: {first} Use another train.base."
    return f"The base model {base} could not be loaded: {first}"


def _four_bits(options: Train) -> dict[str, Any]:
    """What `from_pretrained` needs for NF4 with double quantisation."""
    import torch
    from transformers import BitsAndBytesConfig

    compute = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision(options)]
    quantised = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=compute, bnb_4bit_quant_storage="uint8"
    )
    return {"quantization_config": quantised, "device_map": {"": 0} if device() == "cuda" else device()}


def _keep_layout(network: torch.nn.Module) -> None:
    """bitsandbytes lays 4-bit weights out anew for a CPU's first inference, which training afterwards does not read, and which breaks at
    widths that are no multiple of 64."""
    for module in network.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def adapter(options: Train, task: str = "CAUSAL_LM", **more: Any) -> Any:
    """The LoRA that `options` describe, for TRL's `peft_config`; None where the whole model is trained.

    `all-linear` is every linear layer but the vocabulary's.
    """
    if options.method == "full":
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=options.rank, lora_alpha=options.alpha, lora_dropout=options.dropout,
        target_modules=options.targets if isinstance(options.targets, str) else list(options.targets), task_type=task, **more,
    )  # fmt: skip


def in_32_bits(network: Any) -> None:
    """Put what is trained into 32 bits, where a base may lie in fewer.

    TRL halves an adapter on a base in four bits. Steps that are small beside a weight would be lost in it, a training that was interrupted
    would go on in 32 bits all the same, and a head in 16 bits cannot read a network that computes in 32.
    """
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
