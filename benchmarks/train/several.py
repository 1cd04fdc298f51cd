"""How training gets faster with more GPUs: python benchmarks/train/several.py --devices 1 2 4 8

    --tiny    a tiny model, on whatever there is: does it work?

A Llama of the shape of the 8 B with random weights, trained in full and with LoRA, rows of 2,048 tokens, 8 a step. For each number of processes it
prints the tokens a second of all together, from the difference of a longer and a shorter training: starting and saving fall out. Nothing is written.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from speed import EIGHT, TINY, network, rows

SHORT, LONG = 4, 12  # steps


def base(folder: Path, tiny: bool) -> Path:
    import torch
    from transformers import AutoTokenizer

    from groundling.llm.weights import resolve

    network(TINY if tiny else EIGHT, 16_384 if tiny else 128_256, torch.bfloat16, "cpu").save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve("nano")).save_pretrained(folder)
    return folder


def seconds(model: Path, devices: int, method: str, steps: int, length: int) -> float:
    from groundling.config import Train
    from groundling.llm.weights import Weights
    from groundling.panel import unwatched
    from groundling.train import launch
    from groundling.train.objectives import sft
    from groundling.train.scoring import Job

    options = Train(
        devices=devices, method=method, steps=steps, batch=8, epochs=100, rate=1e-5, save_steps=10_000, max_length=length, checkpointing=True
    )
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        launch.run(sft, Job(rows(64, length, even=True), Weights(str(model)), options, 1, Path(out), unwatched))
        return time.perf_counter() - start


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--devices", type=int, nargs="+", default=[1, 2])
    asked.add_argument("--tiny", action="store_true")
    wanted = asked.parse_args()
    length = 128 if wanted.tiny else 2048
    with tempfile.TemporaryDirectory() as folder:
        model = base(Path(folder) / "base", wanted.tiny)
        for method in ("full", "lora"):
            for devices in wanted.devices:
                took = seconds(model, devices, method, LONG, length) - seconds(model, devices, method, SHORT, length)
                print(f"{method:5s} {devices} processes: {(LONG - SHORT) * 8 * length / took:,.0f} tokens a second", flush=True)


if __name__ == "__main__":
    from groundling.llm.local import need_torch

    need_torch()
    main()
