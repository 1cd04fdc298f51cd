"""The state machine with a scripted model: every transition, every end, every fault."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from groundling.agent import Agent, Settings, Trajectory, of_index, steps
from groundling.llm.base import Reply, Request
from groundling.records import Chunk, Hit, Quote

from .agent_world import BETTER, GIVEN_UP, GOOD, LEAVE, PRICE, QUESTION, SCALE, SEARCH, STOP, TOLD, Scripted, Shelf, usual, walked


def walk(said: dict[str, list[Any]], **more: Any) -> tuple[Trajectory, Scripted, Shelf]:
    return asyncio.run(walked(said, **more))


def query(words: str) -> dict[str, str]:
    return {"action": "search", "query": words}


def test_the_usual_way_goes_through_every_state_once() -> None:
    told, model, shelf = walk(usual())
    assert model.kinds() == ["decide", "summarise", "decide", "answer", "relevance", "grounding"] == [s.kind for s in told.steps]
    assert shelf.asked == [("leave", 3)]
    assert (told.outcome, told.answer, told.citations, told.revised, told.fault) == ("answered", "30 days", [0], [], "")
    assert told.quotes == [Quote(text="Staff in Finland have 30 days of leave.", passage=0)] and told.passages == [LEAVE, PRICE]
    assert [(look.query, look.passages, look.summary, look.relevant) for look in told.lookups] == [("leave", [0, 1], "Staff have 30 days [0].", [0])]
    assert told.told.citations == [0] and told.told.finish == "stop" and not told.told.abstained
    with pytest.raises(AttributeError):
        told.answer = "31 days"  # type: ignore[misc]
    assert msgspec.json.decode(msgspec.json.encode(told), type=Trajectory) == told


def test_each_step_sees_what_it_needs_and_asks_for_its_shape() -> None:
    _, model, _ = walk(usual())
    first, summary, second, answer, relevance, grounding = (r.messages[0]["content"] for r in model.requests)
    assert first.endswith(f"Question: {QUESTION}\n\nSo far:\n(nothing yet)\n\nSearches left: 10")
    assert summary.endswith(f"Searched for: leave\n\nPassages:\n\n[0] Leave\n{LEAVE.text}\n\n[1] Prices\n{PRICE.text}")
    assert second.endswith("1. searched for: leave\n   passages of use: 0. Staff have 30 days [0].\n\nSearches left: 9")
    assert answer.endswith(f"Passages:\n\n[0] Leave\n{LEAVE.text}") and PRICE.text not in answer, "only what summaries named as of use"
    for check in (relevance, grounding):
        assert "\n\nAnswer: 30 days\n\nQuoted:\n[0] Staff in Finland have 30 days of leave.\n\nPassages:" in check
    assert [r.schema["title"] for r in model.requests] == ["Decision", "Summary", "Decision", "Answered", "Checked", "Checked"]
    assert {r.temperature for r in model.requests} == {0.5}


def test_it_searches_again_until_it_stops_and_known_passages_keep_their_numbers() -> None:
    said = usual(
        decide=[SEARCH, query("scale"), STOP], summarise=[{"summary": "Nothing helps.", "relevant": []}, {"summary": "So [1].", "relevant": [2]}]
    )
    said["answer"] = [{"quotes": [{"passage": 2, "quote": "weighs 12 kg"}], "answer": "12 kg"}]
    told, model, shelf = walk(said)
    assert [q for q, _ in shelf.asked] == ["leave", "scale"] and told.passages == [LEAVE, PRICE, SCALE]
    assert [look.passages for look in told.lookups] == [[0, 1], [2, 1]] and told.citations == [2]
    assert (
        model.requests[4]
        .messages[0]["content"]
        .endswith(
            "1. searched for: leave\n   passages of use: none. Nothing helps.\n2. searched for: scale\n   passages of use: 2. So [1].\n\nSearches left: 8"
        )
    )
    assert model.requests[5].messages[0]["content"].endswith("Passages:\n\n[2] The Katla 200 weighs 12 kg."), "a passage without a title"


def test_where_no_summary_named_a_passage_all_are_shown() -> None:
    _, model, _ = walk(usual(summarise=[{"summary": "Nothing helps.", "relevant": []}]))
    assert LEAVE.text in model.requests[3].messages[0]["content"] and PRICE.text in model.requests[3].messages[0]["content"]


@pytest.mark.parametrize("most", [1, 3])
def test_after_the_last_search_nobody_is_asked_whether_to_search(most: int) -> None:
    def more(request: Request) -> dict[str, str]:
        return query(f"leave{request.inputs['searched']}")

    shelf = Shelf({f"leave{n}": [LEAVE] for n in range(9)})
    model = Scripted(usual(decide=[more]))
    told = asyncio.run(Agent(model, shelf, Settings(searches=most, samples=1)).ask(QUESTION))
    assert len(shelf.asked) == most and model.kinds().count("decide") == most and told.outcome == "answered"
    assert f"Searches left: {1}" in [r for r in model.requests if r.task == "agent decide"][-1].messages[0]["content"]


def test_the_same_search_again_ends_the_searching() -> None:
    told, _, shelf = walk(usual(decide=[SEARCH, query(" Leave?")]))
    assert len(shelf.asked) == 1 and told.outcome == "answered" and told.fault == "searched for before"
    assert told.steps[2].samples[0].fault == "searched for before" and told.steps[2].chosen is None


def test_where_a_search_finds_nothing_it_decides_again_without_a_summary() -> None:
    told, model, _ = walk(usual(decide=[query("nothing"), SEARCH, STOP]))
    assert model.kinds()[:3] == ["decide", "decide", "summarise"] and told.outcome == "answered"
    assert "1. searched for: nothing\n   passages of use: none. nothing was found" in model.requests[1].messages[0]["content"]
    assert [look.passages for look in told.lookups] == [[], [0, 1]]


def test_where_nothing_at_all_was_found_it_abstains_unasked() -> None:
    told, model, _ = walk(usual(decide=[query("nothing"), STOP]))
    assert (told.outcome, told.answer, told.quotes, told.passages) == ("abstained", "Not in the documents.", [], [])
    assert "answer" not in model.kinds() and told.told.abstained


def test_an_abstention_is_not_checked() -> None:
    told, model, _ = walk(usual(answer=[{"quotes": [], "answer": "The documents do not say."}]))
    assert (told.outcome, told.answer, told.citations) == ("abstained", "Not in the documents.", [])
    assert model.kinds()[-1] == "answer"


@pytest.mark.parametrize("check", ["relevance", "grounding"])
def test_a_check_that_fails_brings_the_better_answer(check: str) -> None:
    told, model, _ = walk(usual(**{check: [BETTER]}))
    assert (told.answer, told.revised, told.outcome) == ("They have 30 days", [check], "answered")
    assert told.quotes == [Quote(text="30 days of leave", passage=0)] and model.kinds()[-2:] == ["relevance", "grounding"]
    if check == "relevance":
        assert "\n\nAnswer: They have 30 days\n\nQuoted:\n[0] 30 days of leave\n" in model.requests[-1].messages[0]["content"]


def test_both_checks_may_revise_and_the_last_word_counts() -> None:
    last = {"passed": False, "quotes": [{"passage": 0, "quote": "Staff in Finland"}], "answer": "Thirty days"}
    told, _, _ = walk(usual(relevance=[BETTER], grounding=[last]))
    assert (told.answer, told.revised) == ("Thirty days", ["relevance", "grounding"])


@pytest.mark.parametrize("check", ["relevance", "grounding"])
def test_a_check_may_find_that_there_is_no_answer(check: str) -> None:
    told, model, _ = walk(usual(**{check: [{"passed": False, **GIVEN_UP}]}))
    assert (told.outcome, told.answer, told.quotes, told.revised) == ("abstained", "Not in the documents.", [], [check])
    assert model.kinds()[-1] == check


FAULTS = [
    ("decide", STOP, "stops before anything was searched for"),
    ("decide", query(" "), "an empty query"),
    ("decide", {"action": "look", "query": "leave"}, "the reply does not fit its schema"),
    ("decide", "I would search.", "no JSON object in the reply"),
    ("decide", None, "the call failed"),
    ("summarise", {"summary": " ", "relevant": [0]}, "an empty summary"),
    ("summarise", {"summary": "Staff have 30 days [7].", "relevant": [0]}, "names a passage that was not shown"),
    ("summarise", {"summary": "Staff have 30 days.", "relevant": [0, 5]}, "names a passage that was not shown"),
    ("answer", {**GOOD, "answer": ""}, "an empty answer"),
    ("answer", {**GOOD, "quotes": []}, "an answer without a quote"),
    ("answer", {**GIVEN_UP, "quotes": GOOD["quotes"]}, "an abstention with quotes"),
    ("answer", {**GOOD, "answer": "30 days [0]"}, "the answer names passages by their numbers"),
    ("answer", {**GOOD, "quotes": [{"passage": 1, "quote": "480 EUR"}]}, "quotes a passage that was not shown"),
    ("answer", {**GOOD, "quotes": [{"passage": 0, "quote": "Staff have 31 days."}]}, "quote not verbatim in its passage"),
    ("answer", {**GOOD, "quotes": [*GOOD["quotes"], {"passage": 0, "quote": " "}]}, "quote not verbatim in its passage"),
    ("relevance", {**BETTER, "answer": ""}, "an empty answer"),
    ("grounding", {**BETTER, "quotes": []}, "an answer without a quote"),
]


@pytest.mark.parametrize(("kind", "value", "fault"), FAULTS, ids=[f"{k}: {f} {n}" for n, (k, _, f) in enumerate(FAULTS)])
def test_a_faulty_reply_is_never_gone_on_with(kind: str, value: Any, fault: str) -> None:
    told, _, _ = walk(usual(**{kind: [value]}))
    assert (told.outcome, told.answer, told.quotes) == ("failed", "", []) and told.fault == f"{kind}: {fault}"
    assert told.steps[-1].kind == kind and told.steps[-1].chosen is None and told.told.finish == "error"


def test_a_faulty_sample_gives_way_to_one_without_a_fault() -> None:
    told, model, _ = walk(usual(answer=[[{**GOOD, "answer": ""}, {**GOOD, "quotes": []}, GOOD, None]]), samples=4)
    assert told.outcome == "answered" and told.answer == "30 days"
    step = told.steps[3]
    assert [s.fault for s in step.samples] == ["an empty answer", "an answer without a quote", "", "the call failed"]
    assert (step.chosen, step.by, step.valid) == (2, "only", [2])
    assert [r.draw for r in model.requests if r.task == "agent answer" and not r.attempt] == [0, 1, 2, 3]


def test_a_quote_with_other_white_space_is_kept_as_it_stands() -> None:
    told, _, _ = walk(
        usual(answer=[{**GOOD, "quotes": [{"passage": 0, "quote": "30  days\nof leave"}, {"passage": 0, "quote": "30 days of leave"}]}])
    )
    assert told.quotes == [Quote(text="30 days of leave", passage=0)]


THREE = [[query("leave"), query("scale"), query("leave"), query("nothing")], STOP]


def test_without_a_judge_and_log_probs_the_first_sample_goes_on() -> None:
    told, _, shelf = walk(usual(decide=THREE), samples=4)
    step = told.steps[0]
    assert (shelf.asked[0][0], step.by, step.order) == ("leave", "first", [])
    assert [(json.loads(s.said)["query"], s.times) for s in step.samples] == [("leave", 2), ("scale", 1), ("nothing", 1)], "equal ones are one"


def test_the_least_surprising_sample_goes_on_where_the_model_tells() -> None:
    told, model, shelf = walk(
        usual(decide=THREE, answer=[GIVEN_UP]), perplexity={"leave": 3.0, "scale": 1.5, "nothing": float("nan")}, samples=4, judge=Judge([9])
    )
    assert (shelf.asked[0][0], told.steps[0].by) == ("scale", "perplexity")
    assert model.shown == [{"role": "user", "content": steps.whole("decide", told.steps[0].prompt)}], "with the schema, as the model was asked"


class Judge:
    """Ranks by what the test wants: the texts' own words, the best first. Sees them in the order shown."""

    name, fingerprint, documents_role = "judge", "judge/1", False

    def __init__(self, best: list[Any]) -> None:
        self.best, self.requests = best, list[Request]()

    async def replies(self, requests: Any) -> list[Reply]:
        self.requests += requests
        return [Reply(text=json.dumps({"ranking": self._order(r)})) for r in requests]

    def _order(self, request: Request) -> list[int]:
        words = request.messages[0]["content"].rpartition("Said:\n\n")[2]
        shown = [part.partition("\n")[2] for part in words.split("\n\n#")]
        wanted = [next(n for n, text in enumerate(shown) if f'"{b}"' in text) for b in self.best]
        return wanted + [n for n in range(len(shown)) if n not in wanted]


