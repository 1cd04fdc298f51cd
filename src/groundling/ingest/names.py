"""Which id a document gets: its content's hash at first sight, which it keeps when its file is renamed or its text is edited.

So what hangs on the id (its side of the split, links to its passages, whom feedback is about) survives an update of the folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..records import Document
from ..seeds import digest


def names(now: Sequence[tuple[str, str]], before: Iterable[Document]) -> list[str]:
    """The ids of documents given as (hash of the text, path), in their order, where the run's earlier documents were `before`.

    The same text keeps its id under any path; else the same path does, unless its earlier text now stands elsewhere. All ids differ.
    """
    here = {content for content, _ in now}
    by_content: dict[str, str] = {}
    edited: dict[str, list[str]] = {}
    for d in before:
        content = digest(d.text)
        if content in here:
            by_content[content] = d.id
        else:
            edited.setdefault(d.path, []).append(d.id)
    kept = [by_content.get(content) or next(iter(_taken(edited, path)), "") for content, path in now]
    used = set(kept)
    found = []
    for (content, path), name in zip(now, kept, strict=True):
        if not name:  # its hash may be the id of a document that was edited since
            name = content if content not in used else digest(content, path)
            used.add(name)
        found.append(name)
    return found


def _taken(edited: dict[str, list[str]], path: str) -> list[str]:
    """The next id that the file at this path had, taken off the list."""
    return [edited[path].pop(0)] if edited.get(path) else []
