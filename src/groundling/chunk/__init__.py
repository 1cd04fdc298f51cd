"""Document → Chunk. A chunk is an exact span of its document, named after the document and the headings above it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable

from .. import config, registry
from ..errors import InputError
from ..records import Chunk, Document
from ..seeds import digest
from ..workspace import Output

LINE = re.compile(r"^ {0,3}(?:(#{1,6})[ \t]+(\S.*?)[ \t]*#*|(`{3,}|~{3,}).*)$", re.MULTILINE)
MARKUP = re.compile(r"[*`]|!?\[([^\]]*)\]\([^)]*\)")


def chunk(documents: Iterable[Document], options: config.Chunk, out: Output) -> None:
    """Split each document into `out`.

    Raises ConfigError where overlap and size do not fit, InputError where no document gives a chunk of at least `minimum` characters.
    """
    split = registry.load("splitter", options.splitter).split
    n = 0
    for document in documents:
        n += 1
        _one(document, split(document.text, options.size, options.overlap), options.minimum, out)
    if not out.kept:
        raise InputError(
            f"None of the {n} documents gave a chunk: each piece has fewer than chunk.minimum = {options.minimum} characters, blanks not counted. "
            "Lower it, or give documents with more text."
        )


def _one(document: Document, spans: list[tuple[int, int]], minimum: int, out: Output) -> None:
    places, paths = headings(document.text)
    seen = Counter[str]()
    for start, end in spans:
        text = document.text[start:end]
        if len("".join(text.split())) < minimum:
            out.drop("shorter than minimum", {"document": document.id, "path": document.path, "start": start, "end": end, "text": text})
            continue
        # The occurrence tells equal passages of a document apart; places in the text do not enter, so that an edit elsewhere keeps ids.
        chunk_id = digest(document.id, text, seen[text])
        seen[text] += 1
        above = paths[bisect_right(places, start) - 1] if bisect_right(places, start) else ()
        out.keep(Chunk(id=chunk_id, document=document.id, path=document.path, title=_title(document.title, above), text=text,
                       start=start, end=end, page=bisect_right(document.pages, start) or None))  # fmt: skip


def headings(text: str) -> tuple[list[int], list[tuple[str, ...]]]:
    """(offsets of the Markdown headings, the path of headings in force from each on). Lines in code blocks are none."""
    places: list[int] = []
    paths: list[tuple[str, ...]] = []
    stack: list[tuple[int, str]] = []
    fence = ""
    for match in LINE.finditer(text):
        if match[3]:
            if not fence:
                fence = match[3]
            elif match[3].startswith(fence):
                fence = ""
        elif not fence:
            level = len(match[1])
            stack = [s for s in stack if s[0] < level] + [(level, " ".join(MARKUP.sub(r"\1", match[2]).split()))]
            places.append(match.start())
            paths.append(tuple(name for _, name in stack))
    return places, paths


def _title(title: str, above: tuple[str, ...]) -> str:
    """The document's title and the headings below it; a heading that only repeats the title is left out."""
    return " > ".join([title, *(name for name in above if name.casefold() != title.casefold())])
