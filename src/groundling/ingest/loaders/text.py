"""Plain text, as it is; the title is made of the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..base import Loaded, clean, pretty
from ..decode import read_text

EXTENSIONS = (".txt", ".text", ".log", ".rst")


def load(path: Path) -> Iterator[Loaded]:
    """One document. Raises Unreadable for an empty file or binary data."""
    yield Loaded(pretty(path), clean(read_text(path)))
