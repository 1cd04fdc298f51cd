"""The identity of a folder of documents: which files would be read, and what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from ..config import Ingest
from . import extensions
from .walk import files


class _Nowhere:
    """Takes the place of an Output where only the list of files is wanted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def drop(self, reason: str, what: object) -> None: ...

    def fail(self, reason: str, what: object, detail: str = "") -> None: ...


def _pieces(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as handle:
            while piece := handle.read(1 << 20):
                yield piece
    except OSError as error:
        yield f"unreadable {error.errno}".encode()  # ingest counts it as failed; it must not hide a later repair


def census(root: Path, options: Ingest, run: Path) -> str:
    """16 hex digits over the names and contents of the files that ingest would read; `run` is the run's folder, which is left out.

    Files that no loader reads are counted by ingest and give nothing: a picture that is put beside the documents makes nothing stale.
    """
    found, known = hashlib.sha256(), extensions()
    for path, relative in files(root, options, _Nowhere(run / "-")):  # type: ignore[arg-type]
        if path.suffix.lower() not in known:
            continue
        found.update(relative.encode() + b"\0")
        for piece in _pieces(path):
            found.update(piece)
        found.update(b"\0")
    return found.hexdigest()[:16]
