"""Supervised fine-tuning of a LoRA adapter through TRL and PEFT; the loss falls on the assistant's turns only."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...config import Train
from ...errors import ModelError
from ...llm.local import bf16_is_fast
from ...panel import Watch
from ..model import load, lora
from ..progress import watched
from ..tokens import Row

# Models whose logits are the output embedding of the last hidden state and nothing more (no soft cap, no scale).
PLAIN_HEAD = {"llama", "mistral", "qwen2", "qwen3"}


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole: its trainer_state.json, written last, can be read."""
    for path in sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]), reverse=True):
        try:
            json.loads((path / "trainer_state.json").read_bytes())
        except (OSError, ValueError):
            continue
        return path
    return None


def _arguments(options: Train, seed: int, folder: Path) -> Any:
    from trl import SFTConfig

    from ...llm.local import device

    # Renamed in transformers 5; TRL turns it on where it is not named.
    named = {field.name for field in dataclasses.fields(SFTConfig)}
    checkpointing = "activation_checkpointing" if "activation_checkpointing" in named else "gradient_checkpointing"
    return SFTConfig(
        output_dir=str(folder),
        num_train_epochs=options.epochs,
        per_device_train_batch_size=options.batch,
        learning_rate=options.rate,
        lr_scheduler_type="cosine",
        warmup_steps=0.05,
        weight_decay=0.0,
        max_length=None,  # over-long rows were counted and dropped before; TRL must not cut
        packing=False,
        train_sampling_strategy="group_by_length",
        bf16=bf16_is_fast(),
        use_cpu=device() == "cpu",
        seed=seed,
        data_seed=seed,
        save_strategy="steps",
        save_steps=options.save_steps,
        save_total_limit=2,
        logging_steps=5,
        logging_first_step=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **{checkpointing: False},
    )


def _trainer() -> type:
    """TRL's trainer with one change: the vocabulary is projected only where the loss looks (one token in seventeen of RAFT data).

    Rows are padded on the right, where a causal model needs no mask: no token before the padding can see it.
    """
    from torch.nn.functional import cross_entropy
    from trl import SFTTrainer

    class AnswerTrainer(SFTTrainer):
        def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            network = self.accelerator.unwrap_model(model).get_base_model()
            if network.config.model_type not in PLAIN_HEAD:
                return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            labels = inputs["labels"][:, 1:]
            at = labels != -100
            with self.accelerator.autocast():
                hidden = network.model(input_ids=inputs["input_ids"], use_cache=False).last_hidden_state
                logits = network.get_output_embeddings()(hidden[:, :-1][at])
            total = cross_entropy(logits.float(), labels[at], reduction="sum")
            return total / (at.sum() if num_items_in_batch is None else num_items_in_batch)

    return AnswerTrainer


def run(rows: Sequence[Row], base: str, options: Train, seed: int, folder: Path, watch: Watch) -> list[dict[str, float]]:
    """Train, or go on from the last whole checkpoint; the adapter and tokenizer are saved into `folder`. Returns the log of losses."""
    import math

    from datasets import Dataset
    from transformers import set_seed

    from ...llm.local import load_tokenizer

    set_seed(seed)
    tokenizer = load_tokenizer(base)
    tokenizer.padding_side = "right"
    checkpoints = folder / "checkpoints"
    trainer = _trainer()(
        model=load(base),
        args=_arguments(options, seed, checkpoints),
        train_dataset=Dataset.from_list([{"input_ids": row.ids, "labels": row.labels()} for row in rows]),
        processing_class=tokenizer,
        peft_config=lora(options),
    )
    last = last_checkpoint(checkpoints)
    with watch(watched(trainer)):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    log = [
        {"step": entry["step"], "loss": round(entry["loss"], 4), "rate": entry["learning_rate"]}
        for entry in trainer.state.log_history
        if "loss" in entry
    ]
    if any(not math.isfinite(entry["loss"]) for entry in log):
        raise ModelError("The loss became infinite or not a number. Lower train.rate and run again.")
    trainer.model.save_pretrained(folder)
    tokenizer.padding_side = "left"
    tokenizer.save_pretrained(folder)
    return log
