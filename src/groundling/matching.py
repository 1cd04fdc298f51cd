"""Answers as text: normalised, split into tokens, compared with the accepted ones.

The rules are those of SQuAD's evaluation (lower case, no punctuation, no articles, single spaces), with four differences:

* Unicode's punctuation counts, not only ASCII's, and full-width characters equal their plain ones, so that Japanese and Russian work.
* Scripts written without spaces are compared character by character.
* A separator of thousands is dropped, but a decimal point and a minus sign stay: SQuAD's rules make 3.5 equal 35.
* Where nothing but an article is left of an answer ("A", a grade), it stays.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

_UNSPACED = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:[,'\u2019\u00a0\u202f ]\d{3})+(?![\d])")
_KEPT = re.compile(r"(?<=\d)\.(?=\d)|(?<!\S)-(?=\d)")
_NUMERALS = frozenset("〇零一二三四五六七八九十百千万億兆")
_ARTICLES = frozenset(("a", "an", "the"))
_DROPPED = frozenset(("Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sc", "Sk", "Sm"))  # Unicode's kinds of ASCII's punctuation
EXTRA = 6  # words an answer may have beside the accepted one and still be correct


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.replace("\u2212", "-")).lower()
    text = _THOUSANDS.sub(lambda found: re.sub(r"\D", "", found.group()), text)
    text = re.sub(r"(?<=\d),(?=\d)", ".", text)  # what is no separator of thousands is a decimal comma
    kept = {found.start() for found in _KEPT.finditer(text)}
    return "".join(c for n, c in enumerate(text) if n in kept or unicodedata.category(c) not in _DROPPED)


def tokens(text: str, articles: bool = False) -> list[str]:
    """The normalised tokens: words, or characters in scripts that write no spaces. `articles` keeps English articles."""
    found = _TOKEN.findall(_plain(text))
    return found if articles else [t for t in found if t not in _ARTICLES] or found


def exact(answer: str, gold: str) -> bool:
    """Whether two texts are equal after normalisation; texts of nothing but punctuation are compared as they are."""
    a, g = tokens(answer), tokens(gold)
    return a == g if a or g else answer.strip() == gold.strip()


def f1(answer: str, gold: str) -> float:
    """The harmonic mean of the shares of tokens that answer and gold have in common (SQuAD)."""
    a, g = tokens(answer), tokens(gold)
    if not a or not g:
        return float(exact(answer, gold))
    common = sum((Counter(a) & Counter(g)).values())
    return 2 * common / (len(a) + len(g))


def rouge_l(answer: str, gold: str) -> float:
    """ROUGE-L: the F-measure of the longest common subsequence of tokens, articles included."""
    a, g = tokens(answer, articles=True), tokens(gold, articles=True)
    if not a or not g:
        return float(exact(answer, gold))
    return 2 * _longest(a, g) / (len(a) + len(g))


def _longest(a: Sequence[str], b: Sequence[str]) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        diagonal = 0
        for n, y in enumerate(b, 1):
            diagonal, row[n] = row[n], diagonal + 1 if x == y else max(row[n], row[n - 1])
    return row[-1]


def best(measure: Callable[[str, str], float], answer: str, golds: Iterable[str]) -> float:
    """The highest of a measure over the accepted answers."""
    return max((float(measure(answer, gold)) for gold in golds), default=0.0)


def correct(answer: str, golds: Iterable[str]) -> bool:
    """THE rule for a correct answer: equal to an accepted one after normalisation, or holding it whole among at most six further words.

    "You get 25 days of leave" is correct for "25 days"; a page that mentions 25 days somewhere is not, and neither is "125 days". Two
    characters of an unspaced script count as a word. The rule is lenient towards "25 or 30 days"; no rule on words sees through that.
    """
    return any(exact(answer, gold) or _holds(tokens(answer), tokens(gold)) for gold in golds)


def _holds(a: list[str], g: list[str]) -> bool:
    if not g or _words(a) > _words(g) + EXTRA:
        return False
    return any(a[n : n + len(g)] == g and _whole(a, n, n + len(g)) for n in range(len(a) - len(g) + 1))


def _words(found: list[str]) -> float:
    return sum(0.5 if re.fullmatch(f"[{_UNSPACED}]", t) else 1 for t in found)


def _whole(a: list[str], start: int, end: int) -> bool:
    """Whether a span of characters is not a piece of a longer Japanese number: 十日 in 二十日 is not ten days."""
    cut_before = start > 0 and a[start] in _NUMERALS and a[start - 1] in _NUMERALS
    cut_after = end < len(a) and a[end - 1] in _NUMERALS and a[end] in _NUMERALS
    return not (cut_before or cut_after)


def contains(text: str, piece: str) -> bool:
    """Whether a piece stands in a text, whatever the case and the white space."""
    wanted = "".join(piece.split()).casefold()
    return bool(wanted) and wanted in "".join(text.split()).casefold()
