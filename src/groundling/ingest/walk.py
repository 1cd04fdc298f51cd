"""Which files of a folder are read: sorted, without hidden ones, without leaving the folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ..config import Ingest
from ..workspace import Output

OURS = frozenset({"groundling.yaml", "questions.jsonl", "training.jsonl"})
HIDDEN = (".", "~$")  # how the names of hidden files begin; Word puts a file of the latter beside each document that it has open


def files(root: Path, options: Ingest, out: Output) -> Iterator[tuple[Path, str]]:
    """Each file to be read with its relative posix path, in sorted order. What is left out by a rule is counted in `out`.

    Hidden files and folders, `groundling.yaml`, `questions.jsonl`, `training.jsonl`, a top-level `runs` folder and the run that is being written are
    passed over without a word: they are no documents.
    """
    real, run = root.resolve(), out.folder.resolve().parent

    def denied(error: OSError) -> None:
        out.fail("permission denied" if isinstance(error, PermissionError) else "could not be read", shown(Path(error.filename), root),
                 f"The folder could not be listed ({error.strerror}).")  # fmt: skip

    for folder, folders, names in os.walk(root, onerror=denied):
        here = Path(folder)
        linked = [d for d in folders if (here / d).is_symlink() and not d.startswith(".")]
        folders[:] = sorted(d for d in folders if not _ours(here / d, d, root, run))
        for name in sorted([*names, *linked]):
            path = here / name
            if name.startswith(HIDDEN) or name in OURS:
                continue
            relative = shown(path, root)
            if _wanted(path, relative, real, options, out):
                yield path, relative


def shown(path: Path, root: Path) -> str:
    """A path relative to the root, fit for JSON: bytes of a name that are no UTF-8 show as question marks."""
    return path.relative_to(root).as_posix().encode("utf-8", "replace").decode()


def _ours(folder: Path, name: str, root: Path, run: Path) -> bool:
    return name.startswith(".") or (name == "runs" and folder.parent == root) or folder.resolve() == run


def _wanted(path: Path, relative: str, real: Path, options: Ingest, out: Output) -> bool:
    if not any(_pattern(p).fullmatch(relative) for p in options.include) or any(_pattern(p).fullmatch(relative) for p in options.exclude):
        out.drop("left out by ingest.include or ingest.exclude", relative)
        return False
    if path.is_symlink():
        if not path.exists():
            out.fail("broken link", relative, f"{relative} is a link to {os.readlink(path)}, which does not exist.")
            return False
        if not path.resolve().is_relative_to(real):
            out.drop("link out of the folder", relative)
            return False
        if path.is_dir():  # its files are read where they really stand
            return False
    if not path.is_file():
        out.drop("not a regular file", relative)
        return False
    return True


@lru_cache
def _pattern(glob: str) -> re.Pattern[str]:
    """A glob over relative paths: `**/` any folders or none, `*` and `?` within a name. (`fnmatch` lets `*` cross folders.)"""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(p) or re.escape(p) for p in parts), re.DOTALL)
