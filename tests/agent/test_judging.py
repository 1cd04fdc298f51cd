"""Auto-evaluation: yes or no and nothing else, repeated under keys of their own, unscored cases neither right nor wrong."""

from __future__ import annotations

import asyncio
import json
from statistics import stdev
from typing import Any

import pytest

from groundling.agent.judging import REPETITIONS, Case, auto_evaluate
from groundling.llm.base import Reply, Request, call_key


class Judge:
    """Says what a function of the request gives."""

    name, fingerprint, documents_role = "judge", "judge/1", False

    def __init__(self, says: Any) -> None:
        self.says, self.requests = says, list[Request]()

    async def replies(self, requests: Any) -> list[Reply]:
        self.requests += requests
        return [Reply(text=self.says(r)) for r in requests]


def yes_if(condition: Any) -> Any:
    return lambda request: json.dumps({"choice": "yes" if condition(request) else "no"})


CASES = [
    Case("Q one", "thirty days", ["30 days", "thirty"]),
    Case("Q two", "blue", ["red"]),
    Case("Q three", None, ["x"]),
    Case("Q four", " ", ["x"]),
]


def test_the_mean_and_the_deviation_are_over_repetitions() -> None:
    judge = Judge(yes_if(lambda r: "thirty" in r.messages[0]["content"] or ("blue" in r.messages[0]["content"] and r.draw < 3)))
    told = asyncio.run(auto_evaluate(judge, [CASES] * REPETITIONS))
    shares = [0.5] * 3 + [0.25] * 7
    assert told.shares == shares and told.mean == pytest.approx(0.325) and told.sd == pytest.approx(stdev(shares))
    assert (told.n, told.unscored) == (40, 0)
    assert not any("Q three" in r.messages[0]["content"] or "Q four" in r.messages[0]["content"] for r in judge.requests), "nothing implies nothing"


def test_every_repetition_is_a_call_of_its_own() -> None:
    judge = Judge(yes_if(lambda r: True))
    asyncio.run(auto_evaluate(judge, [CASES] * 10))
    assert len({call_key("m", r) for r in judge.requests}) == len(judge.requests) == 30
    assert {r.temperature for r in judge.requests} == {0.5} and {r.draw for r in judge.requests} == set(range(10))
    assert judge.requests[0].schema["properties"]["choice"]["enum"] == ["yes", "no"]
    assert judge.requests[0].messages[0]["content"].endswith("Question: Q one\n\nAnswer: thirty days\n\nReference: 30 days")


def test_any_of_several_references_will_do() -> None:
    judge = Judge(yes_if(lambda r: r.messages[0]["content"].endswith("Reference: thirty")))
    assert asyncio.run(auto_evaluate(judge, [CASES[:2]])).shares == [0.5]


def test_what_cannot_be_judged_is_counted_and_is_not_wrong() -> None:
    judge = Judge(lambda r: "I think so" if "blue" in r.messages[0]["content"] else '{"choice": "yes"}')
    told = asyncio.run(auto_evaluate(judge, [CASES[:2]] * 2))
    assert told.shares == [1.0, 1.0] and (told.n, told.unscored) == (4, 2)
    lost = asyncio.run(auto_evaluate(Judge(lambda r: "perhaps"), [CASES[:1]]))
    assert lost.shares == [] and lost.mean is None and lost.sd is None and lost.unscored == 1


def test_a_single_repetition_has_no_deviation() -> None:
    told = asyncio.run(auto_evaluate(Judge(yes_if(lambda r: True)), [CASES[:1]]))
    assert told.mean == 1.0 and told.sd is None
