"""A search agent behind the same API: it searches by itself, cites as everything else does, and says when it came to nothing."""

from __future__ import annotations

import json
from typing import Any

from serve_help import QUOTE, make_service

from groundling.agent import Agent, Settings, of_index
from groundling.llm.base import Reply

PROVED = {"quotes": [{"passage": 0, "quote": "Staff have 25 days\nof leave a year."}], "answer": "25 days"}
SAID: dict[str, Any] = {
    "decide": [{"action": "search", "query": "leave"}, {"action": "stop", "query": ""}],
    "summarise": [{"summary": "They have 25 days [0].", "relevant": [0]}],
    "answer": [PROVED],
    "relevance": [{"passed": True, "quotes": [], "answer": ""}],
    "grounding": [{"passed": True, "quotes": [], "answer": ""}],
}


class Scripted:
    """Says a step's next value; whether it has searched is told by the prompt."""

    name, fingerprint, documents_role = "scripted", "scripted:1", False

    def __init__(self, said: dict[str, Any]) -> None:
        self.said, self.shown = said, ""

    async def replies(self, requests: Any) -> list[Reply]:
        kind, words = requests[0].task.removeprefix("agent "), requests[0].messages[0]["content"]
        self.shown += words
        value = self.said[kind][kind == "decide" and "(nothing yet)" not in words]
        return [Reply(text=json.dumps(value)) for _ in requests]


def agent_service(said: dict[str, Any] = SAID) -> Any:
    service = make_service({})
    return service._replace(agent=Agent(Scripted(said), of_index(service.search), Settings(samples=1)))


def test_the_agent_answers_in_the_place_of_the_answerer(serving: Any) -> None:
    service = agent_service()
    data = serving(service).ask("How much leave?").json
    assert data["choices"][0]["message"]["content"] == "25 days [1]"
    ours = data["groundling"]
    assert [(s["chunk"], s["quote"]) for s in ours["sources"]] == [("d1/days", QUOTE)]
    assert [p["id"] for p in ours["passages"]] == ["d1/days", "d1/hours", "d2/door"]
    assert ours["abstained"] is False and service.answerer.model.requests == []


def test_given_documents_are_all_that_it_finds(serving: Any) -> None:
    service = agent_service({**SAID, "answer": [{"quotes": [{"passage": 0, "quote": "12 kg"}], "answer": "12 kg"}]})
    data = serving(service).ask("How heavy?", documents=[{"title": "Scale", "content": "The scale weighs 12 kg."}]).json
    assert data["choices"][0]["message"]["content"] == "12 kg [1]"
    assert [p["title"] for p in data["groundling"]["passages"]] == ["Scale"]
    assert "The scale weighs 12 kg." in service.agent.model.shown and "25 days" not in service.agent.model.shown.partition("They have")[0]


def test_an_abstention_has_no_sources(serving: Any) -> None:
    data = serving(agent_service({**SAID, "answer": [{"quotes": [], "answer": "Not in the documents."}]})).ask("How much?").json
    assert data["groundling"]["abstained"] and data["groundling"]["sources"] == []


def test_where_it_comes_to_nothing_that_is_an_error(serving: Any) -> None:
    reply = serving(agent_service({**SAID, "answer": [{"quotes": [], "answer": ""}]})).ask("How much?")
    assert reply.status == 502 and "The agent came to no answer (answer: an empty answer)" in reply.text
