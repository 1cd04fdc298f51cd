"""The raw records of a file, one by one with their lines: a JSON list, JSON lines, CSV, TSV or Parquet. A broken one does not hide the rest."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError, MachineError
from .jsonlist import elements

BATCH = 1000  # rows of Parquet held in memory at once
UNDECODED = range(0xDC80, 0xDD00)  # what stands for a byte that is not UTF-8 while it is carried to its record


class Raw(NamedTuple):
    """A record as it stands in the file, or what is wrong with it (`fault` is short and counted, `detail` says where)."""

    line: int
    value: Any = None
    fault: str = ""
    detail: str = ""
    text: str = ""


def rows(path: Path) -> Iterator[Raw]:
    """The records of a file, by its suffix. Raises InputError for a file that is not there or not of a known kind."""
    if not path.is_file():
        raise InputError(f"{path} is not a file. Give files of records: .json, .jsonl, .csv, .tsv or .parquet.")
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _table(path, "\t" if suffix == ".tsv" else ",")
    if suffix == ".parquet":
        return _parquet(path)
    if suffix not in (".json", ".jsonl", ".ndjson"):
        raise InputError(f'{path}: files of "{suffix}" are not read. Give .json, .jsonl, .csv, .tsv or .parquet.')
    return _list(path) if _first(path) == "[" else _lines(path)


def _first(path: Path) -> str:
    """The first character that is no space."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as handle:
        while piece := handle.read(1 << 16):
            if stripped := piece.lstrip():
                return stripped[0]
    raise InputError(f"{path} is empty.")


def _list(path: Path) -> Iterator[Raw]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as handle:
        for element in elements(handle, str(path)):
            yield Raw(element.line, fault=element.fault, text=element.text) if element.fault else _parsed(element.text, element.line)


def _lines(path: Path) -> Iterator[Raw]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as handle:
        for number, line in enumerate(handle, 1):
            if number == 1 and line.strip() == "{":
                raise InputError(f"{path} holds one JSON object over several lines. Write a list of records, or one record on each line.")
            if line.strip():
                yield _parsed(line, number)


def _parsed(text: str, line: int) -> Raw:
    """One record of JSON. A fault is told on the line where it is, which may be some lines after the record's first."""
    if wrong := _undecoded(text):
        return Raw(line, fault="not UTF-8", detail=wrong, text=text.encode("utf-8", "replace").decode())
    try:
        return Raw(line, json.loads(text))
    except json.JSONDecodeError as error:
        at = line + text.count("\n", 0, error.pos)
        around = text[max(0, error.pos - 20) : error.pos + 20].strip()
        return Raw(at, fault="broken JSON", detail=f"{error.msg[0].lower()}{error.msg[1:]}, near {around!r}", text=text.strip())
    except RecursionError:
        return Raw(line, fault="broken JSON", detail="brackets within brackets, too deep to read", text=text[:500])


def _undecoded(text: str) -> str:
    found = next((c for c in text if ord(c) in UNDECODED), None) if not text.isascii() else None
    return f"there is a byte {ord(found) - 0xDC00:#x}; save the file as UTF-8" if found else ""


def _table(path: Path, delimiter: str) -> Iterator[Raw]:
    """The rows of a CSV by the names in its first line. Cells that a row has too many or too few are told, not guessed."""
    csv.field_size_limit(1 << 27)
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as handle:
        reader = csv.reader(handle, delimiter=delimiter, strict=True)
        try:
            names = next(reader, [])
        except csv.Error as error:
            raise InputError(f"{path}, line 1: the names of the columns cannot be read ({error}).") from error
        if len(set(names)) < len(names) or not all(names):
            raise InputError(
                f"{path}, line 1: the columns need names, each another one, in the first line. There is: {', '.join(names) or 'nothing'}."
            )
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield Raw(line, fault="broken CSV", detail=str(error))
                continue
            if cells is None:
                return
            if cells:
                yield _row(names, cells, line)


def _row(names: list[str], cells: list[str], line: int) -> Raw:
    if wrong := _undecoded("".join(cells)):
        return Raw(line, fault="not UTF-8", detail=wrong, text=" ".join(cells).encode("utf-8", "replace").decode())
    if len(cells) != len(names):
        return Raw(line, fault="cells and columns differ in number", detail=f"{len(cells)} cells, {len(names)} columns", text=" | ".join(cells))
    return Raw(line, dict(zip(names, cells, strict=True)))


def _parquet(path: Path) -> Iterator[Raw]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MachineError('Parquet needs the extra [train] (pyarrow is missing): pip install "groundling[train]".') from error
    number = 0
    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH):
            for value in batch.to_pylist():
                number += 1
                yield Raw(number, value)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet after row {number}: {str(error).splitlines()[0]}.") from error
