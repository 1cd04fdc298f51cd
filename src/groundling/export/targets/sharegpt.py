"""ShareGPT conversations: `from` is system, human or gpt, `value` the text. Readers want human and gpt in turn, so no two-turn format."""

from __future__ import annotations

from typing import Any

from ...grounding import Format
from ...records import Example
from ..render import one_turn, prompt, reply

FEATURES = {"id": "string", "conversations": [{"from": "string", "value": "string"}]}
NAMES = {"system": "system", "user": "human", "assistant": "gpt"}


def check(form: Format) -> None:
    """Raise ConfigError for a format of two turns."""
    one_turn(form, "sharegpt")


def row(example: Example, number: int, form: Format) -> dict[str, Any]:
    """The whole conversation under ShareGPT's names."""
    talk = prompt(example, form) + reply(example, form)
    return {"id": example.id, "conversations": [{"from": NAMES[m["role"]], "value": m["content"]} for m in talk]}
