"""The order of the examples: like lengths together, drawn anew each epoch, and the same whether or not training was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..seeds import rng


def keep_order(trainer: Any) -> None:
    """Put a sampler of ours in the place of transformers', which draws from the generator of the whole process.

    After a resume in the midst of an epoch that generator stands elsewhere: some examples would be seen twice and others not at all.
    """
    args = trainer.args
    if str(getattr(args.train_sampling_strategy, "value", args.train_sampling_strategy)) != "group_by_length":
        return
    order = ordered(trainer, args.train_batch_size * args.gradient_accumulation_steps)
    trainer._get_train_sampler = lambda *_: order


def ordered(trainer: Any, step: int) -> Any:
    """The sampler itself; `step` is how many examples all processes together see in a step."""
    import torch
    from transformers.trainer_pt_utils import get_length_grouped_indices

    args, data = trainer.args, trainer.train_dataset
    told = "length" in getattr(data, "column_names", ())
    lengths = list(data["length"]) if told else [len(data[n]["input_ids"]) for n in range(len(data))]

    class Order(torch.utils.data.Sampler[int]):
        def __len__(self) -> int:
            return len(lengths)

        def __iter__(self) -> Iterator[int]:
            epoch = int((trainer.state.epoch or 0) + 1e-6)
            generator = torch.Generator()
            generator.manual_seed(rng(args.seed, "order", epoch).getrandbits(63))
            return iter(get_length_grouped_indices(lengths, step, generator=generator))

    return Order()
