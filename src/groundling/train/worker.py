"""One of the processes that `launch.py` starts: `python -m groundling.train.worker FOLDER`, with a task in the folder. It ends with its parent."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from .. import registry
from ..ending import leave
from ..errors import GroundlingError
from ..llm.local import need_torch
from ..panel import View, beside, unwatched
from ..workspace import write_json
from . import ranks, task

EVERY = 0.5  # seconds between two tellings of how far it is


def main(folder: Path) -> None:
    sys.excepthook = _end
    threading.Thread(target=_until_alone, name="parent", daemon=True).start()
    need_torch()

    @contextmanager
    def publish(view: Callable[[], View]) -> Iterator[None]:
        def write() -> None:
            write_json(folder / task.VIEW, view()._asdict())

        with beside(EVERY, write):
            yield
        write()

    try:
        with ranks.joined():
            job = task.read(folder, publish if ranks.rank() == 0 else unwatched)
            log = registry.load("objective", job.options.objective).run(*job)
            if ranks.rank() == 0:
                write_json(folder / task.LOG, log)
    except GroundlingError as error:
        write_json(folder / task.FAILED.format(ranks.rank()), {"kind": type(error).__name__, "text": str(error)})
        os._exit(error.exit_code)  # the others may wait for this one: what ends them is that it is gone


def _end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A fault of ours: its traceback, and the end, without waiting for processes that wait for this one."""
    # Not to sys.stderr: torch.distributed, which calls this, collects what is written there to write it out after.
    traceback.print_exception(kind, error, trace, file=sys.__stderr__)
    if sys.__stderr__:
        sys.__stderr__.flush()
    os._exit(1)


def _until_alone() -> None:
    """End with the process that started the training, however that ended: its side of our input is closed then."""
    while os.read(0, 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    leave(0)
