"""JSON lines for Hugging Face `datasets`: every field of our own records, and `messages` as they are trained on. Read back without loss.

The columns are declared in the card, so that `load_dataset(FOLDER)` needs not guess them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ...grounding import Format
from ...records import Example, Pair
from ..features import MESSAGES, PASSAGE, QUOTE
from ..render import prompt, reply

FEATURES = {
    "id": "string", "recipe": "string", "unit": "string", "document": "string", "question": "string", "passages": [PASSAGE], "oracle": "int64",
    "support": "string", "quotes": [QUOTE], "answer": "string", "split": "string", "kind": "string",
    "history": [{"question": "string", "answer": "string"}], "score": "float64", "reasoning": "string", "messages": MESSAGES,
}  # fmt: skip
PAIR_FEATURES = {
    "id": "string", "unit": "string", "document": "string", "question": "string", "passages": [PASSAGE], "chosen": "string",
    "rejected": "string", "margin": "float64", "recipe": "string", "split": "string", "history": [{"question": "string", "answer": "string"}],
    "messages": MESSAGES,
}  # fmt: skip


def row(record: Example | Pair, number: int, form: Format) -> dict[str, Any]:
    """The record's fields and the conversation; for a pair, the conversation up to the reply."""
    messages = prompt(record, form) + (reply(record, form) if isinstance(record, Example) else [])
    return msgspec.to_builtins(record) | {"messages": messages}
