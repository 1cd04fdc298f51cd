"""A run's folder held by one process at a time; and what a start that came to nothing made is taken away again, as long as it is held."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .errors import MachineError

LOCK = ".lock"
_TRIES = 100
# What a start writes before any stage has done anything. Beside anything else, such as paid replies or what failed, all of it stays.
_BEGUN = {LOCK, "config.yaml", "run.json", ".begun", "dropped.jsonl", ".data.jsonl.tmp", ".dropped.jsonl.tmp", ".failed.jsonl.tmp"}


@contextmanager
def held(root: Path, else_do: str) -> Iterator[None]:
    """Keep a second run off this folder. Released by the system when the process ends, however it ends.

    A folder that was made here, and in which nothing came about before an error, is taken away. Raises MachineError where another holds it.
    """
    made = [folder for folder in (root, *root.parents) if not folder.exists()]
    with _taken(root, else_do):
        try:
            yield
        except BaseException:
            if root in made:
                _take_away(root, made)
            raise


def _taken(root: Path, else_do: str) -> IO[str]:
    """The lock's file, locked. One that was taken away while it was waited for is not the folder's any more: the next is."""
    for _ in range(_TRIES):
        try:
            root.mkdir(parents=True, exist_ok=True)
            handle = (root / LOCK).open("w")
        except FileNotFoundError:  # taken away in between
            continue
        except OSError as error:
            wish = else_do[0].upper() + else_do[1:]
            raise MachineError(f"{root} could not be made or written to ({error.strerror}). {wish}.") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            handle.close()
            raise MachineError(f"Another groundling run is at work in {root}. Wait for it, or {else_do}.") from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle.fileno()), (root / LOCK).stat()):
                return handle
        handle.close()
    raise MachineError(f"{root} is taken away by others as soon as it is made. {else_do[0].upper() + else_do[1:]}.")


def _take_away(root: Path, made: list[Path]) -> None:
    """The folder and those made around it, where it holds nothing but a beginning. The lock goes last: till then nobody else is in."""
    files = [path for path in root.rglob("*") if not path.is_dir()]
    if any(path.name not in _BEGUN for path in files):
        return
    with suppress(OSError):
        for path in root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
        (root / LOCK).unlink()
        for folder in made:  # one that somebody else has put something into stays
            folder.rmdir()
