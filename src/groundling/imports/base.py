"""What every shape of imported record shares: where a record stands, why it is refused, and a plain question with its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..amiss import called
from ..grounding import is_refusal
from ..records import Example
from ..seeds import digest


class Place(NamedTuple):
    """The file and the line that a record starts on (for Parquet: the number of the row)."""

    file: str
    line: int

    def id(self, *parts: object) -> str:
        """An id that no other record of the file has, the same at every reading."""
        return digest("import", self.file, self.line, *parts)


class Refused(Exception):
    """Why a record is not taken. `sound` where the record is well made but ours cannot hold it."""

    def __init__(self, reason: str, detail: str = "", sound: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.sound = reason, detail, sound


def text(row: Mapping[str, Any], field: str, empty: bool = False) -> str:
    """A field that must be text, and unless `empty`, some text. It is taken as it stands: nothing is cut or stripped."""
    value = row.get(field)
    if value is None and field not in row:
        raise Refused("a field is missing", f'there is no "{field}"')
    if value is None and empty:
        return ""
    if not isinstance(value, str):
        raise Refused("a field is no text", f'"{field}" is {called(value)}')
    if not empty and not value.strip():
        raise Refused("a field is empty", f'"{field}" holds no text')
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused("half of a character", f'"{field}" holds one half of a surrogate pair') from None
    return value


def plain(row: Mapping[str, Any], place: Place, question: str, answer: str, recipe: str) -> Example:
    """A question and its answer without passages: what it rests on is not shown, or it is a refusal."""
    unit = next((str(row[name]) for name in ("ID", "id", "Id") if row.get(name) not in (None, "")), f"line {place.line}")
    return Example(
        id=place.id(unit), recipe=f"import {recipe}", unit=unit, document=place.file, question=question, passages=[], oracle=None,
        support="abstain" if is_refusal(answer) else "memory", quotes=[], answer=answer,
    )  # fmt: skip
