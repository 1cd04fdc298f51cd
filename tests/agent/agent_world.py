"""A model that says what the test wants step by step, and a search over a few passages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from groundling.agent import Agent, Settings, Trajectory
from groundling.llm.base import Reply, Request
from groundling.records import Passage

LEAVE = Passage(id="a", title="Leave", text="Staff in Finland have 30 days of leave. Kirsi Alanko approves every request.")
SCALE = Passage(id="b", title="", text="The Katla 200 weighs 12 kg.")
PRICE = Passage(id="c", title="Prices", text="The Katla 200 costs 480 EUR [1].")
SHELF = {"leave": [LEAVE, PRICE], "scale": [SCALE, PRICE], "nothing": []}
QUESTION = "How much leave do staff have?"

SEARCH = {"action": "search", "query": "leave"}
STOP = {"action": "stop", "query": ""}
TOLD = {"summary": "Staff have 30 days [0].", "relevant": [0]}
GOOD = {"quotes": [{"passage": 0, "quote": "Staff in Finland have 30 days of leave."}], "answer": "30 days"}
PASSED = {"passed": True, "quotes": [], "answer": ""}
BETTER = {"passed": False, "quotes": [{"passage": 0, "quote": "30 days of leave"}], "answer": "They have 30 days"}
GIVEN_UP = {"quotes": [], "answer": "Not in the documents."}


class Scripted:
    """Says for each step's kind the next of its values, and the last one for ever. A value is JSON, a text, or a function of the request.

    A list of values is what the samples of one step say, by their draw. `perplexity` gives each text one, where the model tells.
    """

    name, fingerprint, documents_role = "scripted", "scripted/1", False

    def __init__(self, said: dict[str, list[Any]], perplexity: dict[str, float] | None = None) -> None:
        self.said, self.requests, self._at = said, list[Request](), dict[str, int]()
        if perplexity is not None:
            self.perplexities = self._told
            self._perplexity = perplexity

    async def _told(self, messages: Any, replies: list[str]) -> list[float]:
        self.shown = messages
        return [self._perplexity[json.loads(r)["query"]] for r in replies]

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.requests += requests
        kind = requests[0].task.removeprefix("agent ")
        if requests[0].attempt == 0:
            self._at[kind] = self._at.get(kind, -1) + 1
        values = self.said[kind]
        value = values[min(self._at[kind], len(values) - 1)]
        return [self._reply(value, r) for r in requests]

    def _reply(self, value: Any, request: Request) -> Reply:
        if isinstance(value, list):
            value = value[request.draw % len(value)]
        if callable(value):
            value = value(request)
        if value is None:
            return Reply(text="", finish="error")
        return Reply(text=value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))

    def kinds(self) -> list[str]:
        """The steps asked for, in order; a step's samples count once."""
        found = [r.task.removeprefix("agent ") for r in self.requests if r.draw == 0 and r.attempt == 0]
        return found


def usual(**changes: list[Any]) -> dict[str, list[Any]]:
    """What a good model says: one search, an answer, two checks passed."""
    return {"decide": [SEARCH, STOP], "summarise": [TOLD], "answer": [GOOD], "relevance": [PASSED], "grounding": [PASSED], **changes}


class Shelf:
    """The search, which remembers what it was asked."""

    def __init__(self, found: dict[str, list[Passage]] | None = None) -> None:
        self.found, self.asked = found or SHELF, list[tuple[str, int]]()

    async def __call__(self, query: str, count: int) -> list[Passage]:
        self.asked.append((query, count))
        return self.found.get(query, [])


async def walked(said: dict[str, list[Any]], judge: Any = None, perplexity: Any = None, **settings: Any) -> tuple[Trajectory, Scripted, Shelf]:
    model, shelf = Scripted(said, perplexity), Shelf()
    agent = Agent(model, shelf, Settings(**{"samples": 1, **settings}), judge)
    return await agent.ask(QUESTION), model, shelf
