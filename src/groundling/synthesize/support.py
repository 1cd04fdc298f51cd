"""Whether a passage can support an answer, told by words: which of the answer's telling words and numbers stand in it, and in which sentence.

Words that the question holds already tell nothing, nor do those that stand in every text. Long words are compared by their beginnings, so that an
ending more or less does no harm; scripts without spaces by pairs of characters. A number must stand there as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ..llm.sentences import sentences

STEM = 6  # letters of a word that are compared
_DENSE = "\u30a0-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\u0e00-\u0e7f\u3005-\u3007"  # two of these say something
_KANA = "\u3040-\u309f"
_TOKEN = re.compile(rf"\d+(?:[.,:]\d+)*|[{_DENSE}]+|[{_KANA}]+|[^\W\d_{_DENSE}{_KANA}]+")
_THOUSANDS = re.compile(r"(?<=\d)[,\u00a0\u202f](?=\d{3}(?!\d))")
_STOP = frozenset(
    "no an in it at on by to of as is be we he if or so my up do go us am the and for are was but not you all can has had his her its our out "
    "who any one may per she him they them this that these those with from have been were will would could should must which what when where "
    "while there their then than also into only such more most some each every other about after before because between both does doing done "
    "make made very your here how why yes over under again just like eine einer einem einen nicht sind wird werden oder auch nach beim über "
    "dass dans pour avec sont cette cela plus para como este esta desde hasta этот этого этом чтобы если когда также только может были было "
    "будет".split()
)


class Support(NamedTuple):
    """How far a passage supports an answer: the share of its telling words, whether all its numbers are there, the share of the question's words."""

    answer: float
    numbers: bool
    question: float


@lru_cache(maxsize=1 << 14)
def telling(text: str) -> frozenset[str]:
    """The telling words and numbers of a text."""
    plain = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text))
    found: set[str] = set()
    kana: set[str] = set()
    for token in _TOKEN.findall(plain):
        if token[0].isdigit():
            found.add(token.replace(",", "."))
        elif re.match(f"[{_DENSE}]", token):
            found |= _pairs(token)
        elif re.match(f"[{_KANA}]", token):
            kana |= _pairs(token)
        elif (len(token) > 3 or (len(token) > 1 and token != token.lower())) and token.casefold() not in _STOP:
            found.add(token.casefold()[:STEM])
    return frozenset(found or kana)


def _pairs(run: str) -> set[str]:
    return {run[n : n + 2] for n in range(len(run) - 1)} or {run}


def wanted(question: str, answer: str) -> frozenset[str]:
    """What a passage must hold to support the answer; empty where words cannot tell (yes, no, one of two that the question names)."""
    return telling(answer) - telling(question)


def support(question: str, answer: str, title: str, text: str) -> Support:
    """How far a passage supports an answer to a question."""
    need, there, asked = wanted(question, answer), telling(f"{title}\n{text}"), telling(question)
    numbers = {w for w in need if w[0].isdigit()}
    return Support(len(need & there) / len(need) if need else 0.0, numbers <= there, len(asked & there) / len(asked) if asked else 1.0)


def best_sentences(question: str, answer: str, text: str | Sequence[str], count: int = 1) -> list[str]:
    """The sentences that hold most of the answer, word for word and in their order; each but the first adds something. None where none holds any.

    The text may be given in its sentences.
    """
    need, asked = set(wanted(question, answer)), telling(question)
    known = [s for s in (sentences(text) if isinstance(text, str) else text) if not s.startswith("#")]
    chosen: list[int] = []
    while need and len(chosen) < count:
        gains = [(len(need & telling(s)), len(asked & telling(s)), -n) for n, s in enumerate(known)]
        gain, _, place = max(gains, default=(0, 0, 0))
        if not gain:
            break
        chosen.append(-place)
        need -= telling(known[-place])
    return _in_order(known, chosen)


def _in_order(known: Sequence[str], chosen: Sequence[int]) -> list[str]:
    return list(dict.fromkeys(known[n] for n in sorted(chosen)))
