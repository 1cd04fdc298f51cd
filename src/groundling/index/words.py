"""Text → search terms, for English, Russian, Japanese and whatever else writes words with spaces between them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

VERSION = 1  # raise it when terms change: an index made of other terms is refused
CJK = "\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
PIECE = re.compile(rf"[{CJK}]+|[^\W_{CJK}]+(?:[-./,'’_][^\W_{CJK}]+)*")
CJK_RUN = re.compile(rf"[{CJK}]")
# Accents go on Latin letters only ("Kaltiojarvi" finds "Kaltiojärvi"); on Cyrillic and kana they make another letter.
PLAIN = {code: unicodedata.normalize("NFD", chr(code))[0] for code in range(0xC0, 0x250) if unicodedata.decomposition(chr(code))} | {
    ord("ё"): "е",
    ord("ø"): "o",
    ord("’"): "'",
}
STOP = frozenset(
    "a an and are as at be been by can could did do does for from had has have how i if in is it its may of on or s that the their them "
    "there these they this to was were what when where which who whom whose why will with would you your "
    "а без бы был была были было быть в вам вас во все вы где для до его ее если есть еще же за и из или им их к как какая какие какой "
    "каком какую ко когда кто ли мы на над не него нет но о об от по под при с со так такой то того тоже только том ты у уже что чтобы "
    "это этого этой этот я".split()
)
# Endings of Russian nouns, adjectives and verbs, longest first; what stays has at least three letters.
RUSSIAN = re.compile(
    r"(?<=[а-я]{3})(?:иями|ями|ами|ией|иям|ием|иях|ого|его|ому|ему|ыми|ими|ешь|ишь|ете|ите|ется|ится|ются|ятся|ться|лась|лось|лись|лся|"
    r"ала|ало|али|ила|ило|или|ела|ело|ели|ать|ять|ить|еть|ают|яют|уют|ует|ает|яет|ует|ия|ии|ию|ье|ьи|ью|ья|ев|ов|ей|ой|ий|ый|ая|яя|ое|ее|"
    r"ые|ие|ую|юю|ых|их|ым|им|ом|ем|ам|ям|ах|ях|ут|ют|ат|ят|ет|ит|ал|ил|ел|а|я|о|е|ы|и|у|ю|ь|й)$"
)


def terms(text: str) -> list[str]:
    """The terms of a text or a query, in order, repeats included. Stop words are left out unless there is nothing else."""
    pieces = PIECE.findall(unicodedata.normalize("NFKC", text).casefold().translate(PLAIN))
    found = [term for piece in pieces for term in _terms(piece)]
    kept = [_stem(term) for term in found if term not in STOP]
    return kept or [_stem(term) for term in found]


def _terms(piece: str) -> list[str]:
    if CJK_RUN.match(piece):
        return [piece[n : n + 2] for n in range(len(piece) - 1)] or [piece]
    parts = re.split(r"[-./,'_]", piece)
    if len(parts) == 1:
        return parts
    if not any(c.isdigit() for c in piece):
        return [p for p in parts if p not in ("s", "t", "ll", "re", "ve")]
    if re.fullmatch(r"\d{1,3}(,\d{3})+", piece):
        return [piece.replace(",", "")]
    if re.fullmatch(r"\d+[.,]\d+", piece):
        return [piece.replace(",", ".")]
    # A code is found by its whole ("E-14", "E14") and by its parts; a date by its whole and by its year.
    return ["".join(parts) if any(c.isalpha() for c in piece) else piece, *parts]


@lru_cache(maxsize=1 << 15)  # a text has the same words again and again
def _stem(word: str) -> str:
    """A word without the endings that grammar gives it. Crude, and the same for text and query."""
    if "а" <= word[0] <= "я":
        return RUSSIAN.sub("", word)
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    word = _plural(word)
    for ending in ("ing", "ed"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2 and re.search("[aeiouy]", stem):
            word = stem[:-1] if stem[-1] == stem[-2] and stem[-1] not in "lsz" else stem
            break
    if len(word) > 3 and word[-1] == "e":
        word = word[:-1]
    return word[:-1] + "i" if len(word) > 3 and word[-1] == "y" and word[-2] not in "aeiou" else word


def _plural(word: str) -> str:
    if word.endswith(("ies", "ied")) and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1] if word[-1] == "s" and word[-2] not in "sui" else word
