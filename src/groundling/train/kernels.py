"""How a training computes: with which attention, with which fused kernels, and whether examples share rows.

Chosen by the settings, what is installed and the hardware. It changes how fast the same numbers come, and they differ only as other orders of adding
up make them differ: so it is no part of the fingerprint.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from ..config import Train
from ..errors import ConfigError, MachineError, ModelError, UserError
from ..llm.local import device
from .options import needs_of

FLASH, FLEX, PLAIN = "flash_attention_2", "flex_attention", "sdpa"
# These skip the pairs of tokens of which one may not see the other; sdpa and eager compute them all and mask them afterwards.
SKIPPING = (FLASH, FLEX)
PACKED = ("sft",)  # the objectives whose examples may share a row: those of pairs and labels share a prompt already
# Networks for which `auto` takes what is installed, and for which liger's kernels are applied: each has the parts that are replaced.
KNOWN = ("llama", "mistral", "qwen2", "qwen3")


class Computing(NamedTuple):
    """What was chosen. An empty attention is what transformers takes for the architecture."""

    attention: str
    kernels: str
    packing: bool

    def told(self) -> str:
        return f"attention {self.attention or 'as the base has it'}, kernels {self.kernels}, packing {'on' if self.packing else 'off'}"


def installed(name: str) -> bool:
    return find_spec(name) is not None


def capability() -> tuple[int, int]:
    """What this machine's GPU is, as CUDA numbers them; (0, 0) without one."""
    if device() != "cuda":
        return 0, 0
    import torch

    return torch.cuda.get_device_capability()


def choose(options: Train, kind: str, arithmetic: str) -> Computing:
    """What is taken for a network of that kind (`model_type`; empty: not known) in that arithmetic."""
    found = attention(options, kind, arithmetic)
    return Computing(found, kernels(options, kind), packs(options, found))


def attention(options: Train, kind: str, arithmetic: str) -> str:
    if options.attention != "auto":
        return options.attention
    if kind not in KNOWN:
        return ""
    there = arithmetic != "fp32" and capability() >= (8, 0) and installed("flash_attn")
    return FLASH if there and not needs_of(options).together else PLAIN


def kernels(options: Train, kind: str) -> str:
    if options.kernels != "auto":
        return options.kernels
    return "liger" if kind in KNOWN and device() == "cuda" and installed("liger_kernel") else "none"


def packs(options: Train, attention: str) -> bool:
    """Whether examples share rows. On a CPU, and with sdpa, attention computes the pairs of tokens of different examples too, only to mask them, and
    keeps that mask for each layer: the little padding that is left between rows of like lengths, as the sampler makes them, is not worth it."""
    if options.packing != "auto":
        return options.packing == "on"
    return options.objective in PACKED and device() == "cuda" and attention in SKIPPING


def told(options: Train, found: Computing) -> list[str]:
    """The line that tells what was chosen, where there was anything to choose: a GPU, or a setting by hand."""
    by_hand = options.model_fields_set & {"packing", "attention", "kernels"}
    return [f"  computes with {found.told()}"] if by_hand or device() == "cuda" else []


def refuse(options: Train, kind: str, arithmetic: str, supported: Sequence[str] | None = None) -> None:
    """Raise a UserError for what was asked for by name and is not to be had. `supported`: the attentions of the network; None: not known."""
    for mistake in (_objective(options), _attention(options, arithmetic, supported), _liger(options, kind)):
        if mistake:
            raise mistake


def _objective(options: Train) -> UserError | None:
    if options.packing == "on" and options.objective not in PACKED:
        return ConfigError(
            f"train.packing = on is for the objective sft: the replies that {options.objective} compares share their prompt already. Set it to auto."
        )
    if options.attention not in ("auto", PLAIN) and needs_of(options).together:
        return ConfigError(
            f"train.attention = {options.attention}: the objective {options.objective} reads several replies behind one prompt, which takes a mask "
            "of its own, and only sdpa is known to keep to it. Set it to auto."
        )
    return None


def _attention(options: Train, arithmetic: str, supported: Sequence[str] | None) -> UserError | None:
    asked = options.attention
    if asked in SKIPPING and device() != "cuda":
        why = "is for NVIDIA GPUs" if asked == FLASH else "does not train on a CPU"
        return MachineError(f"train.attention = {asked} {why}, and this machine has no such GPU. Set it to auto.")
    if asked == FLASH and not installed("flash_attn"):
        return MachineError(
            f"train.attention = {FLASH} needs the package flash-attn: pip install flash-attn --no-build-isolation. Or set train.attention=auto."
        )
    if asked == FLASH and capability() < (8, 0):
        return MachineError(f"train.attention = {FLASH} needs a GPU of the generation Ampere or newer. Set it to auto.")
    if asked == FLASH and arithmetic == "fp32":
        return MachineError(f"train.attention = {FLASH} computes in 16 bits only. Set train.precision=auto, or train.attention=sdpa.")
    if asked in (*SKIPPING, PLAIN) and supported is not None and asked not in supported:
        return ModelError(f"train.attention = {asked}: {options.base} is of an architecture without it. Set it to auto.")
    return None


def _liger(options: Train, kind: str) -> UserError | None:
    if options.kernels != "liger":
        return None
    if device() != "cuda":
        return MachineError("train.kernels = liger is for GPUs, and this machine has none. Set it to auto.")
    if not installed("liger_kernel"):
        return MachineError("train.kernels = liger needs the package liger-kernel: pip install liger-kernel. Or set train.kernels=auto.")
    if kind and kind not in KNOWN:
        return ModelError(f"train.kernels = liger replaces parts of {', '.join(KNOWN)}, and {options.base} is of the kind {kind}. Set it to auto.")
    return None


@contextmanager
def fused(network: Any, options: Train) -> Iterator[None]:
    """Liger's norms, rotations and gates in the network, where they are chosen, while the body trains it.

    Its loss over the whole vocabulary is left out: groundling projects only what is trained. Liger also puts its parts into transformers' module,
    for networks that are yet to be made and for the rotation, which is looked up there: what it put there is taken out again afterwards, or what
    this process evaluates later would compute otherwise than in a process of its own.
    """
    bare = network.get_base_model() if hasattr(network, "get_base_model") else network
    if kernels(options, bare.config.model_type) != "liger":
        yield
        return
    try:
        apply = getattr(import_module("liger_kernel.transformers"), f"apply_liger_kernel_to_{bare.config.model_type}")
    except (ImportError, AttributeError) as error:
        raise MachineError(f"The package liger-kernel cannot be used here: {error}. Set train.kernels=none.") from error
    module = sys.modules[type(bare).__module__]
    before = dict(vars(module))
    try:
        apply(rope=True, rms_norm=True, swiglu=True, cross_entropy=False, fused_linear_cross_entropy=False, model=bare)
        yield
    finally:
        vars(module).update(before)
