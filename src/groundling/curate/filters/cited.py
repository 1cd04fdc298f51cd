"""Drops an example whose quotes are not verbatim in the passage they name, or whose oracle and support do not agree."""

from __future__ import annotations

from ...grounding import is_refusal
from ...records import Example
from .. import Context


def check(example: Example, context: Context) -> str | None:
    """The reason an example is dropped, or None."""
    for quote in example.quotes:
        if not 0 <= quote.passage < len(example.passages):
            return "quotes a passage that is not shown"
        if not quote.text.strip() or quote.text not in example.passages[quote.passage].text:
            return "quote not verbatim"
    if not example.answer.strip():
        return "no answer"
    if example.support == "cited" and (example.oracle is None or example.oracle not in {q.passage for q in example.quotes}):
        return "cited without a quote"
    if example.support != "cited" and (example.oracle is not None or example.quotes):
        return "quotes without support"
    if (example.support == "abstain") != is_refusal(example.answer):
        return "answer and support contradict"
    return None
