"""How many tokens a text about has, without a tokenizer: from its characters, by their script."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .base import Message

# Characters a token, as the large vocabularies of 2024 and later (100,000 tokens and more) about have them in running text.
_CHARACTERS = [
    ("Chinese, Japanese", re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef\U00020000-\U0003ffff]"), 1.4),
    ("Korean", re.compile(r"[\u1100-\u11ff\uac00-\ud7af]"), 1.7),
    ("Cyrillic", re.compile(r"[\u0400-\u052f]"), 3.0),
    ("Greek, Arabic, Hebrew", re.compile(r"[\u0370-\u03ff\u0590-\u077f\ufb1d-\ufeff]"), 2.4),
    ("Indic, Thai and others", re.compile(r"[\u0780-\u10ff\u1200-\u1cff\ua8e0-\ua8ff]"), 2.0),
]
LATIN = 4.0
SPREAD = 0.25  # a tokenizer may differ by so much either way
FRAME = 4  # tokens of a chat template around a message


def estimate(text: str) -> float:
    """About how many tokens a text has."""
    rest, found = len(text), 0.0
    for _, characters, ratio in _CHARACTERS:
        count = len(characters.findall(text)) if not text.isascii() else 0
        rest, found = rest - count, found + count / ratio
    return found + rest / LATIN


def of_messages(messages: Sequence[Message]) -> float:
    """About how many tokens a prompt has, its template included."""
    return sum(estimate(str(m["content"])) + FRAME for m in messages)


def assumption() -> str:
    """The ratios in words, for who reads the estimate."""
    said = ", ".join(f"{ratio:g} {name}" for name, _, ratio in _CHARACTERS)
    return f"characters a token: {LATIN:g} Latin, {said}; give or take {SPREAD:.0%}"
