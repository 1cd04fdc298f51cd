"""Files → Document. Each file is read by the loader for its extension; what cannot be read is counted with its reason."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from .. import registry
from ..config import Ingest
from ..errors import InputError
from ..records import Document
from ..seeds import digest
from ..workspace import Output
from .base import Unreadable
from .names import names
from .walk import files


def extensions() -> dict[str, str]:
    """Extension (lower case, with the dot) → name of its loader."""
    return {ext: name for name in registry.names("loader") for ext in registry.load("loader", name).EXTENSIONS}


def ingest(root: Path, options: Ingest, out: Output, before: Iterable[Document] = ()) -> None:
    """Read the folder `root` into `out`: one Document per file (or several, where a format holds several).

    `before` are the documents that the run knew; what is renamed or edited keeps its id (see `names`).

    Raises InputError where the folder holds no file, or none that can be read; TooManyFailed past `max_failed`;
    MachineError where a package for a format is not installed.
    """
    known, seen, found = extensions(), dict[str, Document](), 0
    for path, relative in files(root, options, out):
        found += 1
        _one(path, relative, known, seen, options, out)
    if not seen:
        raise InputError(_nothing(root, found, known, out))
    for document, name in zip(seen.values(), names([(content, d.path) for content, d in seen.items()], before), strict=True):
        out.keep(msgspec.structs.replace(document, id=name))
    out.check(options.max_failed, "files")


def _one(path: Path, relative: str, known: dict[str, str], seen: dict[str, Document], options: Ingest, out: Output) -> None:
    """Read one file; `seen` are the documents so far by the hash of their text."""
    extension = path.suffix.lower()
    if extension not in known:
        out.drop(f"no loader for {extension}" if extension else "no loader for a name without extension", relative)
        return
    try:
        if (size := path.stat().st_size) > options.max_file_mb * 1e6:
            sentence = f"{relative} has {size / 1e6:.1f} MB, more than ingest.max_file_mb = {options.max_file_mb:g}."
            raise Unreadable("larger than max_file_mb", f"{sentence} Split it or raise the limit.")
        for loaded in registry.load("loader", known[extension]).load(path):
            if not loaded.text.strip():
                raise Unreadable("no text", f"{relative} holds nothing but white space or markup.")
            document = Document(id=digest(loaded.text), path=relative, title=loaded.title, text=loaded.text, pages=list(loaded.pages))
            if document.id in seen:
                out.drop("identical to another document", {"path": relative, "same_as": seen[document.id].path})
                continue
            seen[document.id] = document
    except Unreadable as error:
        out.fail(error.reason, relative, str(error))
    except PermissionError:
        out.fail("permission denied", relative, f"{relative} may not be read by this user. Change its permissions.")
    except OSError as error:
        out.fail("could not be read", relative, f"{relative} could not be read ({error.strerror or error}).")


def _nothing(root: Path, found: int, known: dict[str, str], out: Output) -> str:
    """The sentence for a folder that gave no document."""
    read = f"These are read: {' '.join(sorted(known))}."
    left = [f"{n} × {reason}" for counts in (out.failed, out.dropped) for reason, n in counts.most_common(5)]
    if not left:
        return f"{root} holds no files (hidden ones do not count). Put documents there, or set documents: to their folder. {read}"
    return f"None of the {max(found, 1)} files in {root} could be read: {', '.join(left)}. {read}"
