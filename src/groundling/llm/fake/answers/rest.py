"""The search agent: each of its steps, the ranking of what was said in one, and whether an answer implies a reference.

A question is known where a passage states it (see `llm.rules.facts`); of any other, nothing that is found is of use.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ....grounding import ABSTAIN, is_refusal, language
from ...rules.facts import facts
from ..content import Asked

_QUESTION = r".*?\n\nQuestion: (.*?)\n\n"
_DECIDE = re.compile(rf"\AYou answer a question by searching a collection{_QUESTION}So far:\n(.*)\n\nSearches left: \d+\Z", re.DOTALL)
_SUMMARISE = re.compile(rf"\APassages were found for a question\.{_QUESTION}Searched for: .*?\n\nPassages:\n\n(.*)\Z", re.DOTALL)
_ANSWER = re.compile(rf"\AAnswer the question from the passages alone\. First copy{_QUESTION}So far:\n.*?\n\nPassages:\n\n(.*)\Z", re.DOTALL)
_CHECK = re.compile(rf"\ACheck an answer: does {_QUESTION}Answer: (.*?)\n\nQuoted:\n(.*?)\n\nPassages:\n\n(.*)\Z", re.DOTALL)
_RANK = re.compile(r"\ARank what an assistant said\..*?<<<\n(.*)\n>>>\n\nSaid:\n\n(.*)\Z", re.DOTALL)
_IMPLIES = re.compile(rf"\ADoes the answer imply the reference\?{_QUESTION}Answer: (.*)\n\nReference: (.*)\Z", re.DOTALL)


class Known(NamedTuple):
    """What states the answer to a question: the number of its passage, the answer, the quote."""

    at: int
    answer: str
    quote: str


def answer(asked: Asked) -> Any | None:
    text = asked.text
    if found := _RANK.match(text):
        return {"ranking": _ranking(asked, found[1], found[2])}
    if found := _IMPLIES.match(text):
        return {"choice": "yes" if f" {_plain(found[3])} " in f" {_plain(found[2])} " else "no"}
    if found := _DECIDE.match(text):
        return _decision(found[1], found[2])
    if found := _SUMMARISE.match(text):
        return _summary(_known(found[1], found[2]))
    if found := _ANSWER.match(text):
        return _answered(found[1], _known(found[1], found[2]))
    if found := _CHECK.match(text):
        return _checked(found[1], found[2], found[3], found[4])
    return None


@lru_cache(maxsize=4096)
def _known(question: str, shown: str) -> Known | None:
    blocks = re.split(r"(?:\A|\n\n)\[(\d+)\] ", shown)[1:]
    for number, block in zip(blocks[::2], blocks[1::2]):
        title, newline, rest = block.partition("\n")
        for fact in facts(rest if newline else block, title if newline else ""):
            if question in (fact.question, fact.asked):
                return Known(int(number), fact.answer, fact.quote)
    return None


def _decision(question: str, past: str) -> dict[str, str]:
    """Stop once something is of use; else search with other words of the question, as long as there are any."""
    done = {_plain(q) for q in re.findall(r"^\d+\. searched for: (.*)$", past, re.MULTILINE)}
    if re.search(r"^   passages of use: \d", past, re.MULTILINE):
        return {"action": "stop", "query": ""}
    words = re.findall(r"[\w'-]+", question)
    ways = [words, [w for w in words if len(w) > 3], [w for w in words if w[:1].isupper() or w[:1].isdigit()], words[len(words) // 2 :]]
    for way in ways:
        if way and _plain(" ".join(way)) not in done:
            return {"action": "search", "query": " ".join(way)}
    return {"action": "stop", "query": ""}


def _summary(known: Known | None) -> dict[str, Any]:
    if known is None:
        return {"summary": "None of these passages tells it.", "relevant": []}
    told = re.sub(r"[\[\]]", "", known.answer)
    return {"summary": f"It is told as {told} [{known.at}].", "relevant": [known.at]}


def _answered(question: str, known: Known | None) -> dict[str, Any]:
    if known is None:
        return {"quotes": [], "answer": ABSTAIN[language(question)]}
    return {"quotes": [{"passage": known.at, "quote": known.quote}], "answer": known.answer}


def _checked(question: str, said: str, quoted: str, shown: str) -> dict[str, Any]:
    """Passed is what holds the known answer; of a question that is not known, what quotes the passages."""
    known = _known(question, shown)
    quotes = [line.partition("] ")[2] for line in quoted.splitlines()]
    right = known.answer in said if known else any(q and q in shown for q in quotes)
    return {"passed": right, "quotes": [], "answer": ""} if right else {"passed": False, **_answered(question, known)}


def _ranking(asked: Asked, saw: str, said: str) -> list[int]:
    """First what the fake itself would have said, then what has most words in common with it; an abstention comes last of equals."""
    own = answer(msgspec.structs.replace(asked, text=saw))
    wanted = set(re.findall(r"\w+", json.dumps(own, ensure_ascii=False))) if own else set()
    texts = [part.partition("\n")[2] for part in re.split(r"\n\n#(?=\d+\n)", said)]

    def worth(n: int) -> tuple[bool, float, bool, bool, int]:
        value = _value(texts[n])
        words = set(re.findall(r"\w+", texts[n]))
        shared = len(words & wanted) / len(words | wanted) if wanted else 0.0
        return value == own, shared, not is_refusal(str(value.get("answer", ""))), bool(value.get("quotes")), -int(value.get("searches", 0))

    return sorted(range(len(texts)), key=lambda n: (worth(n), -n), reverse=True)


def _value(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w]+", " ", text.casefold()).split())
