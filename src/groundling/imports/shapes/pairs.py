"""Question and answer in two fields: {ID, text, output}, or question and answer, prompt and response, query and response. Also in CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...records import Example
from ..base import Place, Refused, plain, text

NAMES = (("text", "output"), ("question", "answer"), ("prompt", "response"), ("query", "response"), ("input", "output"))


def fits(row: Mapping[str, Any]) -> int:
    """One, where two of the fields are a question and its answer: their names are everybody's."""
    return int(any({asked, said} <= row.keys() for asked, said in NAMES))


def record(row: dict[str, Any], place: Place) -> Example:
    """A plain example; the id, where there is one, is its unit."""
    names = next((pair for pair in NAMES if set(pair) <= row.keys()), None)
    if names is None:
        asked, _ = NAMES[0]
        raise Refused("a field is missing", f"there is no pair of fields such as {asked} and output, but {', '.join(map(str, row))}")
    return plain(row, place, text(row, names[0]), text(row, names[1]), "pairs")
