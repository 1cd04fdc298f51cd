"""The qa recipe: pairs of the kinds asked for, made of facts that the rules find in the passages."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Any, NamedTuple

from ...rules.facts import Fact, facts, sentences
from ..content import Asked

_PAIRS = re.compile(r"\AWrite questions and answers for the passages below.*?\.\n((?:- \w+: [^\n]*\n)+)(.*?)\n\nPassages:\n\n(.*)\Z", re.DOTALL)
_BEFORE = re.compile(r"^- (.*)$", re.MULTILINE)


class Found(NamedTuple):
    """A fact and the number of its passage."""

    at: int
    fact: Fact


def answer(asked: Asked) -> Any | None:
    if not (found := _PAIRS.match(asked.text)):
        return None
    kinds = re.findall(r"^- (\w+):", found[1], re.MULTILINE)
    texts = passages(found[3])
    used = set(_BEFORE.findall(found[2]))
    known = [Found(n, fact) for n, (title, text) in enumerate(texts) for fact in facts(text, title)]
    pairs, several = [], "must need at least two of the passages" in found[2]
    for kind in kinds:
        made = (_over_several if several else _over_one)(kind, known, used)
        if kind == "procedure" and not made and not several:
            made = _steps(texts[0], used)
        if made:
            used.add(made["question"])
            pairs.append({"kind": kind, **made})
    return {"pairs": pairs}


def passages(text: str) -> list[tuple[str, str]]:
    """Title and text of each numbered passage, as `grounding.numbered` writes them."""
    found, start = [], 0
    while text.startswith(f"[{len(found)}] ", start):
        end = text.find(f"\n\n[{len(found) + 1}] ", start)
        block = text[start + len(f"[{len(found)}] ") : end if end >= 0 else None]
        title, newline, rest = block.partition("\n")
        found.append((title, rest) if newline else ("", block))
        if end < 0:
            break
        start = end + 2
    return found


def _pair(question: str, answer: str, *found: Found) -> dict[str, Any]:
    return {"question": question, "answer": answer, "quotes": [{"passage": f.at, "quote": f.fact.quote} for f in found]}


def _over_one(kind: str, known: list[Found], used: set[str]) -> dict[str, Any] | None:
    """A pair about one fact, or about two for the kinds that need two."""
    fresh = [f for f in known if f.fact.question not in used and not any(f.fact.question in u for u in used)]
    if kind == "number":
        fresh = [f for f in fresh if re.search(r"\d", f.fact.answer)]
    if kind in ("fact", "number"):
        return _pair(fresh[0].fact.question, fresh[0].fact.answer, fresh[0]) if fresh else None
    if kind == "yes_no":
        return _pair(f"Is this so: {fresh[0].fact.quote.rstrip('.')}?", f"Yes: {fresh[0].fact.answer}.", fresh[0]) if fresh else None
    return _of_two(kind, fresh[0], fresh[1]) if len(fresh) > 1 else None


def _over_several(kind: str, known: list[Found], used: set[str]) -> dict[str, Any] | None:
    """A pair about two facts of different passages."""
    for a, b in permutations(known, 2):
        made = _of_two(kind, a, b)
        if a.at < b.at and made["question"] not in used and (kind != "number" or re.search(r"\d", made["answer"])):
            return made
    return None


def _of_two(kind: str, a: Found, b: Found) -> dict[str, Any]:
    one, other = a.fact, b.fact
    asked = f"{one.question.rstrip('?')}, and {other.question}"
    if kind == "comparison":
        return _pair(f"Compare: {asked}", f"{one.answer} in the one, {other.answer} in the other", a, b)
    if kind == "procedure":
        return _pair(f"In this order: {asked}", f"First {one.answer}, then {other.answer}", a, b)
    if kind == "yes_no":
        return _pair(f"Is both told: {asked}", f"Yes: {one.answer} and {other.answer}.", a, b)
    return _pair(asked, f"{one.answer}, {other.answer}", a, b)


def _steps(passage: tuple[str, str], used: set[str]) -> dict[str, Any] | None:
    """Two sentences in their order."""
    title, text = passage
    said = [s for s in sentences(text) if not s.startswith("#") and len(s) > 12][:2]
    question = f"How does one go about {title or said[0][:30]}?" if len(said) == 2 else ""
    if not question or question in used:
        return None
    return _pair(question, "; ".join(s.rstrip(".") for s in said), *(Found(0, Fact(question, s, s)) for s in said))
