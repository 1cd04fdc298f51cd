"""How an answer and its sources read: one place for the API, the page and the terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ..records import Answer, Source

NO_ANSWER = "The model's reply holds no answer."
CUT = "The answer was cut at the longest reply: max_tokens of the request, or serve.max_tokens."


def numbered(sources: Sequence[Source]) -> list[Source]:
    """Sources with numbers from 1 in the order of first mention; quotes of one passage share one. Doing it twice changes nothing."""
    order = {number: place for place, number in enumerate(dict.fromkeys(s.number for s in sources), 1)}
    return [msgspec.structs.replace(s, number=order[s.number]) for s in sources]


def plain(answer: Answer) -> str:
    """The answer without marks; a sentence where the reply held none."""
    return answer.text.strip() or NO_ANSWER


def shown(answer: Answer, sources: Sequence[Source]) -> str:
    """The answer with its citation marks: `25 days [1][2]`. `sources` are numbered ones."""
    marks = "".join(f"[{number}]" for number in dict.fromkeys(s.number for s in sources))
    return f"{plain(answer)} {marks}" if marks and not answer.abstained else plain(answer)


def place(source: Source) -> str:
    """Where a source stands: `handbook.pdf, page 3`."""
    return ", ".join([*([source.path] if source.path else []), *([f"page {source.page}"] if source.page is not None else [])])


def _strange(answer: Answer) -> bool:
    """Whether more than half of an answer's words are found in none of its quotes, nor in the question. Without a quote nothing can be told."""
    known = " ".join([q.text for q in answer.quotes] + [answer.question]).casefold()
    words = re.findall(r"\w+", answer.text.casefold())
    return bool(answer.quotes) and sum(word not in known for word in words) * 2 > len(words)


def warnings(answer: Answer, sources: Sequence[Source], finish: str = "stop") -> list[str]:
    """What a reader should know before relying on the answer, as sentences."""
    verbatim = {s.quote for s in sources if s.quote}
    loose = [q.text for q in answer.quotes if q.text not in verbatim]
    found = []
    if not answer.abstained and not sources:
        found.append("No source: the answer names no passage that it rests on.")
    if not answer.abstained and loose:
        many = len(loose) > 1
        found.append(f"{f'{len(loose)} quotes do' if many else 'A quote does'} not stand in the passages word for word.")
    if not answer.abstained and _strange(answer):
        found.append("Most words of the answer stand neither in its quotes nor in the question.")
    if answer.invalid:
        found.append(f"The model named passages that it was not shown: {', '.join(answer.invalid)}.")
    return [*found, CUT] if finish == "length" else found
