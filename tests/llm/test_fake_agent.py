"""The fake teacher at the agent's steps, by the agent's own prompts: a changed prompt that it no longer knows fails here."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from groundling.agent import Lookup, steps
from groundling.agent.judging import Case, _request
from groundling.agent.ranking import ranked
from groundling.llm.base import Reply, Request
from groundling.llm.fake.content import Call, Message, name_of, say
from groundling.llm.rules.facts import facts
from groundling.llm.schema import prompted
from groundling.llm.standin import StandIn
from groundling.llm.structured import structured
from groundling.records import Passage, Quote

LEAVE = Passage(id="a", title="Leave", text="Staff in Finland have 25 days of leave. The lift of Turku was repaired within 12 days.")
OTHER = Passage(id="b", title="Lunch", text="Lunch is served at noon. [1] A footnote.")
FACT = facts(LEAVE.text, LEAVE.title)[0]
KNOWN = Lookup(query="leave", passages=[0, 1], summary="It is told [0].", relevant=[0])
UNKNOWN = Lookup(query="leave", passages=[1], summary="Nothing.", relevant=[])


class Fake:
    """The fake's words, without its server."""

    name, fingerprint, documents_role = "fake", "fake/1", False

    async def replies(self, requests: Any) -> list[Reply]:
        return [Reply(text=said(r)) for r in requests]


def said(request: Request) -> str:
    call = Call(model="m", messages=[Message(role=m["role"], content=m["content"]) for m in prompted(request).messages])
    return say(call, name_of(call), 0, "").content or ""


def step(kind: str, question: str = FACT.asked, **state: Any) -> Any:
    """What the fake says to a step, and that it may be gone on with."""
    seen = steps.State(question, [LEAVE, OTHER], **{"left": 9, "shown": [0, 1], **state})
    value = steps.STEPS[kind].shape.model_validate_json(said(steps.request(kind, seen, 0.5, 0)))
    assert steps.fault_of(value, seen) == ""
    return value


def test_a_question_leads_to_a_search_and_what_is_of_use_to_a_stop() -> None:
    first = step("decide", shown=[])
    assert first.action == "search" and all(word in FACT.asked for word in first.query.split())
    assert step("decide", lookups=[KNOWN]).action == "stop"
    second = step("decide", lookups=[Lookup(query=first.query, passages=[1], summary="Nothing.", relevant=[])])
    assert second.action == "search" and second.query != first.query
    tried = [first.query, second.query]
    while (again := step("decide", lookups=[Lookup(query=q, passages=[1], summary="Nothing.") for q in tried])).action == "search":
        tried.append(again.query)
        assert len(tried) < 9
    assert len(tried) == len(set(tried)), "in the end its words are used up"


def test_snippets_that_hold_the_answer_are_named() -> None:
    told = step("summarise", lookups=[KNOWN])
    assert told.relevant == [0] and FACT.answer in told.summary and "[0]" in told.summary
    assert step("summarise", lookups=[UNKNOWN], shown=[1]).relevant == []
    swapped = steps.State(FACT.asked, [OTHER, OTHER, LEAVE], lookups=[KNOWN], left=9, shown=[0, 2])
    assert json.loads(said(steps.request("summarise", swapped, 0.5, 0)))["relevant"] == [2]


def test_the_answer_comes_with_its_citation_or_is_an_abstention() -> None:
    told = step("answer", lookups=[KNOWN])
    assert (told.answer, told.quotes) == (FACT.answer, [steps.Cited(passage=0, quote=FACT.quote)])
    none = step("answer", lookups=[UNKNOWN], shown=[1])
    assert none.quotes == [] and none.answer == "Not in the documents."
    assert step("answer", "Кто основал Турку?", lookups=[UNKNOWN]).answer == "В документах этого нет."


@pytest.mark.parametrize("check", ["relevance", "grounding"])
def test_checks_pass_what_is_right_and_mend_what_is_wrong(check: str) -> None:
    quotes = [Quote(text=FACT.quote, passage=0)]
    assert step(check, answer=f"They have {FACT.answer}", quotes=quotes).passed
    wrong = step(check, answer="31 kg", quotes=quotes)
    assert (wrong.passed, wrong.answer, wrong.quotes[0].quote) == (False, FACT.answer, FACT.quote)
    assert step(check, "Who founded Turku?", answer="Nobody", quotes=[Quote(text="Lunch is served", passage=1)]).passed
    assert step(check, "Who founded Turku?", answer="Nobody", quotes=[Quote(text="Never written", passage=1)]).answer == "Not in the documents."


RIGHT = {"quotes": [{"passage": 0, "quote": FACT.quote}], "answer": FACT.answer}
WORSE = {"quotes": [{"passage": 0, "quote": "The lift of Turku"}], "answer": "It was repaired within some days"}
GIVEN_UP = {"quotes": [], "answer": "Not in the documents."}


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 0, 2]])
def test_the_ranking_prefers_the_right_one(order: list[int]) -> None:
    saw = steps.prompt("answer", steps.State(FACT.asked, [LEAVE, OTHER], [KNOWN], 9, [0, 1]))
    given = [RIGHT, WORSE, GIVEN_UP]
    found = asyncio.run(ranked(Fake(), saw, [json.dumps(given[n]) for n in order]))
    assert [given[order[n]] for n in found][0] == RIGHT and [given[order[n]] for n in found][-1] == GIVEN_UP


def test_of_whole_answers_the_one_with_quotes_and_fewer_searches_is_preferred() -> None:
    def whole(searches: int, value: dict) -> str:
        return json.dumps({"searches": searches, "quotes": [q["quote"] for q in value["quotes"]], "answer": value["answer"]})

    given = [whole(1, GIVEN_UP), whole(3, RIGHT), whole(1, RIGHT)]
    assert asyncio.run(ranked(Fake(), f"Question: {FACT.asked}", given)) == [2, 1, 0]


def test_it_says_whether_an_answer_implies_a_reference() -> None:
    def verdict(answer: str) -> str:
        return json.loads(said(_request(Case("How many?", answer, ["25 days"]), "25 days", 0, 0.5)))["choice"]

    assert [verdict("They have 25 days."), verdict("They have 26 days."), verdict("125 days")] == ["yes", "no", "no"]


def test_the_stand_in_walks_through_every_step() -> None:
    """For a plan without a pilot: two searches, then an answer that the checks pass."""
    nobody = StandIn()
    for kind in steps.STEPS:
        state = steps.State(FACT.asked, [LEAVE, OTHER], [KNOWN, UNKNOWN], 8, [0, 1], "25 days", [Quote(text=FACT.quote, passage=0)])
        value = asyncio.run(structured(nobody, steps.request(kind, state, 0.5, 0), steps.STEPS[kind].shape))
        assert isinstance(value, steps.STEPS[kind].shape) and steps.fault_of(value, state) == "", kind
    first = asyncio.run(structured(nobody, steps.request("decide", steps.State(FACT.asked, left=10), 0.5, 0), steps.Decision))
    assert first.action == "search" and value.passed
    assert asyncio.run(ranked(nobody, "x", ["a", "b", "c"])) != []
