"""groundling's own training as a contender, and how the training of each is timed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EVERY = {"logging_steps": 1, "save_strategy": "no", "learning_rate": 1e-3, "report_to": "none", "disable_tqdm": True, "num_train_epochs": 1}
GROUPED = {"train_sampling_strategy": "group_by_length", "data_seed": 42, "seed": 42}


@contextmanager
def timed(found: dict[str, Any], *callbacks: Any) -> Iterator[None]:
    """Every trainer puts the time of `train()`, its losses and its network into `found`, whoever calls it."""
    from transformers import Trainer

    train = Trainer.train

    def measured(self: Any, *given: Any, **named: Any) -> Any:
        for one in callbacks:
            self.add_callback(one)
        began, worked = time.perf_counter(), time.process_time()
        result = train(self, *given, **named)
        found.update(seconds=time.perf_counter() - began, processor=time.process_time() - worked, model=self.model)
        found.update(losses=[entry["loss"] for entry in self.state.log_history if "loss" in entry])
        return result

    Trainer.train = measured
    try:
        yield
    finally:
        Trainer.train = train


def ours(made: Any, data: list[Any], folder: str, **more: Any) -> None:
    """groundling's own training, whole, of what `made` makes. It differs in two things: every step is logged, as of all, and the batches are drawn
    by the same function from the generator that the others use, so that they are the same."""
    from transformers import trainer_pt_utils

    from groundling.config import Train
    from groundling.llm.local import load_tokenizer
    from groundling.llm.weights import Weights, resolve
    from groundling.panel import unwatched
    from groundling.train.objectives import sft

    base, own, draw = Path(folder, "base"), sft.arguments, trainer_pt_utils.get_length_grouped_indices
    made().save_pretrained(base)
    load_tokenizer(resolve("nano")).save_pretrained(base)
    options = Train(epochs=1, warmup=0.0, scheduler="linear", rate=EVERY["learning_rate"], precision="bf16", save_steps=1_000_000, **more)
    sft.arguments = lambda *given, **named: own(*given, **named, logging_steps=EVERY["logging_steps"])
    trainer_pt_utils.get_length_grouped_indices = lambda lengths, step, generator=None: draw(lengths, step)
    try:
        sft.run(data, Weights(str(base)), options, GROUPED["seed"], Path(folder), unwatched)
    finally:
        sft.arguments, trainer_pt_utils.get_length_grouped_indices = own, draw
