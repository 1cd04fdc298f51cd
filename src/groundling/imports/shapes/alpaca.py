"""Alpaca rows: instruction, input, output; `input` may be empty or missing, and stands on the lines after the instruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...records import Example
from ..base import Place, Refused, plain, text


def fits(row: Mapping[str, Any]) -> int:
    """Two, where instruction and output are there; published Alpaca rows have a `text` as well, which is both in one."""
    return 2 if {"instruction", "output"} <= row.keys() else 0


def record(row: dict[str, Any], place: Place) -> Example:
    """Instruction and input, a line apart as LLaMA-Factory joins them; a system text, where there is one, stands first."""
    if row.get("history"):
        raise Refused("a row with a history", sound=True)
    asked = text(row, "instruction")
    if "input" in row and (more := text(row, "input", empty=True)):
        asked = f"{asked}\n{more}"
    if row.get("system"):
        asked = f"{text(row, 'system')}\n\n{asked}"
    return plain(row, place, asked, text(row, "output"), "alpaca")
