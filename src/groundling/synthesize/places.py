"""Where passages stand: the chunks of a run by the names of their documents and by what they say, worked out once for all questions of a file.

White space does not count: the lines of a document are broken where its writer's page ended, those of a question's passage elsewhere. In Chinese and
Japanese a line break is not even a space.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import accumulate

from ..answer import find
from ..llm.sentences import sentences
from ..misnamed import Names
from ..records import Chunk, Document

_CJK = "\u3001-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
_BETWEEN = re.compile(rf"(?<=[{_CJK}])(?=[{_CJK}])")
_GAP = re.compile(rf"(?<=[{_CJK}]) (?=[{_CJK}])")
_MARKED = re.compile(r"[-*+•–#>|]|\d+[.)]\s")  # what a line of its own begins with: of a list, a table, a heading
_WRAPPED = 40  # characters of a line that is likely to end where the page ended rather than where a sentence did
_SLIPS = 100  # names that are no document's for which a near one is looked for: each is held against all names there are


def even(text: str) -> str:
    """A text with its white space made even."""
    return _GAP.sub("", " ".join(text.split()))


def span(passage: str, text: str) -> tuple[int, int] | None:
    """Where a passage stands in a text: exactly, or with other white space. None where it does not."""
    if found := find(passage, text):
        return found
    if not _BETWEEN.search(passage):
        return None
    words = even(passage).split()
    match = re.search(r"\s+".join(r"\s*".join(map(re.escape, _BETWEEN.split(word))) for word in words), text)
    return match.span() if match else None


def unbroken(text: str) -> str:
    """A text without the line breaks within its sentences. Lines of lists and tables, headings and short lines stay lines."""
    lines = [line.strip() for line in text.strip().splitlines()]
    found = lines[0] if lines else ""
    for before, line in zip(lines, lines[1:]):
        alone = not before or not line or _MARKED.match(line) or before.startswith(("#", "|"))
        runs_on = not alone and (line[0].islower() or len(before) >= _WRAPPED)
        found += (" " if runs_on else "\n") + line
    return found


def said(passage: str) -> list[str]:
    """The sentences of a passage, wherever its lines are broken."""
    return sentences(unbroken(passage))


class Places:
    """Chunks in the order of their documents' paths. `documents` gives the whole texts, asked for only where no chunk holds a passage."""

    def __init__(self, chunks: Iterable[Chunk], documents: Callable[[], Iterable[Document]] = tuple) -> None:
        self.chunks = sorted(chunks, key=lambda c: (c.path, c.start, c.id))
        self._documents = documents
        self._texts = [even(c.text) for c in self.chunks]
        self._paths: dict[str, list[int]] = {}
        self._others: dict[str, dict[int, None]] = {}  # by ends of paths and by ids
        for n, chunk in enumerate(self.chunks):
            self._paths.setdefault(chunk.path, []).append(n)
        for path, numbers in self._paths.items():
            parts = path.split("/")
            names = {"/".join(parts[at:]) for at in range(1, len(parts))} | {self.chunks[n].document for n in numbers}
            for name in names:
                self._others.setdefault(name, {}).update(dict.fromkeys(numbers))
        self._meant: dict[str, str] = {}

    def of(self, name: str) -> list[Chunk]:
        """The chunks of the document that is named, as the evaluation reads the name: by path, else by the end of the path, or by its id."""
        return [self.chunks[n] for n in self._of(name)]

    def _of(self, name: str) -> Sequence[int]:
        name = name.strip().removeprefix("./")
        return self._paths.get(name) or list(self._others.get(name, ()))

    def holding(self, passage: str, name: str = "") -> tuple[Chunk, tuple[int, int]] | None:
        """The first chunk that holds a passage whole, of the document that is named or of any, and where in its text it stands."""
        wanted = even(passage)
        if name:
            number = next((n for n in self._of(name) if wanted in self._texts[n]), None)
        else:
            at = self._whole.find(wanted)
            number = None if at < 0 else bisect_right(self._starts, at) - 1
        if number is None or (place := span(passage, self.chunks[number].text)) is None:
            return None
        return self.chunks[number], place

    def whole(self, passage: str, name: str = "") -> bool:
        """Whether a passage stands in a document, the one that is named or any, be it cut by chunking."""
        wanted, named = even(passage), {c.document for c in self.of(name)}
        return any(wanted in text for document, text in self._even_documents.items() if not name or document in named)

    def meant(self, name: str) -> str:
        """`Did you mean "x"?` for a name that is no document's; empty where none is near."""
        if name not in self._meant and len(self._meant) < _SLIPS:
            self._meant[name] = self._names.nearest(name).strip()
        return self._meant.get(name, "")

    @cached_property
    def _whole(self) -> str:
        return "\0".join(self._texts)

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((len(text) + 1 for text in self._texts[:-1]), initial=0))

    @cached_property
    def _even_documents(self) -> dict[str, str]:
        return {d.id: even(d.text) for d in self._documents()}

    @cached_property
    def _names(self) -> Names:
        return Names(list(self._paths))
