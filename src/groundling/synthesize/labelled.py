"""Texts with their labels as people keep them: a table (CSV, TSV, JSON, JSONL, Parquet), or a folder for each label with a file for each text.

What is no text is not taken as one, and is counted: licence and readme files, files outside the labels' folders, empty texts, repeats.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..amiss import called
from ..errors import InputError
from ..imports.files import Raw, rows
from ..records import Split
from ..registry import nearest
from ..seeds import digest, seed_of

TEXT = ("text", "message", "sentence", "content", "body", "input", "question")
LABEL = ("label", "category", "class", "intent", "output", "answer")
BESIDE = ("license", "licence", "copying", "readme", "notice", "copyright", "authors", "changelog")  # names of files that stand beside data


class Row(NamedTuple):
    """A text, its label ("" where the file has none), and where it stands."""

    text: str
    label: str
    place: str

    @property
    def id(self) -> str:
        """The same for texts that differ in letter case, width and white space alone."""
        return digest("text", normal(self.text))


class Fields(NamedTuple):
    """How a file is read: the fields' names ("": as they look), and how many lines at the head of a file are no text."""

    text: str = ""
    label: str = ""
    skip_lines: int = 0


def normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def labelled(path: Path, fields: Fields, bench: Any) -> list[Row]:
    """The rows of a file or folder, each text once. What is left out is dropped with its reason, what cannot be read fails.

    A text that has two labels in it is right under neither: all its rows are dropped.
    """
    found = list(_good(_folder(path, fields, bench) if path.is_dir() else _table(path, fields, True, bench), bench))
    labels: dict[str, set[str]] = {}
    for row in found:
        labels.setdefault(row.id, set()).add(row.label)
    kept: dict[str, Row] = {}
    for row in found:
        if len(labels[row.id]) > 1:
            bench.drop("a text with two labels", {"place": row.place, "label": row.label, "text": row.text})
        elif row.id in kept:
            bench.drop("a text that stands there twice", {"place": row.place, "text": row.text})
        else:
            kept[row.id] = row
    if not kept:
        raise InputError(f"{path.name} holds no text with a label that could be used. See dropped.jsonl and failed.jsonl of the stage for each row.")
    return list(kept.values())


def unlabelled(path: Path, fields: Fields, bench: Any) -> list[Row]:
    """The texts of a table, each once; a label beside them is not looked at."""
    if path.is_dir():
        raise InputError(f"{path.name} is a folder. Give texts without labels as a table: .csv, .tsv, .json, .jsonl or .parquet.")
    kept: dict[str, Row] = {}
    for row in _good((r._replace(label="none") for r in _table(path, fields, False, bench)), bench):
        if row.id in kept:
            bench.drop("a text that stands there twice", {"place": row.place, "text": row.text})
        kept.setdefault(row.id, row._replace(label=""))
    return list(kept.values())


def _good(found: Iterable[Row], bench: Any) -> Iterator[Row]:
    for row in found:
        if not row.text.strip():
            bench.drop("an empty text", row.place)
        elif not row.label:
            bench.drop("a text without a label", {"place": row.place, "text": row.text})
        else:
            yield row


def _table(path: Path, fields: Fields, with_label: bool, bench: Any) -> Iterator[Row]:
    names: tuple[str, str] | None = None
    for raw in rows(path):
        if raw.fault or not isinstance(raw.value, Mapping):
            bench.fail(raw.fault or "not a record", {"file": path.name, "line": raw.line, "record": raw.text[:500]}, f"line {raw.line}: {raw.detail}")
            continue
        names = names or _names(path, raw, fields, with_label)
        text, label = raw.value.get(names[0]), raw.value.get(names[1]) if with_label else ""
        if not isinstance(text, str):
            bench.fail("a text that is none", {"file": path.name, "line": raw.line}, f'line {raw.line}: "{names[0]}" is {called(text)}')
            continue
        yield Row(text.strip(), " ".join(str("" if label is None else label).split()), f"{path.name}, line {raw.line}")


def _names(path: Path, raw: Raw, fields: Fields, with_label: bool) -> tuple[str, str]:
    """The fields of text and label. Raises InputError where they are not there, or cannot be told."""
    there = [str(name) for name in raw.value]

    def one(given: str, usual: Sequence[str], what: str) -> str:
        found = given if given in there else "" if given else next((name for name in usual if name in there), "")
        if not found:
            why = f'there is no field "{given}"' if given else f"which field holds the {what} cannot be told"
            raise InputError(f"{path.name}, line {raw.line}: {why}. Set synthesize.options.{what} to one of: {', '.join(there)}.")
        return found

    return one(fields.text, TEXT, "text"), one(fields.label, LABEL, "label") if with_label else ""


def _folder(path: Path, fields: Fields, bench: Any) -> Iterator[Row]:
    """A text from each file; its label is the name of the folder directly under `path`."""
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        place = file.relative_to(path)
        if file.name.startswith("."):
            continue
        if _beside(file):
            bench.drop("a licence or readme file, no text", place.as_posix())
        elif len(place.parts) == 1:
            bench.drop("a file outside the folders of the labels", place.as_posix())
        else:
            try:
                text = file.read_text("utf-8-sig")
            except UnicodeDecodeError as error:
                bench.fail("not UTF-8", place.as_posix(), f"byte {error.start}; save the file as UTF-8")
                continue
            yield Row("\n".join(text.splitlines()[fields.skip_lines :]).strip(), " ".join(place.parts[0].split()), place.as_posix())


def _beside(file: Path) -> bool:
    name = file.name.casefold()
    return any(name == word or name.startswith((f"{word}.", f"{word}-", f"{word}_")) for word in BESIDE)


def check_labels(found: Sequence[Row], labels: Sequence[str], name: str) -> None:
    """Raise InputError where a row's label is not in the list of labels."""
    strange = Counter(row.label for row in found if row.label not in labels)
    if strange:
        first = {row.label: row.place for row in reversed(found)}
        told = "; ".join(f'"{label}" ({n} rows, the first at {first[label]})' for label, n in strange.most_common(5))
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        raise InputError(
            f"{name} has labels that are not in synthesize.options.labels: {told}{more}.{nearest(strange.most_common(1)[0][0], sorted(labels))} "
            "Add them there with what they mean, or take their rows out: a model must be shown every label that it may have to choose."
        )


def sides(ids: Mapping[str, Sequence[str]], share: float, seed: int) -> dict[str, Split]:
    """Each id's side of the split. Of every label the same share is held out, drawn by the seed; of two or more ids one is on each side."""
    found: dict[str, Split] = {}
    for own in ids.values():
        order = sorted(own, key=lambda i: (seed_of(seed, "held out", i), i))
        count = round(share * len(order))
        if share and len(order) > 1:
            count = min(max(count, 1), len(order) - 1)
        found |= {i: "held_out" if n < count else "train" for n, i in enumerate(order)}
    return found
