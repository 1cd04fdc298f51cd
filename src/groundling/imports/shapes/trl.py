"""TRL rows: prompt and completion, or a preference: prompt, chosen and rejected (the prompt may stand within both). Texts or messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...grounding import Message
from ...records import Example, Pair
from ..base import Place, Refused, plain, text
from ..talk import example, messages, talk


def fits(row: Mapping[str, Any]) -> int:
    """Two, where two of the fields are TRL's."""
    return 2 if {"prompt", "completion"} <= row.keys() or {"chosen", "rejected"} <= row.keys() else 0


def record(row: dict[str, Any], place: Place) -> Example | Pair:
    """An example, or a pair."""
    if "chosen" in row or "rejected" in row:
        return _pair(row, place)
    if "prompt" not in row or "completion" not in row:
        raise Refused("a field is missing", "a row has prompt and completion, or chosen and rejected")
    if isinstance(row["prompt"], str):
        return plain(row, place, text(row, "prompt"), text(row, "completion"), "trl")
    return example(row, place, [*messages(row["prompt"]), *messages(row["completion"])], "trl")


def _pair(row: dict[str, Any], place: Place) -> Pair:
    asked, chosen = _asked(row, "chosen")
    other, rejected = _asked(row, "rejected")
    if asked != other:
        raise Refused("chosen and rejected answer different prompts")
    made = plain(row, place, asked, chosen, "trl")
    margin = row.get("margin")
    if margin is None and all(isinstance(row.get(side), (int, float)) for side in ("score_chosen", "score_rejected")):
        margin = row["score_chosen"] - row["score_rejected"]
    return Pair(
        id=made.id, unit=made.unit, document=made.document, question=asked, passages=[], chosen=chosen, rejected=rejected,
        margin=float(margin) if isinstance(margin, (int, float)) else None,
    )  # fmt: skip


def _asked(row: dict[str, Any], field: str) -> tuple[str, str]:
    """The prompt and the reply of one side."""
    if field not in row:
        raise Refused("a field is missing", f'there is no "{field}"')
    if isinstance(row[field], str):
        if "prompt" not in row:
            raise Refused("a field is missing", 'chosen and rejected are texts, and there is no "prompt" apart from them')
        return text(row, "prompt"), text(row, field)
    said = messages(row[field])
    if said[-1]["role"] != "assistant":
        raise Refused("no reply", f'the last message of "{field}" is not the assistant\'s')
    within = any(m["role"] == "user" for m in said[:-1])  # the prompt stands within both sides; a prompt apart only repeats it
    before: list[Message] = said[:-1] if within else [*_prompt(row), *said[:-1]]
    whole = talk([*before, said[-1]])
    if len(whole.turns) > 1 or whole.documents:
        raise Refused("a pair about a dialogue", sound=True)
    asked = whole.turns[0][0]
    return f"{whole.system}\n\n{asked}" if whole.system else asked, said[-1]["content"]


def _prompt(row: dict[str, Any]) -> list[Message]:
    if "prompt" not in row:
        return []
    return [{"role": "user", "content": text(row, "prompt")}] if isinstance(row["prompt"], str) else messages(row["prompt"])
