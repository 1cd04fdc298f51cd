"""Text as the filters compare it: letter case, width, punctuation and white space aside."""

from __future__ import annotations

import re
import unicodedata

from ..records import Example

_CJK = "\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
CJK = re.compile(f"[{_CJK}]")
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")
_GAP = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"(?:(?<![a-z])[a-z]{1,20})?\d+(?:[.,:/-]?\d+)*|[〇一二三四五六七八九十百千万億兆]+")


def normal(text: str) -> str:
    """The text in small letters and usual widths, its punctuation as single spaces."""
    return _GAP.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def words(text: str) -> list[str]:
    """The words of a text; in Japanese, Chinese and Korean, which need no spaces between words, every character is one."""
    return _WORD.findall(normal(text))


def numbers(text: str) -> str:
    """All numbers and codes with digits in a text, sorted and once each. Texts that differ in them ask or say different things."""
    return " ".join(sorted(set(_NUMBER.findall(unicodedata.normalize("NFKC", text).casefold()))))


def said(example: Example, answer: bool = True) -> str:
    """What an example asks and answers. All abstentions are worded alike: theirs is left out."""
    return f"{example.question}\n{example.answer}" if answer and example.support != "abstain" else example.question


def before(example: Example) -> str:
    """The conversation that its question follows."""
    return "\n".join(f"{normal(turn.question)}\n{normal(turn.answer)}" for turn in example.history)


def kin(example: Example, text: str, apart: bool) -> tuple[str, ...]:
    """Only examples for which this is equal can repeat each other: one side of the split, one kind of support, one conversation before.

    And, if `apart`, the same numbers. A long conversation that two questions share must not make them alike; so it is no part of the text.
    """
    return example.split, example.support, before(example), numbers(text) if apart else ""
