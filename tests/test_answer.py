"""Retrieve, ask, cite: the one path of evaluation, serving and chat."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.answer import Answerer, Asked, find, passages_of, sources
from groundling.grounding import ABSTAIN, FORMATS
from groundling.llm.base import Reply, Request
from groundling.records import Answer, Chunk, Hit, Quote

TEXT = "Preface.\n\nStaff have 25 days\nof leave. Ask Kirsi."


class Says:
    """A model that says what a function of the request gives, and remembers what it was asked."""

    name, fingerprint = "says", "says/1"

    def __init__(self, say, documents_role: bool = False) -> None:
        self.say, self.documents_role, self.calls = say, documents_role, []

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.calls.append(list(requests))
        return [r if isinstance(r := self.say(request), Reply) else Reply(text=r, tokens_in=10, tokens_out=2) for request in requests]


def chunk(name: str, text: str, start: int = 100) -> Chunk:
    return Chunk(id=name, document=f"d-{name}", path=f"{name}.md", title=name.upper(), text=text, start=start, end=start + len(text), page=3)


CHUNKS = {c.id: c for c in (chunk("a", TEXT), chunk("b", "Other matter."), chunk("c", "Ask Kirsi, or ask Aino."))}
PASSAGES = passages_of([Hit(chunk=c, score=1.0) for c in CHUNKS.values()])


def ask(model: Says, *questions: str, fmt: str = "raft") -> list[Answer]:
    return asyncio.run(Answerer(model, FORMATS[fmt]).answers([Asked(q, PASSAGES) for q in questions]))


def test_passages_keep_the_order_of_the_hits() -> None:
    assert [p.id for p in PASSAGES] == ["a", "b", "c"] and PASSAGES[0].text == TEXT and PASSAGES[0].title == "A"


def test_answers_come_in_the_order_asked_from_one_call() -> None:
    model = Says(lambda r: f"<ANSWER>: {r.messages[-1]['content'].split('Question: ')[-1]} [1]")
    answers = ask(model, "one", "two", "three")
    assert [a.text for a in answers] == [a.question for a in answers] == ["one", "two", "three"]
    assert len(model.calls) == 1 and [a.citations for a in answers] == [[1]] * 3
    assert (answers[0].tokens_in, answers[0].tokens_out, answers[0].finish) == (10, 2, "stop")


def test_the_model_is_asked_in_the_format_s_own_words() -> None:
    model = Says(lambda r: "x")
    ask(model, "How many?")
    assert model.calls[0][0].messages == FORMATS["raft"].prompt("How many?", PASSAGES)


def test_two_turns_are_two_calls_and_the_second_sees_the_first() -> None:
    model = Says(lambda r: "Kirsi" if r.messages[-1]["role"] == "assistant" else '{"relevant_doc_ids": [2]}', documents_role=True)
    [answer] = ask(model, "Whom?", fmt="two-turn")
    assert answer.turns == ['{"relevant_doc_ids": [2]}', "Kirsi"] and answer.citations == [2] and answer.text == "Kirsi"
    assert model.calls[1][0].messages == [*model.calls[0][0].messages, {"role": "assistant", "content": '{"relevant_doc_ids": [2]}'}]
    assert "documents" in [m["role"] for m in model.calls[0][0].messages], "this model knows the role"
    assert answer.tokens_in == 20 and answer.tokens_out == 4


def test_a_model_without_the_documents_role_gets_them_in_the_user_turn() -> None:
    model = Says(lambda r: "{}", documents_role=False)
    ask(model, "Whom?", fmt="two-turn")
    assert [m["role"] for m in model.calls[0][0].messages] == ["system", "user"]


def test_a_refusal_cites_nothing_whatever_it_writes() -> None:
    [answer] = ask(Says(lambda r: f"##begin_quote##Ask Kirsi.##end_quote## [0]\n<ANSWER>: {ABSTAIN['en']} [0]"), "Whom?")
    assert answer.abstained and answer.citations == []


@pytest.mark.parametrize(("finishes", "worst"), [(["stop", "length"], "length"), (["length", "error"], "error"), (["stop", "stop"], "stop")])
def test_the_worst_turn_is_the_answer_s_finish(finishes: list[str], worst: str) -> None:
    left = list(finishes)
    [answer] = ask(Says(lambda r: Reply(text="x", finish=left.pop(0))), "Whom?", fmt="two-turn")
    assert answer.finish == worst


def test_nothing_asked_is_nothing_answered() -> None:
    assert ask(Says(lambda r: "x")) == []


def answered(citations: list[int], *quotes: Quote) -> Answer:
    return Answer(question="q", passages=PASSAGES, turns=["t"], text="x", abstained=False, quotes=list(quotes), citations=citations)


def test_a_source_says_where_in_the_document_its_quote_stands() -> None:
    [source] = sources(answered([2], Quote(text="or ask Aino", passage=2)), CHUNKS)
    assert (source.number, source.chunk, source.document, source.path, source.page) == (2, "c", "d-c", "c.md", 3)
    assert (source.start, source.end) == (111, 122) and source.quote == "or ask Aino"


def test_a_quote_with_other_line_breaks_is_still_found() -> None:
    [source] = sources(answered([0], Quote(text="Staff have 25  days of leave.", passage=0)), CHUNKS)
    assert TEXT[source.start - 100 : source.end - 100] == "Staff have 25 days\nof leave."


def test_a_quote_that_is_not_verbatim_gets_no_span() -> None:
    [source] = sources(answered([0], Quote(text="Staff have 30 days of leave.", passage=0)), CHUNKS)
    assert source.chunk == "a" and source.quote is source.start is source.end is None


def test_every_cited_passage_is_listed_in_order_and_the_others_are_not() -> None:
    found = sources(answered([2, 0], Quote(text="Ask Kirsi", passage=0), Quote(text="Preface.", passage=0), Quote(text="Other", passage=1)), CHUNKS)
    assert [(s.number, s.quote) for s in found] == [(2, None), (0, "Ask Kirsi"), (0, "Preface.")]


def test_a_passage_that_is_no_chunk_is_no_source() -> None:
    assert sources(answered([0, 2]), {"c": CHUNKS["c"]})[0].chunk == "c"


@pytest.mark.parametrize("quote", ["", "  ", "nowhere", "25 dayss"])
def test_what_is_not_there_is_not_found(quote: str) -> None:
    assert find(quote, TEXT) is None


@given(st.text(max_size=80), st.data())
def test_a_verbatim_quote_is_found_as_it_stands(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    quote = text[start : data.draw(st.integers(start, len(text)))].strip()
    span = find(quote, text)
    assert span is None if not quote else text[slice(*span)] == quote
