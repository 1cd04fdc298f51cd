"""One training example from its parts."""

from __future__ import annotations

from ..grounding import ABSTAIN
from ..records import Example, Passage, Quote


def example(question: str, passages: list[Passage], quote: Quote | None, answer: str, language: str) -> Example:
    """An example with one quote, or, without a quote, one that abstains in its language."""
    return Example(
        id="", recipe="nano", unit="", document="", question=question, passages=passages, support="cited" if quote else "abstain",
        oracle=quote.passage if quote else None, quotes=[quote] if quote else [], answer=answer if quote else ABSTAIN[language],
    )  # fmt: skip
