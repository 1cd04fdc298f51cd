"""LLaMA-Factory over rows that are token ids already: python llama_factory.py FOLDER -> one line of JSON. Runs in an environment of its own.

FOLDER holds `model` (weights and tokenizer), `rows.json` (what the trainer reads of each row) and `settings.json` (what all contenders share). Beyond
those everything is as LLaMA-Factory has it. Rows go in by its own `tokenized_path`: through text and a template they would be other tokens.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])


def without_sound_and_pictures() -> None:
    """LLaMA-Factory always imports torchaudio, and transformers torchvision where it is installed. Their wheels on PyPI are built for CUDA and cannot
    be loaded beside a torch for the CPU. Rows of text need neither: what cannot be loaded is taken as missing.
    """
    for name in ("torchvision", "torchaudio"):
        try:
            importlib.import_module(name)
        except (ImportError, OSError, RuntimeError):
            sys.modules[name] = None  # type: ignore[assignment]
    if sys.modules["torchaudio"] is None:
        sys.modules["torchaudio"] = importlib.util.module_from_spec(importlib.machinery.ModuleSpec("torchaudio", None))


def timed(found: dict[str, Any]) -> None:
    """Let every trainer put the time of `train()`, its losses and its parameters into `found`."""
    from transformers import Trainer

    train = Trainer.train

    def measured(self: Any, *given: Any, **named: Any) -> Any:
        began, worked = time.perf_counter(), time.process_time()
        result = train(self, *given, **named)
        found.update(seconds=time.perf_counter() - began, processor=time.process_time() - worked)
        found.update(losses=[entry["loss"] for entry in self.state.log_history if "loss" in entry], parameters=self.model.num_parameters())
        return result

    Trainer.train = measured


def main() -> None:
    without_sound_and_pictures()
    from datasets import Dataset
    from llamafactory.train.tuner import run_exp

    rows = json.loads((FOLDER / "rows.json").read_text())
    Dataset.from_list(rows).save_to_disk(FOLDER / "tokenized")
    found: dict[str, Any] = {"tokens": sum(len(row["input_ids"]) for row in rows)}
    timed(found)
    run_exp(
        {
            "stage": "sft", "do_train": True, "finetuning_type": "full", "model_name_or_path": str(FOLDER / "model"), "dataset": "rows",
            "tokenized_path": str(FOLDER / "tokenized"), "cutoff_len": 4096, "output_dir": str(FOLDER / "out"),
        }
        | json.loads((FOLDER / "settings.json").read_text())
    )  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
