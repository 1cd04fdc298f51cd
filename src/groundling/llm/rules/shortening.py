"""The same asked in fewer words: people leave out of a question what does not tell one thing from another."""

from __future__ import annotations

import re
from random import Random

_SHARE = 0.25  # of the questions that can be shortened
_LEFT = 3  # so many words must be left that a question is about
# Words that rarely tell one thing from another: "the usual delivery time", "is normally paid".
_SPARE = (
    "actual actually also always appropriate automatically available basically complete completely correct current currently directly entire "
    "entirely exact exactly full fully general generally immediately important independently main manually necessary normal normally official "
    "officially ordinary original originally own particular permanently personally possible properly really regular regularly relevant respective "
    "separately simply specifically standard strictly suitable then therefore typical typically usual usually whole"
).split()
_WORD = re.compile(rf"(?<! a)(?<! an) (?:{'|'.join(_SPARE)})(?= [a-z]+)")
# What says when or where at a question's end. "of", "for", "to", "per", "from" stay: they say what is asked about.
_END = re.compile(r" (?:during|throughout|via|in|on|at) (?:(?:the|a|an|your|our|their|its) )?[a-z -]+\?$")
_PREPOSITION = re.compile(
    r" (?:about|for|of|per|than|to|with|without|within|between|over|above|below|until|since|into|and|or|what|which|whom|how|row)\b"
)
_FRONT = re.compile(r"(?:[A-Z][a-z]+ )?(?:what|which|how|who|whom|when|where)\b", re.I)
_SMALL = re.compile(
    r"(?:how|what|which|who|whom|when|where|long|much|many|is|are|was|were|do|does|did|has|have|had|can|may|must|will|should|the|an?|of|for|to|in|on|"
    r"at|by|from|with|within|per|and|or|i|you|we|it|they|my|our|your|its|their|that|this|be|been|after|before|during|until|up)"
)


def shortened(question: str, r: Random) -> str:
    """The question without a word or a phrase at its end that is no name and no number, where enough is left."""
    ways = [question[: found.start()] + question[found.end() :] for found in _WORD.finditer(question)]
    if (end := _END.search(question)) and _FRONT.match(question) and not _PREPOSITION.search(end[0]):
        ways.append(f"{question[: end.start()]}?")
    ways = [way for way in ways if _said(way) >= _LEFT]
    return r.choice(ways) if ways and r.random() < _SHARE else question


def _said(question: str) -> int:
    """How many words of a question say what it is about."""
    return len({word for word in re.findall(r"[^\W\d_]{3,}", question.lower()) if not _SMALL.fullmatch(word)})
