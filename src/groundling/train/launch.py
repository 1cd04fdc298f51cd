"""A training by as many processes as its settings ask for: here, in processes of its own, or with those that torchrun started.

On one machine torch's own launcher starts them, for the training alone: everything before and after it is done by the process that the user
started, which alone holds the run's lock and prints. Under torchrun the first process is that one, and the others wait in `_follow`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import errors, registry
from ..errors import ConfigError, GroundlingError, MachineError
from ..panel import View, unwatched
from . import ranks, task
from .guard import kept
from .progress import Judged
from .scoring import Job
from .several import wanted
from .trainer import FOLDER

ENDING = 40  # seconds that the launcher has to end its processes


def run(objective: Any, job: Job) -> list[dict[str, float]]:
    """Train, or go on from the last whole checkpoint, by one process or several. Returns the log of losses."""
    count = wanted(job.options)
    if count == 1:
        return objective.run(*job)
    if isinstance(job.watch, Judged):
        raise ConfigError("A search tries its settings with one process: set train.devices=1, and another train.size than multi.")
    folder = task.write(job)
    if ranks.size() > 1:
        log = _together(objective, job, folder)
    else:
        log = _started(job, folder, count)
    shutil.rmtree(folder)
    return log


def _together(objective: Any, job: Job, folder: Path) -> list[dict[str, float]]:
    ranks.share([str(folder)])
    _seen_by_all(folder)
    return objective.run(*job)


def _seen_by_all(folder: Path) -> None:
    """Raise MachineError where a machine does not see the run folder: checkpoints are written by all."""
    import torch.distributed as dist

    seen: list[bool] = [True] * ranks.size()
    dist.all_gather_object(seen, (folder / "job.json").is_file())
    if not all(seen):
        raise MachineError(f"Process {seen.index(False)} of {ranks.size()} does not see {folder}. Put the run on a disk that all machines share.")


@contextmanager
def led(command: str) -> Iterator[bool]:
    """Whether this process does the command itself; the others have taken part in its trainings by then. Raises ConfigError under torchrun where the
    command is more than training."""
    if ranks.size() == 1:
        yield True
        return
    if command != "train":
        if ranks.rank():
            sys.exit(ConfigError.exit_code)  # the first says it
        raise ConfigError("torchrun is for `groundling train` alone: its processes would wait for each other through everything else.")
    with ranks.joined():
        if ranks.rank():
            _follow()
        yield ranks.rank() == 0
        if ranks.rank() == 0:
            ranks.share([None])  # nothing more comes


def _follow() -> None:
    """Take part in the first process's trainings until it has no more. A sentence that it says too is left to it."""
    from ..llm.local import need_torch

    need_torch()
    told: list[Any] = [None]
    while ranks.share(told) or told[0] is not None:
        folder = Path(told[0])
        try:
            _seen_by_all(folder)
            job = task.read(folder, unwatched)
            registry.load("objective", job.options.objective).run(*job)
        except GroundlingError as error:
            if ranks.said_by_first(error):
                sys.exit(error.exit_code)
            raise


def _started(job: Job, folder: Path, count: int) -> list[dict[str, float]]:
    """Start the processes, show how far they are, and read what they tell."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}", "-m", "groundling.train.worker"]
    threads = str(max(1, len(os.sched_getaffinity(0)) // count if hasattr(os, "sched_getaffinity") else 1))
    with (folder / task.SAID).open("wb") as said:
        launcher = subprocess.Popen(
            [*command, str(folder)], stdin=subprocess.PIPE, stdout=said, stderr=said, start_new_session=True,
            env={"OMP_NUM_THREADS": threads} | os.environ,
        )  # fmt: skip
    try:
        with job.watch(lambda: _view(folder, count)):
            launcher.wait()
    finally:
        _stop(launcher)
    if launcher.returncode:
        raise _why(job, folder, count)
    return json.loads((folder / task.LOG).read_bytes())


def _view(folder: Path, count: int) -> View:
    """What the first process last told."""
    path = folder / task.VIEW
    if not path.is_file():
        return View("train", "steps", 0, 0, notice=f"{count} processes are starting")
    return View(**json.loads(path.read_bytes()))


def _stop(launcher: subprocess.Popen[bytes]) -> None:
    """End what is still there: the processes end with their input, whose other side is here."""
    if launcher.stdin:
        launcher.stdin.close()
    if launcher.poll() is None:
        launcher.terminate()
        try:
            launcher.wait(ENDING)
        except subprocess.TimeoutExpired:
            launcher.kill()
            launcher.wait()


def _why(job: Job, folder: Path, count: int) -> Exception:
    """The sentence of the process that had one; else which of them was ended from outside; else our own fault, with what was said."""
    checkpoints = job.folder / FOLDER
    for path in sorted(folder.glob(task.FAILED.format("*"))):
        told = json.loads(path.read_bytes())
        return getattr(errors, told["kind"])(told["text"])
    said = (folder / task.SAID).read_text("utf-8", errors="replace")
    ends = {int(n): int(code) for n, code in re.findall(r"rank\s*: (\d+) \(.*\n\s*exitcode\s*: (-?\d+)", said)}
    # Those whose partner went end by themselves (1), or are ended by the launcher with signal 15.
    killed = [n for n, code in ends.items() if code < 0 and code != -15]
    if killed:
        return MachineError(
            f"Process {killed[0] + 1} of {count} of this training was ended from outside (signal {-ends[killed[0]]}; often the machine has too "
            f"little memory). {kept(checkpoints)} The same command goes on from there."
        )
    return RuntimeError(f"A process of this training failed:\n{said[-8000:]}")
