"""Pieces of documents that read like an answer: the text under a heading with all that is below it, of a length that an answer has.

The filters are those published for instruction backtranslation (arXiv 2308.06259, appendix E): length, repetitive sentences, headings of navigation
or in capitals, the share of capital letters. What the paper gives no figure for (how alike two sentences, how many capitals) is ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from ..llm.sentences import sentences
from ..records import Document
from ..seeds import digest

_LINE = re.compile(r"^ {0,3}(?:(#{1,6})(?:[ \t]+(\S.*?)??[ \t]*#*)?|(`{3,}|~{3,}).*)$", re.MULTILINE)
_MARKUP = re.compile(r"[*`_]|!?\[([^\]]*)\]\([^)]*\)")
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]|[^\W\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]+")
_FEWEST = 5  # words of a sentence that can be a repetition
_ACRONYM = 4  # letters of a heading in capitals that may be a name (FAQ, VPN)
SHORT, LONG = "a segment shorter than `shortest`", "a segment longer than `longest`, without a heading to part it at"
EMPTY, CAPITALS, NAVIGATION = "a heading without words", "a heading all in capitals", "a heading of navigation"
SHOUTED, REPEATED = "a segment with too many capital letters", "a segment of repetitive sentences"


class Limits(Protocol):
    """What a segment must keep to."""

    shortest: int
    longest: int
    capitals: float
    repeated: float
    ngram: int
    navigation: list[str]


class Piece(NamedTuple):
    """A piece of a document under a heading ("" where there is none), and why it is no segment ("" where it is one)."""

    heading: str
    text: str
    reason: str = ""

    def id(self, document: Document) -> str:
        return digest("segment", document.id, self.text)


class _Head(NamedTuple):
    level: int
    name: str
    start: int
    body: int


def segments(document: Document, limits: Limits) -> Iterator[Piece]:
    """The pieces of a document in its order, those that are segments and those that are not. No two overlap."""
    heads, text = _heads(document.text), document.text
    for piece in _under(document.title, text[: heads[0].start if heads else len(text)], limits):
        yield _judged(piece, limits)
    for piece in _trees(text, heads, len(text), limits):
        yield _judged(piece, limits)


def _heads(text: str) -> list[_Head]:
    """The Markdown headings; lines in code blocks are none."""
    found, fence = [], ""
    for match in _LINE.finditer(text):
        if match[3]:
            fence = match[3] if not fence else "" if match[3].startswith(fence) else fence
        elif not fence and (match[2] or match[0].strip("# \t") == ""):
            name = " ".join(_MARKUP.sub(r"\1", match[2] or "").split())
            found.append(_Head(len(match[1]), name, match.start(), match.end()))
    return found


def _trees(text: str, heads: Sequence[_Head], end: int, limits: Limits) -> Iterator[Piece]:
    """Each heading with what is below it, down to sub-headings where as a whole it is too long or holds one that is to be left out."""
    n = 0
    while n < len(heads):
        head, last = heads[n], n + 1
        while last < len(heads) and heads[last].level > head.level:
            last += 1
        stop = heads[last].start if last < len(heads) else end
        yield from _tree(text, heads[n:last], stop, limits)
        n = last


def _tree(text: str, heads: Sequence[_Head], end: int, limits: Limits) -> Iterator[Piece]:
    head, below = heads[0], heads[1:]
    whole = text[head.body : end].strip()
    if why := _bad_heading(head.name, limits):
        yield Piece(head.name, whole, why)
    elif not below or (len(whole) <= limits.longest and not any(_bad_heading(h.name, limits) for h in below)):
        if whole:
            yield Piece(head.name, whole, SHORT if len(whole) < limits.shortest else LONG if len(whole) > limits.longest else "")
    else:
        yield from _under(head.name, text[head.body : below[0].start], limits)
        yield from _trees(text, below, end, limits)


def _under(heading: str, text: str, limits: Limits) -> Iterator[Piece]:
    """Text without headings: whole paragraphs together, as many as fit."""
    held: list[str] = []
    for paragraph in [*(p.strip() for p in re.split(r"\n[ \t]*\n", text) if p.strip()), ""]:
        if held and (not paragraph or len("\n\n".join([*held, paragraph])) > limits.longest):
            whole = "\n\n".join(held)
            yield Piece(heading, whole, SHORT if len(whole) < limits.shortest else LONG if len(whole) > limits.longest else "")
            held = []
        if paragraph:
            held.append(paragraph)


def _bad_heading(name: str, limits: Limits) -> str:
    letters = [c for c in name if c.isalpha()]
    if not letters and not any(c.isdigit() for c in name):
        return EMPTY
    if name.isupper() and len(letters) > _ACRONYM:
        return CAPITALS
    return NAVIGATION if any(word.casefold() in name.casefold() for word in limits.navigation) else ""


def _judged(piece: Piece, limits: Limits) -> Piece:
    """The piece with what its sentences and letters say against it."""
    if piece.reason:
        return piece
    letters = [c for c in piece.text if c.isalpha()]
    if letters and sum(c.isupper() for c in letters) > limits.capitals * len(letters):
        return piece._replace(reason=SHOUTED)
    return piece._replace(reason=REPEATED) if repetitive(piece.text, limits.repeated, limits.ngram) else piece


def repetitive(text: str, share: float, n: int) -> bool:
    """Whether two sentences of a text have so many of their runs of n words in common (Jaccard)."""
    known: list[frozenset[tuple[str, ...]]] = []
    for sentence in sentences(text):
        words = _WORD.findall(sentence.casefold())
        if len(words) < max(_FEWEST, n):
            continue
        own = frozenset(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
        if any(len(own & other) >= share * len(own | other) for other in known):
            return True
        known.append(own)
    return False
