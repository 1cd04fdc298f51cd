"""TRL preference: one prompt with a chosen and a rejected completion, all as messages. Holds preference pairs only.

Nothing is put through a chat template here: rendered apart, prompt and replies would each begin anew (with a second BOS token, for example).
"""

from __future__ import annotations

from typing import Any

from ...grounding import Format
from ...records import Pair
from ..features import MESSAGES
from ..render import prompt, said

PAIR_FEATURES = {"prompt": MESSAGES, "chosen": MESSAGES, "rejected": MESSAGES}


def row(pair: Pair, number: int, form: Format) -> dict[str, Any]:
    """The prompt once, and both replies."""
    return {"prompt": prompt(pair, form), "chosen": [said(pair.chosen)], "rejected": [said(pair.rejected)]}
