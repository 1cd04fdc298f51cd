"""What questions are checked for whatever the recipe: not asked before in other words, and understood without the passage."""

from __future__ import annotations

import re
from collections.abc import Iterable

ALIKE = 0.85  # share of words in common from which two questions count as one
_SPACELESS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]")
_POINTS = re.compile(
    r"\b(?:(?:the|this|these) (?:above |following |given )?(?:passages?|excerpts?|snippets?|text above)"
    r"|according to (?:the|this) (?:text|document|passage)s?|mentioned (?:above|in the text))\b"
    r"|(?:в (?:этом|данном|приведённом|приведенном) (?:тексте|отрывке|фрагменте))|согласно тексту"
    r"|(?:この|上記の|本)(?:文章|テキスト|パッセージ)|本文(?:に|で|中)",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"\[\d{1,3}(?:\s*,\s*\d{1,3})*\]"
    r"|\b(?:doc|document|passage|документ\w*|отрыв\w+)s?(?: ids?|_ids?)?\s*(?:#|№|\[|:)?\s*\d{1,3}\b|(?:文書|パッセージ)\s*\d",
    re.IGNORECASE,
)


def points_at_the_passage(question: str) -> bool:
    """Whether a question speaks of the passage, which who asks it has never seen (English, Russian, Japanese)."""
    return bool(_POINTS.search(question))


def names_a_number(answer: str) -> bool:
    """Whether an answer calls passages by their numbers, which are others where the answer is read."""
    return bool(_NUMBERED.search(answer))


def _pieces(question: str) -> set[str]:
    """Words; of a script without spaces, pairs of characters."""
    bare = re.sub(r"\W+", " ", question.casefold()).strip()
    if _SPACELESS.search(bare):
        run = bare.replace(" ", "")
        return {run[n : n + 2] for n in range(len(run) - 1)} or {run}
    return set(bare.split())


def asked_before(question: str, others: Iterable[str]) -> bool:
    """Whether one of the others asks the same, letter case, punctuation and a word in seven aside. Numbers must agree: they are what differs."""
    own, digits = _pieces(question), re.findall(r"\d+", question)
    for other in others:
        theirs = _pieces(other)
        alike = len(own & theirs) >= ALIKE * len(own | theirs)
        if alike and digits == re.findall(r"\d+", other):
            return True
    return False
