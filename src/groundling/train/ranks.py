"""The processes that share one training: how many there are, what the first of them does for all, and how they find each other.

A launcher (torchrun, or `launch.py` through it) tells each of them in its environment. Without one there is one process, and nothing here acts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

from ..config import Train
from ..errors import GroundlingError, MachineError

T = TypeVar("T")
# How long a process waits for the others, at the start and in each exchange: longer than reading the examples or a large base takes, and
# shorter than a night lost to a machine that hangs.
WAIT = timedelta(minutes=30)
_TOLD = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")


def size() -> int:
    """How many processes share this training."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in _TOLD) else 1


def rank() -> int:
    """The number of this process; the first, 0, does what is to be done once."""
    return int(os.environ["RANK"]) if size() > 1 else 0


def parts(options: Train, processes: int) -> tuple[int, int]:
    """The batches of one process in a step: how many examples each has at most, and how many there are. A step's examples stay as many."""
    each = -(-options.batch * options.accumulate // processes)
    count = -(-each // options.batch)
    return -(-each // count), count


@contextmanager
def joined() -> Iterator[None]:
    """All processes connected. Raises MachineError where there is no GPU for this one, or where the others do not come."""
    if size() == 1:
        yield
        return
    import torch
    import torch.distributed as dist

    place = int(os.environ["LOCAL_RANK"])
    if torch.cuda.is_available():
        if place >= torch.cuda.device_count():
            raise MachineError(f"Process {rank()} of {size()} has no GPU: this machine has {torch.cuda.device_count()}. Start fewer.")
        torch.cuda.set_device(place)
    # gloo beside nccl: sentences and numbers travel between the machines' processors.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=WAIT)
    yield
    dist.destroy_process_group()  # not after an error: it would wait for those that wait for this process


def first(work: Callable[[], T]) -> T:
    """What `work` returns in the first process, told to all. A sentence that it raises there is raised in all, so that none waits for the others."""
    if size() == 1:
        return work()
    told: list[Any] = [None, None]
    if rank() == 0:
        try:
            told[0] = work()
        except GroundlingError as error:
            told[1] = error
    share(told)
    if told[1] is not None:
        told[1].said_by_first = True
        raise told[1]
    return cast(T, told[0])


def said_by_first(error: GroundlingError) -> bool:
    """Whether an error is raised in all processes, and so is told by the first."""
    return getattr(error, "said_by_first", False)


def share(values: list[Any]) -> None:
    """Put the first process's values in the place of everyone's."""
    import torch.distributed as dist

    dist.broadcast_object_list(values, src=0)


def wait() -> None:
    """Go on when all processes have come here."""
    if size() > 1:
        import torch.distributed as dist

        dist.barrier()