def test_the_judge_s_best_goes_on_whatever_its_place() -> None:
    for best in ("leave", "scale", "nothing"):
        judge = Judge([best])
        told, _, shelf = walk(usual(decide=THREE, answer=[GIVEN_UP], summarise=[{"summary": "x", "relevant": []}]), judge=judge, samples=4)
        assert (shelf.asked[0][0], told.steps[0].by) == (best, "judge")
        assert json.loads(told.steps[0].samples[told.steps[0].order[0]].said)["query"] == best and sorted(told.steps[0].order) == [0, 1, 2]
        [request] = [r for r in judge.requests if "decide" not in r.task][:1]
        assert told.steps[0].prompt in request.messages[0]["content"] and request.temperature == 0
        assert request.schema["properties"]["ranking"]["minItems"] == request.schema["properties"]["ranking"]["maxItems"] == 3


def test_a_judge_is_never_shown_what_is_empty_or_faulty() -> None:
    judge = Judge([])
    said = usual(decide=[[query(""), query("leave"), STOP, query("scale")], STOP])
    walk(said, judge=judge, samples=4)
    words = judge.requests[0].messages[0]["content"].rpartition("Said:\n\n")[2]
    assert '"query":""' not in words and '"leave"' in words and '"scale"' in words


def test_a_judge_that_cannot_rank_leaves_the_first() -> None:
    class Mute(Judge):
        async def replies(self, requests: Any) -> list[Reply]:
            return [Reply(text='{"ranking": [0, 0, 1]}') for _ in requests]

    told, _, shelf = walk(usual(decide=THREE), judge=Mute([]), samples=4)
    assert (shelf.asked[0][0], told.steps[0].by, told.steps[0].order) == ("leave", "first", [])


