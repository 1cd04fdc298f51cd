"""The teacher that is no model: rules pick sentences that state facts, ask about them, and answer with a verbatim quote.

It reads `task` and `inputs` of a request and replies in the form that a language model is asked for:
`questions` (passage, title, count) -> {"questions": […]}; `answer` (passage, title, question) -> {"quote": …, "answer": …}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from ..errors import ModelError
from ..seeds import rng
from .base import Reply, Request
from .rules.facts import Fact, facts

_KEPT = 256  # passages whose facts are remembered: each is asked about once, and once more for every answer


@lru_cache(maxsize=_KEPT)
def _known(passage: str, title: str) -> Mapping[str, Fact]:
    """The facts of a passage by the question that is asked about each, in the order of the text."""
    return {fact.asked: fact for fact in facts(passage, title)}


class Template:
    """Implements `base.Model` without a model."""

    name = "template"
    fingerprint = "template/6"
    documents_role = False

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        return [self.reply(request) for request in requests]

    def reply(self, request: Request) -> Reply:
        """The reply to one request. Raises ModelError for a task that the rules do not know."""
        given = request.inputs
        if request.task == "questions":
            return Reply(text=msgspec.json.encode({"questions": self._questions(given)}).decode())
        if request.task == "answer":
            fact = _known(given["passage"], given["title"]).get(given["question"])
            said = {"quote": fact.quote, "answer": fact.answer} if fact else {"quote": "", "answer": ""}
            return Reply(text=msgspec.json.encode(said).decode())
        raise ModelError(
            f'The teacher "template" cannot do the task "{request.task}": it only asks and answers about stated facts. '
            "Set synthesize.teacher to a language model."
        )

    def _questions(self, given: dict) -> list[str]:
        """Up to `count` questions, spread over different sentences before a sentence is asked about twice."""
        found = list(_known(given["passage"], given["title"]).items())
        rng(0, "template", given["passage"]).shuffle(found)
        seen: dict[str, int] = {}
        order = []
        for asked, fact in found:
            seen[fact.quote] = seen.get(fact.quote, 0) + 1
            order.append((seen[fact.quote], len(order), asked))
        return [asked for _, _, asked in sorted(order)[: given["count"]]]
