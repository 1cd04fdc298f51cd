"""Alpaca rows: `instruction` (what is to be done), `input` (passages and question) and `output`.

A format without a system message has its whole prompt as the instruction and an empty input. A dialogue has no place in a row and is left out.
"""

from __future__ import annotations

from typing import Any

from ...grounding import Format
from ...records import Example
from ..render import one_turn, prompt

FEATURES = {"instruction": "string", "input": "string", "output": "string"}


def check(form: Format) -> None:
    """Raise ConfigError for a format of two turns."""
    one_turn(form, "alpaca")


def row(example: Example, number: int, form: Format) -> dict[str, Any] | None:
    """The system message as the instruction, the user's as the input; None for a dialogue."""
    if example.history:
        return None
    texts = [message["content"] for message in prompt(example, form)]
    return {"instruction": texts[0], "input": "\n\n".join(texts[1:]), "output": form.target(example)[0]}
