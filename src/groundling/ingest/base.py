"""What a loader and the ingest stage agree on: a `Loaded` per document, `Unreadable` with a reason where a file gives none.

A loader is a file in `loaders/` with `EXTENSIONS: tuple[str, ...]` (lower case, with the dot) and `load(path) -> Iterator[Loaded]`.
Its text has passed `clean`; the stage adds id and path.
"""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError


class Loaded(NamedTuple):
    """One document as a loader hands it over. `pages`: character offset in `text` at which each page starts; empty without pages."""

    title: str
    text: str
    pages: tuple[int, ...] = ()


class Unreadable(InputError):
    """A file that gives no document. `reason` is short and constant (it is counted), the text is a sentence for its reader."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def clean(text: str) -> str:
    """Line ends as \\n, Unicode in NFC, no byte order mark; nothing else changes."""
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def pretty(path: Path) -> str:
    """A file's name as a title: `travel_policy-2026.txt` → `Travel policy 2026`. Dashes between digits (dates) stay."""
    stem = path.stem.encode("utf-8", "replace").decode()
    words = re.sub(r"_+|(?<!\d)-|-(?!\d)", " ", unicodedata.normalize("NFC", stem)).split()
    title = " ".join(words) or stem
    return title[:1].upper() + title[1:]


def one_line(text: str) -> str:
    """Text with all white space as single spaces: for titles and table cells."""
    return " ".join(text.split())


def table(rows: list[list[str]]) -> str:
    """Rows of cells as a Markdown table; the first row is its head. Empty rows are left out, short ones filled up."""
    lines = [[one_line(cell).replace("|", "\\|") for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if not lines:
        return ""
    width = max(len(row) for row in lines)
    drawn = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in lines]
    return "\n".join([drawn[0], "|" + "---|" * width, *drawn[1:]])
