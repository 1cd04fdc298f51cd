"""Drops an example whose quotes are not verbatim in the passage they name, or whose oracle and support do not agree.
For: always, and first: what comes after need not doubt a quote. No options.

Also one whose quote or answer holds the marks that the raft format puts around them: what a model is taught would be read back as something else.
"""

from __future__ import annotations

from ...grounding import Raft, is_refusal
from ...records import Example
from .. import Context

MARKS = (Raft.begin, Raft.end, Raft.answer)


def check(example: Example, context: Context) -> str | None:
    """The reason an example is dropped, or None."""
    for quote in example.quotes:
        if not 0 <= quote.passage < len(example.passages):
            return "quotes a passage that is not shown"
        if not quote.text.strip() or quote.text not in example.passages[quote.passage].text:
            return "quote not verbatim"
        if any(mark in quote.text for mark in MARKS):
            return "quote holds marks of the format"
    if not example.answer.strip():
        return "no answer"
    if any(mark in example.answer for mark in MARKS):
        return "answer holds marks of the format"
    if example.support == "cited" and (example.oracle is None or example.oracle not in {q.passage for q in example.quotes}):
        return "cited without a quote"
    if example.support != "cited" and (example.oracle is not None or example.quotes):
        return "quotes without support"
    if (example.support == "abstain") != is_refusal(example.answer):
        return "answer and support contradict"
    return None