def test_a_reward_model_ranks_by_its_scores() -> None:
    class Reward:
        async def scores(self, asked: Any) -> list[float]:
            return [{"leave": 0.1, "scale": 2.0, "nothing": -1.0}[json.loads(reply)["query"]] for _, reply in asked]

    told, _, shelf = walk(usual(decide=THREE, answer=[GIVEN_UP]), judge=Reward(), samples=4)
    assert (shelf.asked[0][0], told.steps[0].by, told.steps[0].order) == ("scale", "judge", [1, 0, 2])


def test_draws_of_other_trajectories_are_other_calls() -> None:
    model = Scripted(usual())
    agent = Agent(model, Shelf(), Settings(samples=2))
    asyncio.run(agent.ask(QUESTION, draw=3))
    assert {r.draw for r in model.requests} == {6, 7}


class Narrow(Scripted):
    """A model whose context holds prompts of so many characters."""

    limit = 0

    def fits(self, request: Request) -> bool:
        return len(request.messages[0]["content"]) <= self.limit


def test_passages_that_do_not_fit_are_left_out_and_counted() -> None:
    model = Narrow(usual(summarise=[{"summary": "So.", "relevant": [0]}]))
    model.limit = len(steps.prompt("summarise", steps.State(QUESTION, [LEAVE, PRICE], [told_look()], 9, [0]))) + 5
    model.limit = max(model.limit, 1000)
    told = asyncio.run(Agent(model, Shelf({"leave": [LEAVE, PRICE.__class__(id="z", title="", text="x" * 900)]}), Settings(samples=1)).ask(QUESTION))
    assert told.steps[1].left_out == 1 and "x" * 900 not in told.steps[1].prompt and told.outcome == "answered"


