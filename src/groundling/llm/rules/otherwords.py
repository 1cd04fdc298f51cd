"""The same asked in other words: everyday English words that may stand for one another in a question.

People do not ask in the words of the document. A student whose every question repeats the sentence that answers it learns to refuse where words
are missing. The lists (otherwords.txt) are general English, written down from knowledge of the language alone: no question of any set was looked at.
One group a line, any word of which may stand for any other. Nouns are bent to their plural, verbs to their five forms; `_` is a space. A word with
`!` may stand for the others, and none for it: it is of two parts of speech ("the change", "they change"), or means something else as well. A verb
with one `!` keeps its past forms ("purchased" is no noun); with `!!` none of its forms is replaced. Some words and compounds stay as they are
("post office"), and so does every word of a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib import resources
from random import Random

_REWORDED, _EACH = 0.8, 0.9  # the share of questions put in other words; of their words that have others, the share that is replaced


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
    if found := re.match(r"([a-z]+)(_(?:of|in|out)(?:_\w+)?)$", noun):
        return _plural(found[1]) + found[2]
    if re.search(r"(?:[sxz]|ch|sh)$", noun):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search(r"[^aeiou]y$", noun) else f"{noun}s"


def _forms(verb: str) -> list[str]:
    """Base, third person, past, participle, -ing; only the first word of several is bent."""
    if verb.endswith("!!"):
        return [f"{form}!" for form in _forms(verb[:-2])]
    if verb.endswith("!"):
        base, third, past, participle, ing = _forms(verb[:-1])
        return [f"{base}!", f"{third}!", past, participle, f"{ing}!"]  # "purchased" is no noun
    first, _, rest = verb.partition("_")
    tail = f" {rest.replace('_', ' ')}" if rest else ""
    if first in (irregular := {line[0]: line for line in _lists()["irregular"]}):
        forms = irregular[first]
    else:
        stem = first[:-1] if first.endswith("e") else first
        if re.fullmatch(r"[^aeiou]*[aeiou][bdgklmnprt]", first):
            stem += first[-1]  # "plan", "planned"
        past = f"{first[:-1]}ied" if re.search(r"[^aeiou]y$", first) else f"{stem}ed"
        forms = [first, _plural(first), past, past, f"{first if first.endswith('ee') else stem}ing"]
    return [form + tail for form in forms]


@cache
def others() -> dict[str, list[str]]:
    """Each known word or phrase (small letters) and what may stand for it."""
    found: dict[str, list[str]] = {}

    def group(words: list[str]) -> None:
        """`words` that may be replaced are those without a mark."""
        plain = [word.replace("!", "") for word in words]
        for word in words:
            if "!" not in word:
                known = found.setdefault(word, [])
                known.extend(w for w in plain if w != word and w not in known)

    for things in _lists()["nouns"]:
        group([thing.replace("_", " ") for thing in things])
        group([_plural(thing).replace("_", " ") for thing in things])
    for words in _lists()["others"] + _lists()["nouns without a plural"]:
        group([word.replace("_", " ") for word in words])
    for verbs in _lists()["verbs"]:
        bent = list(map(_forms, verbs))
        bases = {forms[0] for forms in bent}
        for at, alike in enumerate(zip(*bent, strict=True)):
            # "come" is a participle too; in a question it is mostly the base. Where past and participle are alike ("started"), nothing tells which of
            # them a question holds: only words of which that is true as well stand for it, never "began".
            marked = [f"{form}!" if at and form in bases else form for form in alike]
            double = [forms[2].replace("!", "") == forms[3].replace("!", "") for forms in bent]
            if at not in (2, 3):
                group(marked)
                continue
            group([form for form, same in zip(marked, double, strict=True) if same])
            group([f"{form}!" if same and "!" not in form else form for form, same in zip(marked, double, strict=True)])
    for word in _stay():
        found.pop(word, None)
    return {word: known for word, known in found.items() if known}


@cache
def _stay() -> frozenset[str]:
    return frozenset(word.replace("_", " ") for line in _lists()["words that stay"] for word in line)


@cache
def _words() -> re.Pattern[str]:
    """Finds the phrases of several words that stay or may be replaced, longest first, and single words."""
    several = sorted({word for word in others().keys() | _stay() if " " in word}, key=lambda phrase: (-len(phrase), phrase))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, several))}|[a-z]+(?:-[a-z]+)*)(?![\w-])")


@cache
def forms(part: str) -> frozenset[str]:
    """Every word of a part of the file, plurals of nouns too."""
    words = [word.rstrip("!") for line in _lists()[part] for word in line if "_" not in word]
    return frozenset(words) | (frozenset(map(_plural, words)) if part in ("nouns", "nouns that stand for no other") else frozenset())


@cache
def nouns() -> frozenset[str]:
    return frozenset().union(*map(forms, ("nouns", "nouns without a plural", "nouns that stand for no other")))


@cache
def known_verbs() -> dict[str, tuple[str, str]]:
    """Each form of a known verb: its base, and which form it is (base, third, past). Where base and past are alike it is the base."""
    verbs = [v.rstrip("!") for part in ("verbs", "verbs that stand for no other") for line in _lists()[part] for v in line if "_" not in v]
    found: dict[str, tuple[str, str]] = {}
    for name, at in (("past", 2), ("third", 1), ("base", 0)):
        found |= {_forms(verb)[at]: (verb, name) for verb in verbs}
    return found


def reworded(question: str, r: Random, names: Iterable[str] = ()) -> str:
    """The question with some of its everyday words replaced by others that mean nearly the same; `names` (in any letters) and the rest stay."""
    if r.random() >= _REWORDED:
        return question
    spans = _spans(question.lower(), names)
    said, at = [], 0
    for found in _words().finditer(question):
        before, behind = question[: found.start()], question[found.end() :]
        known = others().get(found[0])
        named = any(start < found.end() and found.start() < end for start, end in spans)
        named = named or bool(re.search(r"[A-Z]\w* $", before) and not _ASKING.search(before))  # part of a name: "Sadama street"
        if not known or named or _compound(found[0], before, behind) or r.random() >= _EACH:
            continue
        other = r.choice(known)
        said += [re.sub(r"\b(an?) $", f"{_article(other)} ", question[at : found.start()]), other]
        at = found.end()
    return "".join([*said, question[at:]])


def _spans(small: str, names: Iterable[str]) -> list[tuple[int, int]]:
    """Where names stand in a question of small letters, in the plural too."""
    found = []
    for name in names:
        at = small.find(name)
        while name and at >= 0:
            found.append((at, at + len(name) + 1))
            at = small.find(name, at + 1)
    return found


def _compound(word: str, before: str, behind: str) -> bool:
    """Whether a noun makes one name with the noun beside it: "city bike", "theft insurance"."""
    beside = {*re.findall(r"([a-z'-]+) $", before), *re.findall(r"^ ([a-z'-]+)", behind)}
    return word in nouns() and (before.endswith("ing ") or not beside.isdisjoint(nouns() - known_verbs().keys()))


def _article(word: str) -> str:
    """`a` or `an`, by how the word is spoken: "an hour", "a user"."""
    spoken = re.match(r"(?:[aeio]|u(?!ni[^nm]|[st][aeiu]|r[ai]n)|hour|honest|heir|X-)", word) and not re.match(r"(?:one|once|eu)", word)
    return "an" if spoken or word.startswith("ID") else "a"
