"""Rows into a file, one by one: JSON lines, or Parquet in row groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ..errors import MachineError
from .features import schema

Sink = Callable[[Mapping[str, Any]], None]
GROUP = 1000  # rows of a Parquet row group, and so the most rows held in memory


@contextmanager
def sink(path: Path, features: Mapping[str, Any]) -> Iterator[Sink]:
    """What takes the rows of a file, by the file's suffix."""
    with (_parquet if path.suffix == ".parquet" else _json_lines)(path, features) as take:
        yield take


@contextmanager
def _json_lines(path: Path, features: Mapping[str, Any]) -> Iterator[Sink]:
    encoder = msgspec.json.Encoder()
    with path.open("wb", buffering=1 << 20) as handle:

        def take(row: Mapping[str, Any]) -> None:
            handle.write(encoder.encode(row) + b"\n")

        yield take


@contextmanager
def _parquet(path: Path, features: Mapping[str, Any]) -> Iterator[Sink]:
    pq = parquet()
    import pyarrow as pa

    columns, waiting = schema(features), []

    with pq.ParquetWriter(path, columns, compression="zstd") as writer:

        def flush() -> None:
            if waiting:
                writer.write_table(pa.Table.from_pylist(waiting, schema=columns))
                waiting.clear()

        def take(row: Mapping[str, Any]) -> None:
            waiting.append(dict(row))
            if len(waiting) >= GROUP:
                flush()

        yield take
        flush()


def parquet() -> Any:
    """pyarrow.parquet. Raises MachineError that names the extra where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MachineError(
            'Parquet needs the extra [train] (pyarrow is missing): pip install "groundling[train]". JSON lines need nothing.'
        ) from error
    return pyarrow.parquet
