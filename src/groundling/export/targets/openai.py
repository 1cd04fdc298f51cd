"""OpenAI fine-tuning JSON lines: `messages` and nothing else, as the service refuses rows with other keys."""

from __future__ import annotations

from typing import Any

from ...grounding import Format
from ...records import Example
from ..features import MESSAGES
from ..render import prompt, reply

FEATURES = {"messages": [MESSAGES[0] | {"weight": "int64"}]}


def row(example: Example, number: int, form: Format) -> dict[str, Any]:
    """The whole conversation. Earlier answers of a dialogue are marked with weight 0: they are shown, not taught."""
    shown = [m | {"weight": 0} if m["role"] == "assistant" else m for m in prompt(example, form)]
    return {"messages": [*shown, *reply(example, form)]}
