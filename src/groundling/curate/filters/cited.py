"""Drops an example whose quotes are not verbatim in the passage they name, or whose oracle and support do not agree.
For: always, and first: what comes after need not doubt a quote. No options.

Also one whose quote or answer holds the marks that the raft format puts around them: what a model is taught would be read back as something else.
Of a preference pair the chosen reply is held to this: it says something else than the rejected one, and its quotes are verbatim.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...choosing import is_choice
from ...grounding import Raft, is_refusal
from ...records import Example, Pair
from .. import Context

READS = (Example, Pair)
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
    if (example.support == "abstain") != is_refusal(example.answer) and not is_choice(example):
        return "answer and support contradict"
    return None


def pairs(found: Sequence[Pair], context: Context) -> list[str | None]:
    """For each preference pair the reason it is dropped, or None."""
    return [_pair(pair) for pair in found]


def _pair(pair: Pair) -> str | None:
    if not pair.chosen.strip():
        return "no answer"
    if pair.chosen.strip() == pair.rejected.strip():
        return "chosen and rejected are equal"
    if Raft.begin not in pair.chosen:
        return None
    reading = Raft().read([pair.chosen], pair.passages)
    if reading.invalid:
        return "quotes a passage that is not shown"
    verbatim = all(q.text and q.text in pair.passages[q.passage].text for q in reading.quotes)
    return None if reading.quotes and verbatim else "quote not verbatim"
