"""The same asked in other words: everyday English words that may stand for one another in a question.

People do not ask in the words of the document. A student whose every question repeats the sentence that answers it learns to refuse where words
are missing. The lists (otherwords.txt) are general English, written down before any question was looked at: one group a line, any word of which may
stand for any other. Nouns are bent to their plural, verbs to their five forms; `_` is a space. A word with `!` may stand for the others, and none
for it: it is of two parts of speech ("the change", "they change"), or means something else as well.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from random import Random

_REWORDED, _EACH = 0.6, 0.7  # the share of questions put in other words; of their words that have others, the share that is replaced


_ASKING = re.compile(r"(?:^|[.?!:] )[A-Z][a-z]+ $")  # a capital that only begins a sentence


@cache
def _lists() -> dict[str, list[list[str]]]:
    """The groups of each part of the file."""
    found: dict[str, list[list[str]]] = {}
    for line in resources.files(__package__).joinpath("otherwords.txt").read_text("utf-8").splitlines():
        if line.startswith("# "):
            part = found.setdefault(line[2:], [])
        elif line:
            part.append(line.split())
    return found


def _plural(noun: str) -> str:
    if noun.endswith("!"):
        return f"{_plural(noun[:-1])}!"
    if re.search(r"(?:[sxz]|ch|sh)$", noun):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


def _forms(verb: str) -> list[str]:
    """Base, third person, past, participle, -ing; only the first word of several is bent."""
    if verb.endswith("!"):
        base, third, past, participle, ing = _forms(verb[:-1])
        return [f"{base}!", f"{third}!", past, participle, f"{ing}!"]  # "purchased" is no noun
    first, _, rest = verb.partition("_")
    tail = f" {rest.replace('_', ' ')}" if rest else ""
    if first in (irregular := {line[0]: line for line in _lists()["irregular"]}):
        forms = irregular[first]
    else:
        stem = first[:-1] if first.endswith("e") else first
        past = f"{first[:-1]}ied" if re.search(r"[^aeiou]y$", first) else f"{stem}ed"
        forms = [first, _plural(first), past, past, f"{stem}ing"]
    return [form + tail for form in forms]


@cache
def others() -> dict[str, list[str]]:
    """Each known word (small letters) and what may stand for it. A form that is both past and participle has the words of both."""
    found: dict[str, list[str]] = {}

    def group(words: list[str]) -> None:
        """`words` that may be replaced are those without a mark."""
        plain = [word.replace("!", "") for word in words]
        for word in words:
            if " " not in word and "!" not in word:
                found.setdefault(word, []).extend(w for w in plain if w != word and w not in found[word])

    for nouns in _lists()["nouns"]:
        group(nouns)
        group([_plural(noun) for noun in nouns])
    for words in _lists()["others"]:
        group([word.replace("_", " ") for word in words])
    for verbs in _lists()["verbs"]:
        for at, alike in enumerate(zip(*map(_forms, verbs), strict=True)):
            bases = {_forms(verb)[0] for verb in verbs}
            # "come" is a participle too; in a question it is mostly the base.
            group([f"{form}!" if at and form in bases else form for form in alike])
    return found


@cache
def forms(part: str) -> frozenset[str]:
    """Every word of a part of the file, plurals of nouns too."""
    words = [word.rstrip("!") for line in _lists()[part] for word in line if "_" not in word]
    return frozenset(words) | (frozenset(map(_plural, words)) if part == "nouns" else frozenset())


@cache
def known_verbs() -> dict[str, tuple[str, str]]:
    """Each form of a known verb: its base, and which form it is (base, third, past). Where base and past are alike it is the base."""
    verbs = [v.rstrip("!") for part in ("verbs", "verbs that stand for no other") for line in _lists()[part] for v in line if "_" not in v]
    found: dict[str, tuple[str, str]] = {}
    for name, at in (("past", 2), ("third", 1), ("base", 0)):
        found |= {_forms(verb)[at]: (verb, name) for verb in verbs}
    return found


def reworded(question: str, r: Random) -> str:
    """The question with some of its everyday words replaced by others that mean nearly the same; names and the rest stay."""
    if r.random() >= _REWORDED:
        return question

    def other(found: re.Match[str]) -> str:
        if re.search(r"[A-Z]\w* $", question[: found.start()]) and found.start() > 0 and not _ASKING.search(question[: found.start()]):
            return found[0]  # part of a name: "Sadama street"
        known = others().get(found[0])
        return r.choice(known) if known and r.random() < _EACH else found[0]

    changed = re.sub(r"(?<![\w-])[a-z]+(?![\w-])", other, question)
    return re.sub(r"\b(a|an) (?=([a-z]))", lambda found: f"{'an' if found[2] in 'aeio' else 'a'} ", changed) if changed != question else question
