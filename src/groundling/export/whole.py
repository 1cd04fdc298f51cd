"""A folder that is there whole or not at all: written beside its place and moved there at the end. Another's folder is never touched."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import ConfigError, MachineError

_ABOUT_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
RECORD = "export.json"  # written last: its presence means complete


@contextmanager
def replacing(out: Path, what: str = "data set") -> Iterator[Path]:
    """A new folder to write into. It takes the place of an earlier export when the body has ended well; till then the earlier one stays.

    Raises ConfigError where `out` holds what is no export's, MachineError where it cannot be written.
    """
    refuse_foreign(out, what)
    out = out.resolve()
    new, old = (out.with_name(f".{out.name}.{end}") for end in ("new", "old"))
    try:
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        yield new
        _settle(new)
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        new.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if error.errno not in _ABOUT_THE_DISK:
            raise
        raise MachineError(f"{out} could not be written ({error.strerror}). Free some space or give another --out, and export again.") from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _settle(folder: Path) -> None:
    """Wait until every file is really on the disk."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())


def refuse_foreign(out: Path, what: str = "data set") -> None:
    """An earlier export is replaced; a folder with anything else (a model trained from it, say) is left alone."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file. Give a folder for the {what}.")
    found = {p.name for p in out.iterdir()} if out.is_dir() else set()
    try:
        own = {RECORD, *json.loads((out / RECORD).read_bytes())["files"]} if RECORD in found else set()
    except (ValueError, KeyError, TypeError):
        own = set()
    if other := sorted(found - own):
        raise ConfigError(f"--out {out} holds other files than an earlier export ({', '.join(other[:3])}). They are left alone: give a new folder.")
