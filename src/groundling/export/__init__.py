"""Records to a data set that other tools load: the rows of one target, a file for each side of the split, and a card.

A target is a file in `targets/`. It says how a record becomes a row, never how a prompt reads: prompts and replies are rendered by
`grounding.FORMATS` alone. Records are read, rendered and written one by one; nothing here holds a data set in memory.

What a target has: `FEATURES`, its columns, see features.py (`PAIR_FEATURES` where it also, or only, holds preference pairs);
`row(record, number, form)`, None for a record that it cannot hold; and, where it needs them, `SUFFIX`, `check(form)` and
`further(order, splits)`, the files that it writes beside the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import __version__, grounding, registry
from ..errors import ConfigError, InputError
from ..records import Example, Pair
from ..workspace import write_atomic, write_json
from .base import Counts, Order, Told, Training
from .card import card
from .files import sink
from .whole import RECORD, replacing


def checked(order: Order) -> tuple[ModuleType, Mapping[str, Any]]:
    """The target's module and its columns, before anything is written. Raises ConfigError where target, format and records do not go together."""
    module = registry.load("export", order.target.replace("-", "_"))
    if order.format not in grounding.FORMATS:
        raise ConfigError(f'There is no format "{order.format}".{registry.nearest(order.format, sorted(grounding.FORMATS))}')
    if order.split not in ("", "train", "held_out"):
        raise ConfigError(f'--split {order.split}: it is "train" or "held_out"; without it, both are written.')
    features = getattr(module, "PAIR_FEATURES" if order.kind is Pair else "FEATURES", None)
    if features is None:
        there, fitting = ("preference pairs", "trl-preference") if order.kind is Pair else ("examples, not preference pairs", "trl")
        raise ConfigError(f"--to {order.target} cannot hold what is there: {there}. Use --to {fitting}, jsonl or parquet.")
    if hasattr(module, "check"):
        module.check(grounding.FORMATS[order.format])
    return module, features


def write(order: Order, records: Iterable[Example | Pair], tell: Callable[[Counts], Told]) -> dict[str, Any]:
    """Write the data set into `order.out`, whole or not at all, and return its record. `tell` gives the card what the run knows.

    Raises InputError where no record is on the wanted side, ConfigError for a folder that holds other things.
    """
    module, features = checked(order)
    with replacing(order.out) as new:
        counts = _rows(order, module, features, records, new)
        splits = {split: f"{split}.{_suffix(module)}" for split in ("train", "held_out") if counts.rows[split]}
        for name, data in module.further(order, splits).items() if hasattr(module, "further") else ():
            write_atomic(new / name, data)
        write_atomic(new / "README.md", card(order, counts, features, splits, tell(counts)).encode())
        record = {
            "groundling_export": 1, "target": order.target, "format": grounding.fingerprint(order.format), "rows": dict(counts.rows),
            "other_split": dict(counts.other), "unheld": counts.unheld, "supports": dict(sorted(counts.supports.items())),
            "files": sorted(p.name for p in new.iterdir()), "version": __version__,
        }  # fmt: skip
        write_json(new / RECORD, record)
    return record


def _suffix(module: ModuleType) -> str:
    return getattr(module, "SUFFIX", "jsonl")


def _rows(order: Order, module: ModuleType, features: Mapping[str, Any], records: Iterable[Example | Pair], folder: Path) -> Counts:
    """Every record as a row in the file of its side."""
    form, counts, sinks = grounding.FORMATS[order.format], Counts(), {}
    with ExitStack() as stack:
        for record in records:
            split = record.split
            if order.split and split != order.split:
                counts.other[split] += 1
                continue
            made = module.row(record, counts.rows.total(), form)
            if made is None:
                counts.unheld += 1
                continue
            if split not in sinks:
                sinks[split] = stack.enter_context(sink(folder / f"{split}.{_suffix(module)}", features))
            sinks[split](made)
            counts.add(record, split)
    if not counts.rows:
        there = ", ".join(f"{n} of {split}" for split, n in counts.other.items()) or f"{counts.unheld or 'no'} dialogues, which it cannot hold"
        raise InputError(f"There is nothing to export{f' of --split {order.split}' if order.split else ''}: there is {there}.")
    return counts


__all__ = ["Counts", "Order", "Told", "Training", "checked", "write"]
