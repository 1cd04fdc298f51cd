"""The one dial, `train.size`: method, batch and length that fit a machine, for the base at hand; and the refusal of what cannot fit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from ..config import Train
from ..errors import MachineError, TooLarge
from ..llm.weights import Weights
from . import kernels
from .model import computing
from .options import needs_of
from .ranks import parts
from .several import count
from .sizing import TRAINED_SHARE, Estimate, Shape, divided, estimate, kind_of, shape
from .trainer import WHOLE


class Machine(NamedTuple):
    """What a size stands for: where it computes, bytes that a process may use, what is tried, the best first, and its processes."""

    device: str
    room: float
    methods: tuple[str, ...]
    lengths: tuple[int, ...]
    processes: int = 1


class Work(NamedTuple):
    """The largest batch: the tokens of its longest row, its rows, and the share of positions that is trained.

    `conversation` is the longest that the network sees at once; 0: a row. Where several replies are one row, that is longer.
    """

    longest: int
    rows: int
    share: float
    conversation: int = 0


# A tenth of the memory is left to others; a laptop's 16 GB are shared with all that runs there.
MACHINES = {
    "laptop": Machine("cpu", 8e9, ("lora", "qlora"), (2048, 1024, 512)),
    "8gb": Machine("cuda", 0.9 * 8e9, ("lora", "qlora"), (2048, 1024, 512)),
    "24gb": Machine("cuda", 0.9 * 24e9, ("lora", "qlora"), (4096, 2048, 1024)),
    "80gb": Machine("cuda", 0.9 * 80e9, ("full", "lora", "qlora"), (8192, 4096, 2048)),
    "multi": Machine("cuda", 0.9 * 80e9, ("full", "lora"), (8192, 4096, 2048), processes=8),
}
_BATCHES = (8, 4, 2, 1)


def settle(options: Train, base: Weights) -> tuple[Train, list[str]]:
    """The settings with what `size` chooses, and the lines that tell it. Raises MachineError where nothing fits, or the base is not known."""
    if not options.size:
        return options, []
    found = shape(base)
    if found is None:
        raise MachineError(
            f"train.size = {options.size} needs the configuration of {options.base}, which is not on this machine yet or is of a kind that is not "
            "known. Set train.method, train.batch and train.max_length by hand, or fetch the model first."
        )
    machine = MACHINES[options.size]
    settled = next(_that_fit(options, found, machine, options.sized()), None)
    if settled is None:
        least = next(_that_fit(options, found, machine, {*_ALL}), None)
        raise TooLarge(
            f"{options.base} does not fit into train.size = {options.size} with these settings: {_told(options, found, machine).told()} of "
            f"{machine.room / 1e9:.3g} GB. {_would(least)}"
        )
    chose = ", ".join(f"{name} {getattr(settled, name)}" for name in _ALL if name in options.sized())
    kept = ", ".join(f"{name} {getattr(settled, name)}" for name in _ALL if name not in options.sized())
    told = f"  size {options.size} chose: {chose or 'nothing'}" + (f"; by hand or preset: {kept}" if kept else "")
    return settled, [told, f"  memory at most {_told(settled, found, machine).told()} of {machine.room / 1e9:.3g} GB"]


def settled(options: Train, base: Weights) -> tuple[Train, list[str]]:
    """The same for a training that is about to begin, with a line on how it computes; none where the base's configuration is not here yet."""
    options, lines = settle(options, base)
    return options, lines + (kernels.told(options, computing(options, base)) if kind_of(base) else [])


_ALL = ("method", "batch", "accumulate", "checkpointing", "max_length")


def _that_fit(options: Train, found: Shape, machine: Machine, free: set[str]) -> Iterator[Train]:
    """The settings that fit, the best first: the longest examples, then the method, then speed. Only what is in `free` is changed."""
    for changes in _tries(options, found, machine, free):
        tried = options.model_copy(update=changes)
        if _told(tried, found, machine).total <= machine.room:
            yield tried


def _tries(options: Train, found: Shape, machine: Machine, free: set[str]) -> Iterator[dict[str, Any]]:
    step = options.batch * options.accumulate
    lengths = tuple(n for n in machine.lengths if n <= found.positions) or (found.positions,)
    ways = [(False, n) for n in _BATCHES if n > 1] + [(True, n) for n in _BATCHES] + [(False, 1)]
    for length in lengths if "max_length" in free else (options.max_length,):
        for method in machine.methods if "method" in free else (options.method,):
            for checkpointing, batch in ways:
                if "checkpointing" not in free and checkpointing != options.checkpointing:
                    continue
                if "batch" not in free:
                    batch = options.batch
                if "accumulate" not in free and batch != options.batch:
                    continue
                if step % batch == 0:
                    rest = step // batch if "accumulate" in free else options.accumulate
                    yield {"method": method, "max_length": length, "checkpointing": checkpointing, "batch": batch, "accumulate": rest}


