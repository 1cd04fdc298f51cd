"""A teacher for counting: it asks nobody, and replies in a usual form and length, so that every prompt of a recipe is really rendered.

It knows the tasks `questions` and `answer` (see `template`); what another task's prompt or schema asks for, the fake teacher's rules say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from .base import Reply, Request
from .schema import prompted
from .tokens import estimate, of_messages

QUESTION_WORDS, ANSWER_WORDS = 14, 14
ASSUMED = f"{QUESTION_WORDS} words a question, a sentence of the passage a quote, {ANSWER_WORDS} words an answer; every answer kept"
SPREAD = (0.5, 2.0)  # replies may be half or twice as long


class StandIn:
    """Implements `base.Model` for estimates. Tokens are estimated from characters.

    With `native` a schema goes beside the messages, and an endpoint may or may not count it: it is left out of `tokens_in`, and `schema_share`
    tells by how much they would grow with it. Without, it is part of the prompt.
    """

    name = "stand-in"
    fingerprint = "stand-in/1"
    documents_role = False

    def __init__(self, native: bool = True) -> None:
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
        sentences = [s for s in re.split(r"(?<=[.!?。！？])\s*|\n", passage) if s.strip()] or [passage]
        quote = sorted(sentences, key=len)[len(sentences) // 2].strip()
        return msgspec.json.encode({"quote": quote, "answer": _words(quote, ANSWER_WORDS)}).decode()
    from .fake.content import Call, Message, name_of, say

    call = Call(model="stand-in", messages=[Message(role=m["role"], content=m["content"]) for m in prompted(request).messages])
    return say(call, name_of(call), 0, "").content or ""


def _words(text: str, count: int, start: int = 0) -> str:
    """Words of the passage; of a script without spaces, as many characters as the words would have."""
    found = text.split()
    if len(found) * 12 < len(text):
        return text[start : start + 2 * count] or "?"
    return " ".join((found * (1 + (start + count) // max(1, len(found))))[start : start + count]) or "?"
