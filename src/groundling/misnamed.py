"""Questions of a file with their lines, and those that name a document which is no file of the folder. No document is read for it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .records import Question
from .workspace import numbered_lines


class Row(NamedTuple):
    """A question and the number of its line."""

    line: int
    question: Question


def rows_of(path: Path) -> list[Row]:
    """The questions of a file. Raises InputError for a line that is none."""
    return [Row(*found) for found in numbered_lines(path, Question)]


def paths_in(root: Path) -> list[str]:
    """Every file of a folder, by its path within."""
    return sorted(f.relative_to(root).as_posix() for f in root.rglob("*") if f.is_file())


def plain(name: str) -> str:
    """The name of a document as it is looked up."""
    return name.strip().removeprefix("./")


class Names:
    """Paths, found by their ends: the last part of a path tells those that it can be."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self._by_end: dict[str, list[int]] = {}
        for n, path in enumerate(paths):
            self._by_end.setdefault(path.rpartition("/")[2], []).append(n)

    def find(self, name: str) -> list[int]:
        """The numbers of the paths that a name can mean: the path itself, else those that end so."""
        name = plain(name)
        near = self._by_end.get(name.rpartition("/")[2], [])
        return [n for n in near if self.paths[n] == name] or [n for n in near if self.paths[n].endswith(f"/{name}")]

    def nearest(self, name: str) -> str:
        """` Did you mean "x"?` for a name that is none of the paths: one in another folder, or one that is written nearly so; else nothing."""
        ends = {end.casefold(): self.paths[numbers[0]] for end, numbers in reversed(self._by_end.items())}
        end = plain(name).rpartition("/")[2].casefold()
        close = difflib.get_close_matches(plain(name), self.paths, n=1, cutoff=0.75)
        by_end = [ends[found] for found in difflib.get_close_matches(end, ends, n=1, cutoff=0.6)]
        meant = [ends[end]] if end in ends else close or by_end
        return f' Did you mean "{meant[0]}"?' if meant else ""


def absent(rows: Sequence[Row], there: Names) -> list[Row]:
    """The rows whose document is no file there. A name without an ending may be a document's id, and is not judged."""
    wrong: dict[str, bool] = {}
    for row in rows:
        if name := row.question.document:
            wrong.setdefault(name, bool(Path(plain(name)).suffix) and not there.find(name))
    return [row for row in rows if row.question.document and wrong[row.question.document]]


def misnamed(rows: Sequence[Row], wrong: Sequence[Row], there: Names) -> str:
    """How many of the rows name a document that is not there, and which is the first."""
    first = wrong[0]
    verb = "names" if len(wrong) == 1 else "name"
    return (
        f"{len(wrong):,} of {len(rows):,} rows {verb} a document that is not among the documents. The first is line {first.line}: "
        f'"{first.question.document}".{there.nearest(first.question.document or "")}'
    )
