"""OpenAI messages: {"messages": [{"role": "user", "content": …}, {"role": "assistant", "content": …}]}; `conversation` is read alike.

With a `documents` message and two replies, the relevant ids and the answer, it is a grounded row (Vikhr's data sets) and keeps its passages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...records import Example
from ..base import Place, Refused
from ..talk import example, messages


def fits(row: Mapping[str, Any]) -> int:
    """One, where there is a field of messages."""
    return int("messages" in row or "conversation" in row)


def record(row: dict[str, Any], place: Place) -> Example:
    """The last question and its reply, with what was said before."""
    if not fits(row):
        raise Refused("a field is missing", 'there is no "messages"')
    return example(row, place, messages(row.get("messages", row.get("conversation"))), "openai")
