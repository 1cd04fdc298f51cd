"""A teacher for counting: it asks nobody, and replies in a usual form and length, so that every prompt of a recipe is really rendered.

It knows the tasks `questions`, `answer` (see `template`), `reasoned answer` (see the recipe `raft`), and those of `qa`, `grounded` and `rest`;
what another task's prompt or schema asks for, the fake teacher's rules say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .base import Reply, Request
from .schema import prompted
from .tokens import estimate, of_messages

QUESTION_WORDS, ANSWER_WORDS, REASON_WORDS = 14, 14, 45
ASSUMED = (
    f"{QUESTION_WORDS} words a question, a sentence of the passage a quote, {REASON_WORDS} words of reasoning where it is asked for, "
    f"{ANSWER_WORDS} words an answer; every answer kept"
)
SPREAD = (0.5, 2.0)  # replies may be half or twice as long


class StandIn:
    """Implements `base.Model` for estimates. Tokens are estimated from characters.

    With `native` a schema goes beside the messages, and an endpoint may or may not count it: it is left out of `tokens_in`, and `schema_share`
    tells by how much they would grow with it. Without, it is part of the prompt.
    """

    fingerprint = "stand-in/1"
    documents_role = False

    def __init__(self, native: bool = True, name: str = "stand-in") -> None:
        self.name = name
        self._native, self._bare, self._whole = native, 0.0, 0.0

    @property
    def schema_share(self) -> float:
        """Tokens of all schemas beside the messages, for each token of the messages."""
        return self._whole / self._bare - 1 if self._native and self._bare else 0.0

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        text, bare, whole = _said(request), of_messages(request.messages), of_messages(prompted(request).messages)
        self._bare, self._whole = self._bare + bare, self._whole + whole
        return Reply(text=text, tokens_in=round(bare if self._native else whole), tokens_out=max(1, round(estimate(text))))


def _said(request: Request) -> str:
    given = request.inputs
    passage = str(given.get("passage", ""))
    if request.task == "questions" and "count" in given:
        asked = [f"{n + 1}: {_words(passage, QUESTION_WORDS, n)}?" for n in range(given["count"])]
        return msgspec.json.encode({"questions": asked}).decode()
    if request.task == "answer" and passage:
        quote = _sentence(passage)
        return msgspec.json.encode({"quote": quote, "answer": _words(quote, ANSWER_WORDS)}).decode()
    if request.task == "reasoned answer" and passage:
        quote = _sentence(passage)
        said = {"quotes": [quote], "reasoning": _words(re.sub(r"[\[\]]", "", passage), REASON_WORDS), "answer": _words(quote, ANSWER_WORDS)}
        return msgspec.json.encode(said).decode()
    if request.task == "hypothesis":  # a reply of each draw's own, as a judge is asked about each that differs
        return _words(request.messages[-1]["content"], 2 * ANSWER_WORDS, ANSWER_WORDS * request.draw)
    if request.task in _SEVERAL:
        return msgspec.json.encode(_SEVERAL[request.task](given)).decode()
    from .fake.content import Call, Message, name_of, say

    call = Call(model="stand-in", messages=[Message(role=m["role"], content=m["content"]) for m in prompted(request).messages])
    return say(call, name_of(call), 0, "").content or ""


def _pairs(given: dict[str, Any]) -> dict[str, Any]:
    """For the recipe `qa`: a pair of each kind asked for, with a quote; two where the passages are several."""
    shown = list(enumerate(given["passages"]))[: 2 if given["several"] else 1]
    quotes = [{"passage": n, "quote": _sentence(text)} for n, text in shown]
    begin = {"yes_no": "yes, ", "number": "1 ", "list": "one, ", "procedure": "first, "}
    text, found = shown[0][1], []
    for n, kind in enumerate(given["kinds"]):
        answer = begin.get(kind, "") + _words(text, ANSWER_WORDS)
        found.append({"kind": kind, "question": f"{n + 1}: {_words(text, QUESTION_WORDS, n)}?", "answer": answer, "quotes": quotes})
    return {"pairs": found}


def _dialogues(given: dict[str, Any]) -> dict[str, Any]:
    """For the recipe `grounded`: as many questions as asked for, each numbered."""
    text, made = given["documents"][0], 0
    found = []
    for length in given["lengths"]:
        found.append({"questions": [f"{made + n + 1}: {_words(text, QUESTION_WORDS, made + n)}?" for n in range(length)]})
        made += length
    return {"dialogues": found}


def _grounded(given: dict[str, Any]) -> dict[str, Any]:
    """For the recipe `grounded`: an answer from the first document, in twice as many words as a short one has."""
    text = given["documents"][0]
    return {"relevant_doc_ids": [0], "quotes": [{"doc_id": 0, "quote": _sentence(text)}], "answer": _words(text, 2 * ANSWER_WORDS)}


def _agent(step: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """For the recipe `rest`: two searches, each with a passage of use, an answer with its quote, both checks passed."""

    def said(given: dict[str, Any]) -> dict[str, Any]:
        text = (given.get("texts") or ["nothing"])[0]
        if step == "decide":
            query = _words(given["question"], QUESTION_WORDS, given["searched"])
            return {"action": "search", "query": query} if given["searched"] < 2 else STOPPED
        if step == "summarise":
            return {"summary": _words(re.sub(r"[\[\]]", "", text), REASON_WORDS), "relevant": given["shown"][:1]}
        answer = _words(re.sub(r"[\[\]]", "", text), ANSWER_WORDS)
        found = {"quotes": [{"passage": n, "quote": _sentence(text)} for n in given["shown"][:1]], "answer": answer}
        return found if step == "answer" else {"passed": True, "quotes": [], "answer": ""}

    return said


STOPPED = {"action": "stop", "query": ""}
_STEPS = {f"agent {step}": _agent(step) for step in ("decide", "summarise", "answer", "relevance", "grounding")}
_RANK = {"agent rank": lambda given: {"ranking": list(range(given["count"]))}}
_SEVERAL = {"pairs": _pairs, "dialogues": _dialogues, "grounded": _grounded, **_STEPS, **_RANK}


def _sentence(passage: str) -> str:
    """A sentence of middling length."""
    sentences = [s for s in re.split(r"(?<=[.!?。！？])\s*|\n", passage) if s.strip()] or [passage]
    return sorted(sentences, key=len)[len(sentences) // 2].strip()


def _words(text: str, count: int, start: int = 0) -> str:
    """Words of the passage; of a script without spaces, as many characters as the words would have."""
    found = text.split()
    if len(found) * 12 < len(text):
        return text[start : start + 2 * count] or "?"
    return " ".join((found * (1 + (start + count) // max(1, len(found))))[start : start + count]) or "?"
