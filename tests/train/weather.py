"""Texts with a rule that nano learns in a few steps: rain is answered with "stay", sun with "go". Without training it says "go" to all."""

from __future__ import annotations

from typing import Any

from groundling.grounding import FORMATS
from groundling.records import Example, Pair, Passage

FORMAT = "labels"
LABELS = ("stay", "go")
TRAINED, HELD_OUT = range(4), range(4, 12)  # of cities of their own, each once in rain and once in the sun
_CITIES = ("Oslo", "Turin", "Bath", "Bern", "Brno", "Cork")


def right(n: int) -> str:
    return LABELS[n % 2]


def wrong(n: int) -> str:
    return LABELS[1 - n % 2]


def _common(n: int) -> dict[str, Any]:
    text = f"{('Rain', 'Sun')[n % 2]} in {_CITIES[n // 2]}."
    return {
        "id": f"w{n}", "unit": "u", "document": "d", "question": text, "passages": [Passage(id=x, title=x, text="") for x in LABELS],
        "split": "train" if n in TRAINED else "held_out",
    }  # fmt: skip


def example(n: int) -> Example:
    return Example(recipe="classification", oracle=n % 2, support="cited", quotes=[], answer=right(n), **_common(n))


def pair(n: int) -> Pair:
    return Pair(chosen=right(n), rejected=wrong(n), **_common(n))


def asked(n: int) -> list[dict[str, str]]:
    """The messages of a text, as training renders them."""
    made = example(n)
    return FORMATS[FORMAT].prompt(made.question, made.passages)
