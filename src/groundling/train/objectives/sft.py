"""Supervised fine-tuning through TRL and PEFT; the loss falls on the assistant's turns only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...config import Train
from ...llm.weights import Weights
from ...panel import Watch
from ..model import adapter, load
from ..packing import pack
from ..sharded import within
from ..tokens import Row
from ..trainer import WHOLE, arguments, fit, held_out, prepare

# Models whose logits are the output embedding of the last hidden state and nothing more (no soft cap, no scale). That they are those of
# `kernels.KNOWN` is chance: a network with a soft cap may get fused kernels, and one without any may have a plain head.
PLAIN_HEAD = {"llama", "mistral", "qwen2", "qwen3"}


def trainer_class() -> type:
    """TRL's trainer with one change: the vocabulary is projected only where the loss looks (one token in seventeen of RAFT data).

    Rows are padded on the right, where a causal model needs no mask: no token before the padding can see it. Packed rows have none either: they tell
    examples apart by positions that begin anew.
    """
    from torch.nn.functional import cross_entropy, pad
    from trl import SFTTrainer

    class AnswerTrainer(SFTTrainer):
        def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            network = self.accelerator.unwrap_model(model)
            network = network.get_base_model() if hasattr(network, "get_base_model") else network
            if return_outputs or network.config.model_type not in PLAIN_HEAD:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            labels = inputs["labels"][:, 1:]
            at = labels != -100
            wanted = labels[at]

            def logits_at(ids: Any, places: Any) -> Any:
                hidden = network.model(input_ids=ids, position_ids=places, use_cache=False).last_hidden_state
                looked_at = hidden[:, :-1][at]
                return network.get_output_embeddings()(pad(looked_at, (0, 0, 0, -len(looked_at) % WHOLE)))

            with self.accelerator.autocast():
                logits = within(model, logits_at, inputs["input_ids"], inputs.get("position_ids"))
            total = cross_entropy(logits[: len(wanted)].float(), wanted, reduction="sum")
            if num_items_in_batch is None:
                return total / at.sum()
            # Counted over all processes, whose gradients are then averaged: the mean over the step's tokens, not a mean of means.
            return total / num_items_in_batch * self.accelerator.num_processes

    return AnswerTrainer


def dataset(rows: Sequence[Row]) -> Any:
    """Rows as TRL reads them."""
    from datasets import Dataset

    return Dataset.from_list([{"input_ids": row.ids, "labels": row.labels()} for row in rows])


def run(rows: Sequence[Row], base: Weights, options: Train, seed: int, folder: Path, watch: Watch) -> list[dict[str, float]]:
    """Train, or go on from the last whole checkpoint; the weights and the tokenizer are saved into `folder`. Returns the log of losses."""
    from trl import SFTConfig

    tokenizer = prepare(base, seed)
    measured = held_out(rows)
    trainer = trainer_class()(
        model=load(base, options),
        # Over-long rows were counted and dropped before: TRL must not cut.
        args=arguments(SFTConfig, options, seed, folder, rows, max_length=None, packing=False, pad_to_multiple_of=WHOLE),
        train_dataset=dataset(rows),
        eval_dataset=dataset(measured) if measured else None,
        processing_class=tokenizer,
        peft_config=adapter(options),
    )
    pack(trainer, options, folder)
    return fit(trainer, options, folder, watch)
