"""Passages that look right and are not: drawn for a question, and held against what they may not be.

A distractor never overlaps the passage with the answer, is no near-duplicate of it or of another one, does not hold the answer, does not say
the same of something else that the question does not tell apart, and comes from the same side of the split. What comparing needs of a text is
worked out once and kept for the last few thousand texts, so memory stays flat.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple
from zlib import crc32

from ..llm.sentences import sentences
from ..records import Chunk, Hit, Split

KEPT = 1 << 14  # texts of which sketches are remembered
TRIES = 200  # chunks drawn at random before it is said that there are no more that fit
_CJK = "\u3005-\u3007\u30a0-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"  # kana that only inflect are left out
_IDEOGRAPHS = re.compile(rf"[{_CJK}]")
_TOKEN = re.compile(rf"[\u3040-\u309f{_CJK}]|[^\W\u3040-\u309f{_CJK}]+")
_WORD = re.compile(r"\w{4,}")
_FACTORS = (0x9E3779B1, 0x85EBCA6B, 0xC2B2AE35, 0x27D4EB2F, 0x165667B1, 0x2545F491, 0x7FEB352D, 0x846CA68B)  # odd: each permutes 32 bits


class Told(NamedTuple):
    """A question with what answers it: no other passage shown beside it may do so too."""

    question: str
    quotes: tuple[str, ...]
    answer: str


class Shelf:
    """The chunks of a run by their side of the split, each side in the order given."""

    def __init__(self, chunks: Sequence[Chunk], split_of: Callable[[str], Split]) -> None:
        self._side_of = lru_cache(maxsize=KEPT)(split_of)
        self._sides: dict[Split, list[Chunk]] = {"train": [], "held_out": []}
        for chunk in chunks:
            self._sides[self._side_of(chunk.document)].append(chunk)

    def beside(self, oracle: Chunk, told: Told, near: float) -> Beside:
        """Where distractors for one question are gathered."""
        return Beside(self, oracle, told, near)

    def same_side(self, a: Chunk, b: Chunk) -> bool:
        return self._side_of(a.document) == self._side_of(b.document)

    def drawn(self, r: Random, like: Chunk) -> Iterator[Chunk]:
        """Chunks of the same side at random, none twice; all of them where they are few. The work does not grow with their number."""
        side = self._sides[self._side_of(like.document)]
        if len(side) <= TRIES:
            yield from r.sample(side, len(side))
            return
        seen: set[int] = set()
        while len(seen) < TRIES:
            n = int(r.random() * len(side))
            if n not in seen:
                seen.add(n)
                yield side[n]


class Beside:
    """The distractors of one question: `take` adds those candidates that fit, until there are enough."""

    def __init__(self, shelf: Shelf, oracle: Chunk, told: Told, near: float) -> None:
        self._shelf, self._oracle, self._near = shelf, oracle, near
        self._answers = answering(told)
        self._twin = twin(told, f"{oracle.title} {oracle.text}")
        self.chunks: list[Chunk] = []

    def take(self, candidates: Iterable[Chunk], until: int) -> None:
        if len(self.chunks) < until:
            for c in candidates:
                if self._fits(c):
                    self.chunks.append(c)
                    if len(self.chunks) >= until:
                        return

    def _fits(self, c: Chunk) -> bool:
        oracle = self._oracle
        overlaps = c.document == oracle.document and c.start < oracle.end and oracle.start < c.end
        if overlaps or c.id == oracle.id or not self._shelf.same_side(c, oracle) or self._answers(c.text) or self._twin(c):
            return False
        return not any(alike(c.text, other.text, self._near) for other in (oracle, *self.chunks))


def hits(found: Iterable[Hit]) -> Iterator[Chunk]:
    return (hit.chunk for hit in found)


def _plain(text: str) -> str:
    """A text in small letters, its white space made even."""
    return " ".join(text.casefold().split())


plain = lru_cache(maxsize=KEPT)(_plain)  # of passages, which come again and again


def answering(told: Told) -> Callable[[str], bool]:
    """What tells of a text whether it could itself answer: it has a quote, or it has the answer.

    White space and letter case aside. An answer of hardly any characters ("3", "no") stands in many texts that say nothing about the question: it
    counts only with four in ten of the question's words (in Chinese and Japanese, of its pairs of characters).
    """
    quotes = [p for p in map(_plain, told.quotes) if p]
    answer = _plain(told.answer).strip(".。!！ ")
    spaceless = bool(_IDEOGRAPHS.search(answer))
    short = len("".join(answer.split())) < (2 if spaceless else 3)
    words = _question_words(told.question, spaceless)

    def check(text: str) -> bool:
        said = plain(text)
        if any(q in said for q in quotes):
            return True
        if not answer or answer not in said or not (spaceless or _whole(answer, said)):
            return False
        return not short or not words or sum(w in said for w in words) >= 0.4 * len(words)

    return check


_SAID = 0.8  # the share of a quote's words that a sentence has which says the same of something else


def twin(told: Told, oracle: str) -> Callable[[Chunk], bool]:
    """What tells of a chunk whether it says the same as a quote with another answer, so that the question asks about both.

    "How often is the gasket changed?" is answered by each of two kettles' pages; with a word that only the right page has ("… of the K2"), by one.
    """
    answer = _words(told.answer)
    quotes = [words for quote in told.quotes if len(words := _words(quote) - answer) >= 4]
    telling = _words(told.question) & _words(oracle)

    def check(chunk: Chunk) -> bool:
        there = _words_of(chunk.text)
        close = [words for words in quotes if len(words & there) >= _SAID * len(words)]
        if not close or not any(len(words & said) >= _SAID * len(words) for words in close for said in _sentences(chunk.text)):
            return False
        return telling <= there | _words(chunk.title)

    return check


def _words(text: str) -> frozenset[str]:
    """The words of a text in small letters; where words have no spaces, its characters."""
    return frozenset(_TOKEN.findall(_plain(text)))


_words_of = lru_cache(maxsize=KEPT >> 4)(_words)  # of passages


@lru_cache(maxsize=KEPT >> 6)
def _sentences(text: str) -> tuple[frozenset[str], ...]:
    return tuple(map(_words, sentences(text)))


def _whole(words: str, text: str) -> bool:
    """Whether words stand in a text on their own: inside a longer word they are another."""
    at = text.find(words)
    while at >= 0:
        end = at + len(words)
        if not (at and _letter(text[at - 1])) and not (end < len(text) and _letter(text[end])):
            return True
        at = text.find(words, at + 1)
    return False


def _letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _question_words(question: str, spaceless: bool) -> set[str]:
    said = _plain(question)
    if spaceless:
        run = "".join(_IDEOGRAPHS.findall(said))
        return {run[n : n + 2] for n in range(len(run) - 1)}
    return set(_WORD.findall(said))


def alike(a: str, b: str, near: float) -> bool:
    """Whether two texts say the same: at least `near` of their runs of three words (three characters where words have no spaces) are common.

    Two texts that differ in a number are not alike: in price lists and data sheets that is all the difference there is. White space, letter case
    and punctuation do not count.
    """
    if a == b:
        return True
    if near >= 1 or sketch(a).isdisjoint(sketch(b)):
        return plain(a) == plain(b)
    one, other = runs(a), runs(b)
    common = len(one & other)
    return common >= near * (len(one) + len(other) - common) and _numbers(a) == _numbers(b)


def runs(text: str) -> frozenset[int]:
    """Hashes of the runs of three words of a text; of a shorter one, of all of it."""
    tokens = _TOKEN.findall(plain(text))
    return frozenset(crc32(" ".join(tokens[n : n + 3]).encode()) for n in range(max(1, len(tokens) - 2)))


@lru_cache(maxsize=KEPT)
def sketch(text: str) -> frozenset[int]:
    """A few smallest hashes of a text's runs, each under a permutation of its own (MinHash).

    Of two texts that share four fifths of their runs, all differ once in 400,000 times; of two that share none, hardly ever one agrees.
    """
    found = runs(text)
    return frozenset(min((h * factor + n) & 0xFFFFFFFF for h in found) * len(_FACTORS) + n for n, factor in enumerate(_FACTORS))


def _numbers(text: str) -> frozenset[str]:
    return frozenset(t for t in _TOKEN.findall(plain(text)) if any(c.isdigit() for c in t))
