"""Invented names and values in Japanese and Russian writing, made from the Latin ones."""

from __future__ import annotations

import random
import re

from . import names

_KANA = dict(zip("a i u e o".split(), "アイウエオ", strict=True)) | {
    c + v: k
    for c, row in {
        "k": "カキクケコ", "s": "サシスセソ", "t": "タチツテト", "n": "ナニヌネノ", "h": "ハヒフヘホ", "m": "マミムメモ", "r": "ラリルレロ",
        "g": "ガギグゲゴ", "z": "ザジズゼゾ", "d": "ダヂヅデド", "b": "バビブベボ", "p": "パピプペポ", "y": "ヤイユエヨ", "w": "ワウウエヲ",
    }.items()
    for v, k in zip("aiueo", row, strict=True)
}  # fmt: skip
_AS_KANA = str.maketrans({"l": "r", "f": "h", "v": "b", "j": "z", "c": "k", "q": "k", "x": "k"})
_CYRILLIC = str.maketrans(
    dict(zip("abcdefghijklmnopqrstuvwxyz", "абкдефгхийклмнопкрстувуксз", strict=True))
    | dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "АБКДЕФГХИЙКЛМНОПКРСТУВУКСЗ", strict=True))
)
_UNITS = {
    "ja": {"duration": ("日間", "年間", "か月", "時間", "週間"), "money": ("円", "ユーロ", "ドル")},
    "ru": {"duration": (" дней", " лет", " месяцев", " часов", " недель"), "money": (" рублей", " евро", " долларов")},
}
_RU_MONTHS = "января февраля марта апреля мая июня июля августа сентября октября ноября декабря".split()


def _kana(word: str) -> str:
    text = word.lower().translate(_AS_KANA)
    pieces = re.findall(r"[kstnhmrgzdbpyw]?[aiueo]|[^aiueo\s]", text)
    return "".join(_KANA.get(p, "ン" if p in "nm" else "ス" if p == "s" else "ト" if p in "td" else "ル" if p == "r" else "") for p in pieces)


def transcribe(text: str, language: str) -> str:
    """An invented name in the script of `language`; model numbers and short codes stay Latin, as they do in real text."""
    if language == "en":
        return text
    text = re.sub(r"^the ", "", text)
    if language == "ru":
        return " ".join(w if any(c.isdigit() for c in w) else w.translate(_CYRILLIC) for w in text.split())
    return "・".join(w if any(c.isdigit() for c in w) else _kana(w) or w for w in text.strip('"').split())


def value(kind: str, r: random.Random, language: str) -> str:
    """A value as that language writes it."""
    if language != "en" and kind in _UNITS[language]:
        return f"{r.randrange(2, 99) if kind == 'duration' else r.randrange(10, 9000) * 10}{r.choice(_UNITS[language][kind])}"
    if language == "ja" and kind == "date":
        return f"{r.randrange(2000, 2031)}年{r.randrange(1, 13)}月{r.randrange(1, 29)}日"
    if language == "ru" and kind == "date":
        return f"{r.randrange(1, 29)} {r.choice(_RU_MONTHS)} {r.randrange(2000, 2031)} года"
    text = names.value(kind, r)
    return transcribe(text, language) if kind in ("person", "place", "company", "country") else text
