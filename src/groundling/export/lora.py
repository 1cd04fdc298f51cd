"""A chain of adapters as one. What LoRA adds to a weight is a product of two thin matrices; a sum of such products is again one, whose rank is the
sum of theirs. So the adapters of a run that was trained from `run:NAME` become a single one on the first base, and nothing is lost."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..workspace import write_json

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
A, B = ".lora_A.weight", ".lora_B.weight"
# What changes the sum: an adapter with one of these cannot be put together with others by adding products.
OTHER_KINDS = (
    "use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "fan_in_fan_out", "lora_bias", "layer_replication", "trainable_token_indices",
    "target_parameters", "megatron_config", "layers_to_transform", "exclude_modules",
)  # fmt: skip


def joined(adapters: Sequence[Path], folder: Path, base: str) -> int:
    """Write the adapters, in turn, as one adapter on `base` into the folder. Returns its rank. Raises ModelError where they are not plain LoRA."""
    configs = [_config(adapter) for adapter in adapters]
    last = configs[-1]
    if len(adapters) == 1:
        shutil.copyfile(adapters[0] / WEIGHTS, folder / WEIGHTS)
        write_json(folder / CONFIG, last | {"base_model_name_or_path": base, "revision": None})
        return int(last["r"])
    for adapter, config in zip(adapters, configs, strict=True):
        _plain(adapter, config, adapter == adapters[-1])
    rank = sum(int(config["r"]) for config in configs)
    _save(_added(adapters, configs, rank), folder / WEIGHTS)
    one = {
        "r": rank, "lora_alpha": rank, "lora_dropout": 0.0, "target_modules": sorted({m for c in configs for m in c["target_modules"]}),
        "base_model_name_or_path": base, "revision": None,
    }  # fmt: skip
    write_json(folder / CONFIG, last | one)
    return rank


def _config(adapter: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((adapter / CONFIG).read_bytes())
        int(found["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{adapter} holds no adapter that can be read ({error}). Train it again.") from error
    return found


def _plain(adapter: Path, config: Mapping[str, Any], is_last: bool) -> None:
    other = [name for name in OTHER_KINDS if config.get(name)]
    other += ["bias"] if config.get("bias", "none") != "none" else []
    other += ["modules_to_save"] if config.get("modules_to_save") and not is_last else []
    other += ["target_modules"] if not isinstance(config.get("target_modules"), list) else []
    if config.get("peft_type") != "LORA" or other:
        raise ModelError(
            f"The adapter {adapter} is one of a chain and no plain LoRA ({', '.join(other) or config.get('peft_type')}), so that the chain cannot be "
            "put into one adapter. Use --to merged."
        )


def _added(adapters: Sequence[Path], configs: Sequence[Mapping[str, Any]], rank: int) -> dict[str, Any]:
    """The matrices of all adapters side by side, each scaled by its own alpha / r. A layer that an adapter leaves alone gets zeros from it."""
    import torch
    from safetensors.torch import load_file

    found, at = dict[str, torch.Tensor](), 0
    for adapter, config in zip(adapters, configs, strict=True):
        r, scale, tensors = int(config["r"]), config["lora_alpha"] / config["r"], load_file(adapter / WEIGHTS)
        for name, tensor in tensors.items():
            if name.endswith(A):
                whole = found.setdefault(name, torch.zeros(rank, tensor.shape[1], dtype=torch.float32))
                whole[at : at + r] = tensor.float()
            elif name.endswith(B):
                whole = found.setdefault(name, torch.zeros(tensor.shape[0], rank, dtype=torch.float32))
                whole[:, at : at + r] = tensor.float() * scale
            else:
                found[name] = tensor  # the head of a reward model: of the last adapter alone
        at += r
    return found


def _save(tensors: dict[str, Any], path: Path) -> None:
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
