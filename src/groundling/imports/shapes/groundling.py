"""Our own records, as `groundling export --to jsonl` and `--to parquet` write them: read back without loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ...records import Example, Pair
from ...unfit import told
from ..base import Place, Refused

OWN = {"id", "unit", "document", "question", "passages"}


def fits(row: Mapping[str, Any]) -> int:
    """How many of the fields are a record's, where all it needs are there."""
    own = OWN <= row.keys() and ({"support", "answer"} <= row.keys() or {"chosen", "rejected"} <= row.keys())
    return len(OWN) + 2 if own else 0


def record(row: dict[str, Any], place: Place) -> Example | Pair:
    """The record itself. `messages`, its rendering, is not read: it is made anew from the record."""
    row.pop("messages", None)
    kind: type[Example] | type[Pair] = Pair if "rejected" in row else Example
    try:
        return msgspec.convert(row, type=kind)
    except msgspec.ValidationError as error:
        raise Refused("not one of our records", told(error, list(kind.__struct_fields__)).rstrip(".")) from None
