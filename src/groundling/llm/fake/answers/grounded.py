"""The grounded recipe: conversations about stated facts, and answers with the ids and the quotes of the documents that state them."""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ...rules.facts import facts
from ..chance import share
from ..content import Asked

_DIALOGUES = re.compile(
    r"\ABelow are documents that a search found\. Write \d+ conversations .*?The numbers of questions: ([\d, ]+)\..*?\n\nDocuments:\n(\[.*\])\Z",
    re.DOTALL,
)
_ANSWER = re.compile(
    r"\AAnswer the last question of the conversation from the documents alone\..*?\n\nDocuments:\n(\[.*?\])\n\nConversation:\n(.*)\Z", re.DOTALL
)
_LATER = "Further: "  # how a later question of a conversation begins


class Stated(NamedTuple):
    """A fact of a document, with the piece of its content that states it."""

    doc_id: int
    question: str
    answer: str
    quote: str


def answer(asked: Asked) -> Any | None:
    if found := _DIALOGUES.match(asked.text):
        return {"dialogues": _dialogues([int(n) for n in found[1].split(",")], _stated(found[2]), f"{asked.seed}:{asked.call}")}
    if found := _ANSWER.match(asked.text):
        return _answered(found[2].rpartition("User: ")[2].removeprefix(_LATER), _stated(found[1]))
    return None


@lru_cache(maxsize=256)
def _stated(documents: str) -> list[Stated]:
    """What the documents state, document by document; a content in HTML is read without its tags."""
    found = []
    for item in msgspec.json.decode(documents):
        shown, title = item["content"], item["title"] or ""
        for fact in facts(html.unescape(re.sub(r"<[^>]+>", "\n", shown)), title):
            quote = next((q for q in (fact.quote, html.escape(fact.quote, quote=False)) if q in shown), "")
            if quote:
                found.append(Stated(item["doc_id"], fact.question, fact.answer, quote))
    return found


def _dialogues(lengths: list[int], known: list[Stated], key: str) -> list[dict[str, list[str]]]:
    """Conversations of as many questions; the first of every second one asks about two documents at once. Fewer where the facts run out."""
    left = {s.question: s for s in sorted(known, key=lambda s: share(key, s.question))}
    made = []
    for n, length in enumerate(lengths):
        first = next(iter(left.values()), None)
        if first is None:
            break
        questions = [left.pop(first.question).question]
        other = next((s for s in left.values() if s.doc_id != first.doc_id), None)
        if n % 2 and other:
            questions = [f"{first.question} {left.pop(other.question).question}"]
        while len(questions) < length and left:
            questions.append(f"{_LATER}{left.pop(next(iter(left))).question}")
        made.append({"questions": questions})
    return made


def _answered(question: str, known: list[Stated]) -> dict[str, Any]:
    """All facts that the question asks for; nothing where a part of it is not stated."""
    found, rest = [s for s in known if s.question in question], question
    for s in found:
        rest = rest.replace(s.question, "")
    found = [] if rest.strip() else found
    ids = sorted({s.doc_id for s in found})
    return {
        "relevant_doc_ids": ids,
        "quotes": [{"doc_id": s.doc_id, "quote": s.quote} for s in found],
        "answer": " ".join(f"It is stated as {s.answer}." for s in found),
    }