def told_look() -> Any:
    from groundling.agent import Lookup

    return Lookup(query="leave", passages=[0])


def test_a_prompt_that_cannot_fit_is_a_failure_with_its_reason() -> None:
    model = Narrow(usual())
    model.limit = 50
    told = asyncio.run(Agent(model, Shelf(), Settings(samples=1)).ask(QUESTION))
    assert told.outcome == "failed" and told.fault == "decide: the prompt does not fit into the model's context" and not model.requests


def test_the_index_is_searched_as_it_is() -> None:
    chunk = Chunk(id="k", document="d", path="d.md", title="T", text="x", start=0, end=1)
    found = asyncio.run(of_index(lambda words, count: [Hit(chunk=chunk, score=1.0)] * (words == "leave") * count)("leave", 2))
    assert [p.id for p in found] == ["k", "k"]


def test_a_search_that_finds_one_passage_twice_shows_it_once() -> None:
    told = asyncio.run(Agent(Scripted(usual()), Shelf({"leave": [LEAVE, LEAVE]}), Settings(samples=1)).ask(QUESTION))
    assert told.passages == [LEAVE] and told.lookups[0].passages == [0]


def test_a_search_that_finds_more_than_asked_for_is_cut() -> None:
    told = asyncio.run(Agent(Scripted(usual()), Shelf({"leave": [LEAVE, PRICE, SCALE]}), Settings(samples=1, snippets=2)).ask(QUESTION))
    assert told.passages == [LEAVE, PRICE]


def test_the_abstention_is_in_the_language_of_the_question() -> None:
    told = asyncio.run(Agent(Scripted(usual(answer=[GIVEN_UP])), Shelf(), Settings(samples=1)).ask("有給休暇は何日ですか？"))
    assert told.answer == "文書には書かれていません。" and told.outcome == "abstained"


def test_numbers_are_those_that_the_step_shows() -> None:
    value = steps.Summary.model_validate(TOLD)
    assert steps.fault_of(value, steps.State(QUESTION, shown=[1])) == "names a passage that was not shown"
    assert steps.fault_of(value, steps.State(QUESTION, shown=[0, 1])) == ""
