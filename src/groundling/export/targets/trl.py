"""TRL prompt and completion, both as messages: the loss is on the completion alone, without any marker in the chat template."""

from __future__ import annotations

from typing import Any

from ...grounding import Format
from ...records import Example
from ..features import MESSAGES
from ..render import prompt, reply

FEATURES = {"prompt": MESSAGES, "completion": MESSAGES}


def row(example: Example, number: int, form: Format) -> dict[str, Any]:
    """Prompt and reply apart; two turns are one completion of two messages."""
    return {"prompt": prompt(example, form), "completion": reply(example, form)}
