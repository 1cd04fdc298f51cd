"""A reward model on this machine: one number for a reply to a prompt, the higher the better. What the objective `reward` saves."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from .base import Message
from .branches import branches
from .local import MAX_ROWS, MAX_TOKENS, accepts_documents, device, load_network, load_tokenizer, need_torch
from .weights import Weights

if TYPE_CHECKING:
    import torch

VERSION = 1  # raised when the same weights would score otherwise
TASK = "SEQ_CLS"  # PEFT's word for an adapter with a head for numbers


@contextmanager
def unheard() -> Iterator[None]:
    """Without transformers' report that the head is new and another one unused: that is what is meant."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def graft(network: Any, other: Any) -> Any:
    """The network with the body of the other one, which has been trained further; its own head stays."""
    setattr(network, network.base_model_prefix, getattr(other, network.base_model_prefix))
    return network


def load_reward(weights: Weights) -> torch.nn.Module:
    """The network of a reward model, its adapters merged into it. Raises ModelError for what is none."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification

    dtype = torch.float32 if device() == "cpu" else torch.bfloat16
    *inner, last = weights.adapters or (None,)
    if last and _task(last) != TASK:
        raise ModelError(f"{last} is no reward model: it writes replies and gives no score. Name a run that was trained with the objective reward.")
    try:
        with unheard():
            network, told = AutoModelForSequenceClassification.from_pretrained(weights.base, num_labels=1, dtype=dtype, output_loading_info=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"The reward model {weights.base} could not be loaded: {str(error).splitlines()[0]}") from error
    if last is None:
        if told["missing_keys"]:
            raise ModelError(f"{weights.base} is no reward model: it has no head that gives a score. Name a run trained with the objective reward.")
        return network.to(device()).eval()
    if inner:
        network = graft(network, load_network(Weights(weights.base, tuple(inner))))
    from peft import PeftModel

    return PeftModel.from_pretrained(network, str(last)).merge_and_unload().to(device()).eval()


def _task(adapter: Path) -> str:
    try:
        return str(json.loads((adapter / "adapter_config.json").read_bytes())["task_type"])
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{adapter} holds no adapter that can be read ({error}). Train it again.") from error


class Reward:
    """Scores replies. Batches are formed of like lengths."""

    def __init__(self, folder: str | Path, adapters: Sequence[Path] = (), name: str = "") -> None:
        need_torch()
        self.weights = Weights(str(folder), tuple(adapters))
        self.name = name or str(folder)
        self.tokenizer = load_tokenizer(self.weights.outermost)
        self.documents_role = accepts_documents(self.tokenizer)
        self.fingerprint = f"reward/{VERSION}/{device()}/{self.weights.fingerprint}"
        self._lock = threading.Lock()

    @cached_property
    def network(self) -> torch.nn.Module:
        network: Any = load_reward(self.weights)
        network.config.pad_token_id = self.tokenizer.pad_token_id
        return network

    async def scores(self, asked: Sequence[tuple[list[Message], str]]) -> list[float]:
        """The score of each reply to its prompt, in their order."""
        items = [branches(self.tokenizer, messages, [reply]) for messages, reply in asked]
        return await asyncio.to_thread(self.scores_of, [item.prompt + item.replies[0] for item in items])

    def scores_of(self, rows: Sequence[list[int]]) -> list[float]:
        """The same, of prompts and replies as token ids."""
        found: dict[int, float] = {}
        with self._lock:
            longest, limit = max(map(len, rows), default=0), self._limit()
            if longest > limit:
                raise ModelError(f"A prompt and its reply of {longest} tokens do not fit into the {limit} tokens of {self.name}. Shorten them.")
            for group in like_lengths([len(row) for row in rows]):
                found |= dict(zip(group, self._batch([rows[n] for n in group]), strict=True))
        return [found[n] for n in range(len(rows))]

    def fits(self, messages: list[Message], reply: str) -> bool:
        """Whether a prompt and its reply fit into the model's context."""
        item = branches(self.tokenizer, messages, [reply])
        return len(item.prompt) + len(item.replies[0]) <= self._limit()

    def _limit(self) -> int:
        return getattr(self.network.config, "max_position_embeddings", None) or 1 << 30

    def _batch(self, rows: list[list[int]]) -> list[float]:
        import torch

        longest, pad = max(map(len, rows)), self.tokenizer.pad_token_id
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=device())
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=device())
        with torch.inference_mode():
            found: list[float] = self.network(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, 0].float().tolist()
        return found


def like_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """The numbers of rows in groups of like lengths, bounded in rows and in padded tokens."""
    groups: list[list[int]] = []
    for n in sorted(range(len(lengths)), key=lambda n: (lengths[n], n)):
        group = groups[-1] if groups else []
        if group and len(group) < MAX_ROWS and (len(group) + 1) * lengths[n] <= MAX_TOKENS:
            group.append(n)
        else:
            groups.append([n])
    return groups
