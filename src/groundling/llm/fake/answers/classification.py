"""The classification recipe: texts in the words of their label's meaning, and the label whose words a text has most of."""

from __future__ import annotations

import re
from typing import Any

from ..chance import share
from ..content import Asked

_WRITE = re.compile(
    r"\AWrite \d+ .*? that belong to the label below.*?\n\nLabel: ([^\n]*)\n\nOther labels:\n(.*?)\n\nOne text for each line, in this order:\n"
    r"(.*?)\n\n(?:These were written already.*)?Reply with JSON",
    re.DOTALL,
)
_CHOOSE = re.compile(r"\ALabels:\n((?:- [^\n]*\n)+)\nText: (.*)\n\nLabel:\Z", re.DOTALL)
_OPENINGS = ("Hello,", "Good morning,", "Dear all,", "Hi there,", "Excuse me,", "One thing:", "Again,", "Please help,")
_FRAMES = (
    "since {when} it is about {a} and {b}, nothing else", "{when} I wrote of {a}; what of {b}", "my neighbour says {a} means {b} {when}",
    "is {a} the same as {b}, as you told me {when}", "{a} came {when} and {b} did not", "I asked for {a} {when} because of {b}",
    "nobody could tell me {when} how {a} goes with {b}", "the matter of {a} is open {when}, and so is {b}",
)  # fmt: skip
_WHEN = ("on Monday", "last week", "in March", "yesterday", "two days ago", "this morning", "at noon", "on the 12th", "since spring", "by chance")


def answer(asked: Asked) -> Any | None:
    if found := _WRITE.match(asked.text):
        own = [w for w in _words(found[1]) if w not in _words(found[2])] or _words(found[1])
        count = len(re.findall(r"^\d+\. by ", found[3], re.MULTILINE))
        return {"texts": [_text(own, f"{asked.seed}:{asked.call}:{n}") for n in range(count)]}
    if found := _CHOOSE.match(asked.text):
        text, labels = set(_words(found[2])), found[1].removeprefix("- ").rstrip("\n").split("\n- ")
        best = max(sorted(labels), key=lambda label: len(text & set(_words(label))))
        return {"choice": best.partition(": ")[0]}
    return None


def _words(text: str) -> list[str]:
    """The words of four letters or more, once each."""
    return list(dict.fromkeys(w for w in re.findall(r"\w+", text.casefold()) if len(w) > 3))


def _text(own: list[str], key: str) -> str:
    """A message that has most words of its label, in an order, a frame and at a time that the key draws."""
    drawn = sorted(own, key=lambda w: share(key, w))
    pick = [_of(items, key, name) for name, items in (("opening", _OPENINGS), ("frame", _FRAMES), ("when", _WHEN))]
    said = pick[1].format(a=" ".join(drawn[: len(drawn) // 2 + 1]), b=" ".join(drawn[len(drawn) // 2 + 1 :] or drawn[:1]), when=pick[2])
    return f"{pick[0]} {said} (number {int(share(key, 'number') * 9000) + 1000})."


def _of(items: tuple[str, ...], key: str, name: str) -> str:
    return items[int(share(key, name) * len(items))]
