"""Showing nano where to look: a second loss that names, for each answer, the sentence that one head should have in view when it chooses.

Of forty tokens of an answer one carries the choice of the sentence, and the cross-entropy of that token hardly tells a small network how to
choose: left alone, choosing comes tens of millions of tokens after copying. The training text is our own, so the right sentence's place is
known, and attention can be taught directly (as in pointer networks, arXiv 1506.03134, and supervised attention, arXiv 1608.04207).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


# What each watched head is taught. The question that stands before the passages: a passage's words see the same word in it (ASKED), and one
# that means nearly the same (NEAR), or nothing, which is the first token; the end of a sentence sees those of its words that were asked for, and
# itself (GATHER), so that what it sees of itself tells how few they are. Later questions: their words find themselves in the sentence that
# answers (MATCH, NEAR); the place where the answer is chosen sees the question's telling words (RECALL). Then it sees the sentence (CHOOSE). A
# sentence's words see its first one, where a quote begins (ORIGIN); for copying, each word sees the two before it, and a quote's word the one
# that follows it in the passage, and an answer's the one in the quote (PREVIOUS, SECOND, COPY): digits and small words
# stand everywhere, and two tokens tell where one does not. Where the answer begins, the question is seen again (RECALL) and the quote's word that
# opens the answer (FIRST); all along the answer, the one that closes it (LAST), so that it neither stops short nor runs on.
MATCH, RECALL, CHOOSE, ORIGIN, PREVIOUS, COPY, GATHER, ASKED, NEAR, SECOND, FIRST, LAST = range(12)
CHOICES = (CHOOSE, FIRST, LAST)  # what is chosen; all else leads there
_COMMON = 3  # a token that stands more often in the passages tells nothing
_ALIKE, _UNLIKE = 0.5, 0.3  # cosines of word vectors: from here on a word means nearly the same, up to here it does not
_SHOWN = 6  # of the words that were not asked for, every sixth is shown


class Aim(NamedTuple):
    """At token `at`, the head of `kind` should look at the tokens from `start` to `end` (not included)."""

    kind: int
    at: int
    start: int
    end: int


class Marks(NamedTuple):
    """Token ids: the marks around a quote, the one that opens an answer (at once, where it abstains), the tokenizer's joiner, the word that
    opens a question, the small words and marks that tell nothing in it, the marks that end a sentence, and
    the tokens that may follow one (a space, a line break or a turn's end opens them). `meaning` holds word vectors."""

    begin: int
    end: int
    answer: int
    joiner: int
    question: int
    small: frozenset[int] = frozenset()
    stops: frozenset[int] = frozenset()
    opens: frozenset[int] = frozenset()
    meaning: np.ndarray | None = None  # [vocabulary, size], of length one or zero


def aims(ids: list[int], answer: list[bool], marks: Marks) -> list[Aim]:
    """The aims of a conversation. An abstention's is the first token; a quote's the same tokens further up."""
    text = "".join(map(chr, ids))  # so that a run of tokens is found as a substring
    found = _asked(ids, text, answer, marks)
    for at in range(1, len(ids)):
        if not answer[at] or answer[at - 1]:
            continue
        if ids[at] == marks.answer:
            found.append(Aim(CHOOSE, at - 1, 0, 1))
        if ids[at] != marks.begin:
            continue
        close = ids.index(marks.end, at)
        first = at + 2 if ids[at + 1] == marks.joiner else at + 1  # it stands before a letter
        place = text.find(text[first:close], 0, at) if close > first else -1
        if place < 0:
            continue
        span = (place, place + close - first)
        found += [Aim(CHOOSE, at - 1, *span), Aim(CHOOSE, first - 1, *span)]
        shared = [n for n in range(span[0] + 1, span[1]) if text[n] in text[: span[0]] or n == span[1] - 1]
        found += [Aim(ORIGIN, n, span[0], span[0] + 1) for n in shared]
        for copied in (range(*span), range(first, close)):
            found += [Aim(PREVIOUS, n, n - 1, n) for n in copied[1:]]
            found += [Aim(SECOND, n, n - 2, n - 1) for n in copied[2:]]
        found += [Aim(COPY, first + n, span[0] + n + 1, span[0] + n + 2) for n in range(close - first - 1)]
        asked = text.rfind(chr(marks.question), 0, at)
        found += _answered(ids, text, range(first, close), range(asked, at - 1), answer, marks)
        if asked > place:
            seen, other = _telling(ids, text, span, range(asked + 1, at - 1), marks.small)
            found += [Aim(MATCH, n, *span) for n in seen]
            for n, (near, which) in zip(other, _alike([ids[n] for n in other], ids[slice(*span)], marks), strict=True):
                if near > _ALIKE:
                    found.append(Aim(NEAR, n, span[0] + which, span[0] + which + 1))
            if telling := seen or other:
                found += [Aim(RECALL, n, telling[0], telling[-1] + 1) for n in (at - 1, first - 1)]
    return found


def _answered(ids: list[int], text: str, quote: range, question: range, answer: list[bool], marks: Marks) -> list[Aim]:
    """What the answer after a quote should see: each of its tokens where it stands in the quote, the first and the last of them, and the question."""
    mark = text.find(chr(marks.answer), quote.stop)
    if mark < 0:
        return []
    begin = mark + 2 if ids[mark + 1] == marks.joiner else mark + 1
    end = next((n for n in range(begin, len(ids)) if not answer[n]), len(ids)) - 1  # the turn's end is not copied
    place = text.find(text[begin:end], quote.start, quote.stop) if end > begin else -1
    if place < 0:
        return []
    found, last = [Aim(FIRST, begin - 1, place, place + 1)], place + end - begin - 1
    if question.start > 0:
        found.append(Aim(RECALL, begin - 1, question.start, question.stop))
    for n in range(end - begin):
        found += [Aim(COPY, begin + n - 1, place + n, place + n + 1), Aim(LAST, begin + n - 1, last, last + 1)]
    return [*found, Aim(LAST, end - 1, last, last + 1)]


def _asked(ids: list[int], text: str, answer: list[bool], marks: Marks) -> list[Aim]:
    """What the passages should see of a question that stands before them."""
    until = answer.index(True) if True in answer else 0
    first, last = text.find(chr(marks.question), 0, until), text.rfind(chr(marks.question), 0, until)
    if first in (-1, last):
        return []
    length = next(n for n in range(1, len(ids)) if ids[first + n] != ids[last + n])
    telling = [n for n in range(first + 1, first + length) if ids[n] not in marks.small]
    places = {ids[n]: n for n in telling}
    begin = first + length
    alike = _alike(ids[begin:last], [ids[n] for n in telling], marks)
    found, seen = [], set()
    for n in range(begin, last):
        near, which = alike[n - begin]
        if ids[n] in places:
            found += [Aim(kind, n, places[ids[n]], places[ids[n]] + 1) for kind in (ASKED, NEAR)]
            seen.add(n)
        elif near > _ALIKE and ids[n] not in marks.small:
            found.append(Aim(NEAR, n, telling[which], telling[which] + 1))
            seen.add(n)
        elif near < _UNLIKE and n % _SHOWN == 0:
            found += [Aim(kind, n, 0, 1) for kind in (ASKED, NEAR)]
    for start, end in _sentences(ids, range(begin, last), marks):
        found += [Aim(GATHER, end, n, n + 1) for n in range(start, end + 1) if n in seen or n == end]
    return found


def _alike(passage: list[int], asked: list[int], marks: Marks) -> list[tuple[float, int]]:
    """For each token of a passage, how near the nearest of the asked ones is in meaning, and which that is."""
    if marks.meaning is None or not asked or not passage:
        return [(0.0, 0)] * len(passage)
    cosines = marks.meaning[passage] @ marks.meaning[asked].T
    return list(zip(cosines.max(axis=1).tolist(), cosines.argmax(axis=1).tolist(), strict=True))


def _sentences(ids: list[int], places: range, marks: Marks) -> Iterator[tuple[int, int]]:
    """Where each sentence or line begins, and its last token."""
    start = places.start
    for n in places:
        if ids[n] in marks.stops and ids[n + 1] in marks.opens:
            if n - start > 3:
                yield start, n
            start = n + 1


def _telling(ids: list[int], text: str, span: tuple[int, int], question: range, small: frozenset[int]) -> tuple[list[int], list[int]]:
    """The places of a question's telling tokens: those that the sentence has too, and those that no passage has (other words for the same)."""
    seen, other = [], []
    for n in question:
        if ids[n] in small:
            continue
        count = text.count(text[n], 0, question.start)
        if count == 0:
            other.append(n)
        elif count <= _COMMON and text[n] in text[span[0] : span[1]]:
            seen.append(n)
    return seen, other
