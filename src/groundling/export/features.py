"""The columns of a data set, said once: for the YAML head of its card and for Parquet.

A column is the name of a type (`string`, `int64`, `float64`, `bool`), a list of one column, or a mapping of names to columns. They are declared
because a reader that guesses them from the first rows fails where those hold no passage, no quote or no oracle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Column = Any  # str | list[Column] | Mapping[str, Column]: a recursive type

PASSAGE = {"id": "string", "title": "string", "text": "string"}
QUOTE = {"text": "string", "passage": "int64"}
MESSAGES = [{"role": "string", "content": "string"}]


def head(features: Mapping[str, Column]) -> list[dict[str, Any]]:
    """As the YAML head of a card on the Hugging Face hub has them."""
    return [{"name": name, **_head(column)} for name, column in features.items()]


def _head(column: Column) -> dict[str, Any]:
    if isinstance(column, str):
        return {"dtype": column}
    if isinstance(column, list):
        inner = column[0]
        return {"list": inner if isinstance(inner, str) else head(inner) if isinstance(inner, Mapping) else _head(inner)}
    return {"struct": head(column)}


def schema(features: Mapping[str, Column]) -> Any:
    """As a schema of pyarrow."""
    import pyarrow as pa

    return pa.schema([(name, _arrow(column)) for name, column in features.items()])


def _arrow(column: Column) -> Any:
    import pyarrow as pa

    if isinstance(column, str):
        return {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}[column]
    if isinstance(column, list):
        return pa.list_(_arrow(column[0]))
    return pa.struct([(name, _arrow(inner)) for name, inner in column.items()])
