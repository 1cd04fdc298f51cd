"""Make nano from nothing: `python -m groundling.nano.make OUT --minutes 60` trains the tokenizer and one leg.

`--start FOLDER` begins a leg from earlier weights; `--decay` lets the rate fall to nothing: the last leg. Runs on a GPU where there is one.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, help="weights that an earlier leg wrote")
    parser.add_argument("--leg", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--limit", type=int, default=1024)
    parser.add_argument("--longest", type=int, default=5)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--decay", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    import torch
    from transformers import AutoTokenizer, LlamaForCausalLM

    from . import pretrain, tokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if arguments.start:
        network = LlamaForCausalLM.from_pretrained(arguments.start, dtype=torch.float32)
        loaded = AutoTokenizer.from_pretrained(arguments.start)
    else:
        tokenizer.train(arguments.out, arguments.seed)
        loaded = AutoTokenizer.from_pretrained(arguments.out)
        network = pretrain.fresh(arguments.width, arguments.layers, arguments.width // 32, arguments.seed)
    plan = pretrain.Plan(
        leg=arguments.leg, minutes=arguments.minutes, rate=arguments.rate, decay=arguments.decay, tokens=arguments.tokens,
        limit=arguments.limit, longest=arguments.longest, seed=arguments.seed,
    )  # fmt: skip
    pretrain.train(network, loaded, plan, arguments.out, device)


if __name__ == "__main__":
    main()
