"""ShareGPT conversations: {"conversations": [{"from": "human", "value": …}, {"from": "gpt", "value": …}]}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...records import Example
from ..base import Place, Refused
from ..talk import example, messages


def fits(row: Mapping[str, Any]) -> int:
    """Two, where there is the field of conversations: its name is ShareGPT's alone."""
    return 2 if "conversations" in row else 0


def record(row: dict[str, Any], place: Place) -> Example:
    """The last question and its reply; some files of this name have the keys of OpenAI's messages."""
    if "conversations" not in row:
        raise Refused("a field is missing", 'there is no "conversations"')
    listed = row["conversations"]
    own = isinstance(listed, list) and listed and isinstance(listed[0], Mapping) and "from" in listed[0]
    found = messages(listed, "from", "value") if own else messages(listed)
    if row.get("system") and found[0]["role"] != "system":
        found.insert(0, {"role": "system", "content": str(row["system"])})
    return example(row, place, found, "sharegpt")