def _told(options: Train, found: Shape, machine: Machine) -> Estimate:
    return _need(options, found, machine, Work(options.max_length, options.batch * needs_of(options).replies, TRAINED_SHARE))


def _need(options: Train, found: Shape, machine: Machine, work: Work) -> Estimate:
    """What one process needs. Rows are filled up to a multiple of `WHOLE`, with what is not trained."""
    rows = min(work.rows, parts(options, machine.processes)[0]) if machine.processes > 1 else work.rows
    filled = work.longest + -work.longest % WHOLE
    whole = estimate(found, options, machine.device, rows * filled, work.share * work.longest / filled, filled)
    return divided(whole, found, options, machine.processes)


def _would(least: Train | None) -> str:
    if least is None:
        return "No settings would make it fit. Take a smaller base, or a larger machine."
    return "This would fit: " + " ".join(f"--set train.{name}={str(getattr(least, name)).lower()}" for name in _ALL) + "."


def within(options: Train, base: Weights) -> tuple[Train, str]:
    """The settings with no longer examples than the base reads, where nobody set their length by hand; and a sentence if that was lowered."""
    found = shape(base)
    if found is None or options.max_length <= found.positions or "max_length" not in options.chosen():
        return options, ""
    said = f"{options.base} reads {found.positions} tokens at most: longer examples are left out, though train.max_length is {options.max_length}"
    return options.model_copy(update={"max_length": found.positions}), said


def here(options: Train) -> Machine:
    """This machine, for these settings: its GPU's memory, or what the system (or its container) has, which processes share."""
    from ..llm.local import device

    processes = count(options)
    methods = ("lora", "qlora") if processes == 1 else ("lora",)
    if device() == "cuda":
        import torch

        return Machine("cuda", float(torch.cuda.get_device_properties(0).total_memory), methods, (4096, 2048, 1024, 512), processes)
    return Machine("cpu", memory_limit() / processes, methods, (2048, 1024, 512), processes)


def memory_limit(limits: tuple[str, ...] = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")) -> float:
    """Bytes of memory that this process may have: the machine's, or less in a container."""
    found = [float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))]
    for path in limits:
        text = Path(path).read_text().strip() if Path(path).is_file() else "max"
        found += [float(text)] if text.isdigit() else []
    return min(found)


def fits(options: Train, base: Weights, work: Work) -> tuple[bool, str]:
    """Whether a step fits this machine, and a sentence with the estimate. True where nothing is known of the base's shape."""
    found, machine, options = shape(base), here(options), _as_here(options, base)
    if found is None:
        return True, f"no memory estimate: the configuration of {options.base} is not on this machine yet, or is of a kind that is not known"
    need = _need(options, found, machine, work)
    said = f"{need.told()} of {machine.room / 1e9:.3g} GB"
    if need.total <= machine.room:
        return True, said
    as_long = options.model_copy(update={"max_length": work.conversation or work.longest})
    least = next(_that_fit(as_long, found, machine, {*_ALL} - {"max_length"}), None)
    least = least or next(_that_fit(options, found, machine, {*_ALL}), None)
    return False, f"{said}. {_would(least)}"


def _as_here(options: Train, base: Weights) -> Train:
    """The settings with the attention that packed rows meet on this machine: with some a mask is kept for them, with others nothing."""
    if options.packing == "on" and options.attention == "auto":
        with suppress(MachineError):  # a precision that this machine does not have, which is said elsewhere
            return options.model_copy(update={"attention": computing(options, base).attention or "auto"})
    return options


def at_most(options: Train, base: Weights) -> tuple[Train, list[str]]:
    """For a plan: the settings, and lines with the memory where every example is as long as `max_length` allows. Does not refuse."""
    try:
        settled, told = settle(options, base)
    except MachineError as error:
        return options, [str(error)]
    settled, limit = within(settled, base)
    told += [limit] if limit else []
    if options.size or find_spec("torch") is None:
        return settled, [line.strip() for line in told]
    good, said = fits(settled, base, Work(settled.max_length, settled.batch * needs_of(settled).replies, TRAINED_SHARE))
    return settled, [*told, f"memory {'at most ' if good else 'may not suffice: '}{said}" if said.startswith("about") else said]


def refuse_too_large(options: Train, base: Weights, work: Work) -> str:
    """The sentence with the estimate. Raises MachineError where the training cannot fit."""
    good, said = fits(options, base, work)
    if not good:
        raise TooLarge(f"This training does not fit into the memory of this machine: {said}")
    return said
