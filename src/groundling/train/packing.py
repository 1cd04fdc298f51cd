"""Several whole examples in one row, none of which sees another: less padding, the same step.

A batch keeps its examples, and so do the step, the order and a resume: packing is only how they lie in memory. Each example's positions begin at 0
anew; from that transformers tells examples apart, where it is given no attention mask and no cache: with sdpa and eager by a mask, with flex
attention by blocks, and with flash attention by lengths, there only of a single row (`masking_utils`, `modeling_flash_attention_utils`). Networks
that carry something from token to token otherwise would not. So nothing of this is believed: it is proved on the network at hand before its first
step.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Train
from ..errors import ModelError
from ..seeds import rng
from ..workspace import write_json
from . import ranks
from .kernels import FLASH, packs
from .trainer import WHOLE

if TYPE_CHECKING:
    import torch

REFUSED = "not-packed.json"  # in the stage's folder while it trains: why packing, which was chosen, was given up
TRIAL = (40, 23, 17)  # the lengths of the examples that it is proved with: two come into one row
COUNTS = 64  # so many numbers of rows are tried: all for a batch of up to that many examples
LEAK = 1e-3  # of the size of an example's logits: what may change in them as others change. No more than what other code paths make of nothing
APART = {"fp32": 1e-3, "bf16": 0.1, "fp16": 0.1}  # and as the example stands alone, which is computed in another order

Collator = Callable[[Sequence[dict[str, Any]]], dict[str, Any]]


def rows_of(lengths: Sequence[int], limit: int) -> list[list[int]]:
    """Which examples share a row: of the ways to spread them evenly the one with the fewest positions, and of such the one with the most rows.

    Of a batch of more than `COUNTS` examples the fewest rows that can be are tried, and so many: few long rows leave the least to fill up. No row is
    longer than `limit` (0: all come into one) unless an example is. There are never more positions than with a row for each, as that is one of the
    ways.
    """
    if not limit:
        return [list(range(len(lengths)))]
    order = sorted(range(len(lengths)), key=lambda n: (-lengths[n], n))
    fewest = max(1, -(-sum(lengths) // limit))
    found: list[tuple[int, list[list[int]]]] = []
    for count in (*range(fewest, min(fewest + COUNTS, len(lengths))), len(lengths)):
        rows: list[list[int]] = [[] for _ in range(count)]
        fills = [(0, at) for at in range(count)]
        for n in order:
            fill, least = fills[0]
            rows[least].append(n)
            heapq.heapreplace(fills, (fill + lengths[n], least))
        longest = max(fills)[0]
        if longest <= limit or count == len(lengths):
            found.append((count * _filled(longest), rows))
    return min(reversed(found), key=lambda way: way[0])[1]


def _filled(length: int) -> int:
    return length + -length % WHOLE


class Packing:
    """A collator that packs while it is `on`, and is the trainer's own where it is not."""

    def __init__(self, plain: Collator, pad: int, limit: int) -> None:
        self.plain, self.pad, self.limit, self.on = plain, pad, limit, True

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return self.packed(features) if self.on else self.plain(features)

    def packed(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """The tensors of a batch. What fills a row up counts as one more example, or it would be seen by the one before."""
        import torch

        rows = rows_of([len(feature["input_ids"]) for feature in features], self.limit)
        fills = [sum(len(features[n]["input_ids"]) for n in row) for row in rows]
        shape = len(rows), _filled(max(fills))
        ids, labels, places = torch.full(shape, self.pad), torch.full(shape, -100), torch.zeros(shape, dtype=torch.long)
        for at, row in enumerate(rows):
            column = 0
            for n in row:
                end = column + len(features[n]["input_ids"])
                ids[at, column:end] = torch.tensor(features[n]["input_ids"])
                labels[at, column + 1 : end] = torch.tensor(features[n]["labels"][1:])  # nothing of its own foretells an example's first token
                places[at, column:end] = torch.arange(end - column)
                column = end
            places[at, column:] = torch.arange(shape[1] - column)
        return {"input_ids": ids, "labels": labels, "position_ids": places}


def pack(trainer: Any, options: Train, folder: Path) -> None:
    """Let a trainer of whole examples pack its batches, where that is chosen; those that are only measured too, whose loss is a mean over batches."""
    (folder / REFUSED).unlink(missing_ok=True)
    attention = trainer.model.config._attn_implementation
    if not packs(options, attention):
        return
    limit = 0 if attention == FLASH else options.max_length
    trainer.data_collator = Packing(trainer.data_collator, trainer.processing_class.pad_token_id, limit)
    trainer.add_callback(_proving(trainer, trainer.data_collator, options, folder))


def _proving(trainer: Any, packing: Packing, options: Train, folder: Path) -> Any:
    """The callback that proves it where the network stands as it is trained: on its device, split or not."""
    from transformers import TrainerCallback

    def verdict(seen: str) -> None:
        if seen and options.packing == "on":
            raise ModelError(f"train.packing = on: {seen} Set train.packing=off.")
        if seen:
            write_json(folder / REFUSED, {"why": f"examples do not share rows: {seen}"})

    class Prove(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            seen = leaks(trainer, packing)
            # All must do the same. Whether numbers are equal may be another answer on another device: that of the first counts.
            packing.on = not ranks.first(lambda: seen)
            ranks.first(lambda: verdict(seen))

    return Prove()


def given_up(folder: Path) -> str:
    """Why packing, which was chosen, was given up; "" where it was not. Takes the note away: it is no part of the model, whose fingerprint is of all
    that lies in its folder."""
    path = folder / REFUSED
    if not path.is_file():
        return ""
    why = str(json.loads(path.read_bytes())["why"])
    path.unlink()
    return why


def leaks(trainer: Any, packing: Packing) -> str:
    """What is wrong with packed examples in this network, as a sentence; "" where each has its logits alone, whatever stands beside it."""
    import torch

    network, arithmetic = trainer.model, "bf16" if trainer.args.bf16 else "fp16" if trainer.args.fp16 else "fp32"
    draw = rng(trainer.args.seed, "packing")
    size = network.get_input_embeddings().num_embeddings

    def example(length: int) -> dict[str, Any]:
        ids = [draw.randrange(size) for _ in range(length)]
        return {"input_ids": ids, "labels": ids}

    def read(examples: Sequence[dict[str, Any]]) -> list[torch.Tensor]:
        batch = {name: value.to(trainer.args.device) for name, value in packing.packed(examples).items() if name != "labels"}
        with trainer.accelerator.autocast():
            logits = network(**batch, use_cache=False).logits.float()
        rows = rows_of([len(e["input_ids"]) for e in examples], packing.limit)
        starts = {n: (at, sum(len(examples[k]["input_ids"]) for k in row[: row.index(n)])) for at, row in enumerate(rows) for n in row}
        return [logits[at, start : start + len(examples[n]["input_ids"])] for n, (at, start) in sorted(starts.items())]

    def alone(one: dict[str, Any]) -> torch.Tensor:
        with trainer.accelerator.autocast():
            return network(input_ids=torch.tensor([one["input_ids"]], device=trainer.args.device), use_cache=False).logits[0].float()

    def apart(a: torch.Tensor, b: torch.Tensor) -> float:
        return ((a - b).norm() / b.norm()).item()

    gpu = [torch.cuda.current_device()] if trainer.args.device.type == "cuda" else []
    seeing, moved = [], []
    with torch.no_grad(), torch.random.fork_rng(gpu), _as_trained(network):
        examples = [example(length) for length in TRIAL]
        together = read(examples)
        for n, one in enumerate(examples):  # to the end, whatever is found: processes that share the network read together
            changed = read([kept if k == n else example(TRIAL[k]) for k, kept in enumerate(examples)])[n]
            seeing.append(apart(changed, together[n]))
            moved.append(apart(together[n], alone(one)))
    if not all(value <= LEAK for value in seeing):
        return "in this network, with this attention, examples in one row see each other."
    if not all(value <= APART[arithmetic] for value in moved):
        return "in this network, with this attention, an example in a packed row is read otherwise than alone."
    return ""


@contextmanager
def _as_trained(network: Any) -> Iterator[None]:
    """The network as in a training step, but without dropout, under which nothing equals anything."""
    import torch

    was = network.training
    network.train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout) or getattr(module, "attention_dropout", 0):
            module.training = False
    try:
        yield
    finally:
        network.train(was)
