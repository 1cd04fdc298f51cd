"""Chunks → search(). The index is a folder; what opens it is a function from a query and k to hits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import config, registry
from ..errors import InputError
from ..records import Chunk

if TYPE_CHECKING:
    from ..answer import Search


def build(chunks: Sequence[Chunk], options: config.Index, folder: Path) -> dict[str, Any]:
    """Write the index of the chunks into `folder`; what the retriever notes for the record. Raises InputError where there are none."""
    if not chunks:
        raise InputError(f"There are no chunks to index in {folder}. Run the chunk stage on documents that hold text.")
    return registry.load("retriever", options.retriever).build(chunks, folder, options) or {}


def open_index(chunks: Sequence[Chunk], options: config.Index, folder: Path) -> Search:
    """The search over the index in `folder`: `search(query, k)` gives up to k hits, best first; none for a query without a known word.

    Where there are no chunks (the recipe reads no documents) there is nothing to be found. Raises InputError where the index is missing,
    damaged, or made of other chunks.
    """
    if not chunks:
        return lambda query, k: []
    return registry.load("retriever", options.retriever).open(chunks, folder, options)
