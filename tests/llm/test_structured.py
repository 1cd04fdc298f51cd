"""A reply becomes a value of its shape, or a counted failure with its words kept; never a half answer, never a rounded one."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel

from groundling.llm.base import Reply, Request
from groundling.llm.mend import objects
from groundling.llm.schema import prompted, response_format, split
from groundling.llm.structured import (
    CUT,
    LOST,
    MISFIT,
    NONE,
    SEVERAL,
    Failed,
    Text,
    Unreadable,
    choice,
    ranking,
    read,
    schema_of,
    score,
    structured,
    structured_all,
)


class Answer(BaseModel):
    quote: Text
    answer: Text


class Lists(BaseModel):
    questions: list[str]
    note: str = ""


class Saying:
    """A model that says what it is told to, one reply after the other, and keeps what it was asked."""

    name, fingerprint, documents_role = "saying", "saying/1", False

    def __init__(self, *said: str | Reply) -> None:
        self.said, self.asked = list(said), []

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += requests
        found = [self.said.pop(0) for _ in requests]
        return [r if isinstance(r, Reply) else Reply(text=r) for r in found]


ASK = Request(messages=[{"role": "user", "content": "How good is it?"}], max_tokens=50, draw=3)


def one(shape: type[BaseModel], *said: str | Reply) -> tuple[Any, Saying]:
    model = Saying(*said)
    return asyncio.run(structured(model, ASK, shape)), model


def got(text: str, shape: type[BaseModel]) -> Any:
    """The value in a text, or the reason why there is none."""
    try:
        return read(Reply(text=text), shape)
    except Unreadable as error:
        return error.reason


# Reading


@pytest.mark.parametrize(
    "text",
    [
        '{"quote": "a b", "answer": "b"}',
        '\n```json\n{"quote": "a b", "answer": "b"}\n```\n',
        'Sure! Here it is:\n\n{"quote": "a b", "answer": "b"}\n\nAnything else?',
        '{"quote": "a b", "answer": "b",}',
        "{'quote': 'a b', 'answer': 'b'}",
        '{quote: "a b", answer: "b"}',
        '{"quote": "a b" "answer": "b"}',
        '{"quote": "a b", // the sentence\n "answer": "b"}',
        "{“quote”: “a b”, “answer”: “b”}",
        '<think>Could be {"quote": "x", "answer": "y"}, or not</think>{"quote": "a b", "answer": "b"}',
        '{"quote": "a b", "answer": "b"}\n{"quote": "a b", "answer": "b"}',
        'The set {1, 2} is not meant. {"quote": "a b", "answer": "b"}',
        '{"quote": "a b", "answer": "b", "confidence": 0.9}',
    ],
)
def test_what_is_plainly_meant_is_read(text: str) -> None:
    assert got(text, Answer) == Answer(quote="a b", answer="b")


def test_strings_keep_their_insides() -> None:
    assert got('{"quote": "he said "hi" to me", "answer": "it\'s {5} [km]"}', Answer) == Answer(quote='he said "hi" to me', answer="it's {5} [km]")
    assert got("{'quote': \"it's\", 'answer': 'a \\'b\\''}", Answer) == Answer(quote="it's", answer="a 'b'")
    assert got('{"quote": "the "{x" key", "answer": "b"}', Answer) == Answer(quote='the "{x" key', answer="b")
    assert got('{"quote": "caf\\u00e9\\nau lait", answer: "b"}', Answer) == Answer(quote="café\nau lait", answer="b")
    assert got('{"quote": "see https://a.b/c", answer: "None"}', Answer) == Answer(quote="see https://a.b/c", answer="None")
    assert got('{"quote": "line\nbreak", "answer": "C:\\path"}', Answer) == Answer(quote="line\nbreak", answer="C:\\path")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I would rather not.", NONE),
        ("", NONE),
        ('["quote", "answer"]', NONE),
        ('{"quote": "a b"}', MISFIT),
        ('{"quote": null, "answer": "b"}', MISFIT),
        ('{"quote": ["a"], "answer": "b"}', MISFIT),
        ('{"quote": true, "answer": "b"}', MISFIT),
        ('{"quote": "a b", "answer": "b"', CUT),
        ('{"quote": "a b", "answer": "b', CUT),
        ('{"quote": "a b", "answer": "b"]', CUT),
        ('{"quote": "a b", "answer": "b"} {"quote": "a', CUT),
        ('{"quote": "a b", "answer": "b"}\n{"quote": "a b", "answer": "c"}', SEVERAL),
        ('{"quote": "a b", "answer": "b", "answer": "c"}', MISFIT),
        ('{"quote": "he said "a}" to me", "answer": "b"}', MISFIT),
        ('{quote: "a b", answer: "b", answer: "c"}', MISFIT),
        ('{"quote": "a b", "answer": "b"} end"}', CUT),
        ("{'quote': 'a b', 'answer': 'b', 'answer': 'c'}", MISFIT),
        ('{"quote": "\\ud800", "answer": "b"}', MISFIT),
        ('{"a":' * 100_000, CUT),
        ('{"a":' * 3_000 + "1" + "}" * 3_000, MISFIT),
    ],
)
def test_what_is_not_meant_plainly_is_not_read(text: str, reason: str) -> None:
    assert got(text, Answer) == reason


def test_a_reply_that_ended_for_want_of_tokens_is_never_read() -> None:
    whole = '{"questions": ["A?", "B?"]}'
    with pytest.raises(Unreadable, match=CUT):
        read(Reply(text=whole, finish="length"), Lists)
    assert read(Reply(text=whole), Lists).questions == ["A?", "B?"]


plain = st.text(st.characters(blacklist_categories=["Cs"]), max_size=30)
values = st.fixed_dictionaries({"questions": st.lists(plain, max_size=4), "note": plain})
wraps = st.sampled_from(["{}", "```json\n{}\n```", "```\n{}```", "Here:\n{}\nDone (it's what you asked).", "\ufeff {}", "<think>so</think>{}"])


@given(values, wraps, st.booleans(), st.sampled_from([None, 1]))
def test_any_object_is_read_as_it_is_in_any_wrap(value: dict, wrap: str, ascii: bool, indent: int | None) -> None:
    text = wrap.replace("{}", json.dumps(value, ensure_ascii=ascii, indent=indent), 1)
    assert objects(text) == ([value], False, False)
    assert got(text, Lists) == Lists(**value)


@given(values, wraps)
def test_any_object_as_python_writes_it_is_read_as_it_is(value: dict, wrap: str) -> None:
    assert objects(wrap.replace("{}", repr(value), 1)).objects == [value]


simple = st.text(st.characters(whitelist_categories=["Ll", "Lu", "Nd", "Lo"]), min_size=1, max_size=12)


@given(st.lists(simple, max_size=4), simple, wraps)
def test_trailing_commas_are_mended(questions: list[str], note: str, wrap: str) -> None:
    listed = "".join(f'"{q}", ' for q in questions)
    text = f'{{"questions": [{listed}], "note": "{note}",}}'
    assert got(wrap.replace("{}", text, 1), Lists) == Lists(questions=questions, note=note)


@given(st.lists(simple, max_size=4), simple, st.text("\"'{}[],: ab", max_size=12))
def test_mending_never_loses_a_word(questions: list[str], note: str, noise: str) -> None:
    """Noise of quotes, brackets and words inside a string: the words are all there, or nothing is read."""
    text = f'{{"questions": {json.dumps(questions, ensure_ascii=False)}, note: "{note} {noise} end"}}'
    found = objects(text)
    if found.objects and not found.cut:
        told = json.dumps(found.objects[0], ensure_ascii=False)
        assert sorted(re.findall(r"\w+", told)) == sorted(re.findall(r"\w+", text))


@given(values, st.data())
def test_a_reply_cut_anywhere_is_never_read(value: dict, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=False)
    cut = text[: data.draw(st.integers(1, len(text) - 1))]
    assert got(cut, Lists) == CUT
    assert got(f"```json\n{cut}", Lists) == CUT and got(f"Here it is: {cut}", Lists) == CUT


@given(st.text(max_size=300), st.sampled_from([Answer, Lists, score(1, 5), choice(["a", "b"]), ranking(3)]))
def test_no_text_breaks_the_reader(text: str, shape: type[BaseModel]) -> None:
    found = got(text, shape)
    assert isinstance(found, shape) or found in (CUT, MISFIT, NONE, SEVERAL)


@given(st.text("{}[]\"'\\,: abn1.", max_size=60))
def test_no_brackets_and_quotes_break_the_reader(text: str) -> None:
    assert got(text, Lists) in (CUT, MISFIT, NONE, SEVERAL) or isinstance(got(text, Lists), Lists)


# Choices, scores, rankings


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('{"score": 4}', 4),
        ('{"score": 4.0}', 4),
        ('{"score": "4"}', 4),
        ('{"score": " 4 "}', 4),
        ('{"score": "+4"}', 4),
        ("4", 4),
        (" 4\n", 4),
        ('"4"', 4),
        ("**4**", 4),
        ('{"score": 4, "why": "good"}', 4),
        ('{"score": 1}', 1),
        ('{"score": 5}', 5),
        ('{"score": 4.5}', MISFIT),
        ('{"score": "4.5"}', MISFIT),
        ('{"score": "4.0"}', MISFIT),
        ('{"score": "4/5"}', MISFIT),
        ('{"score": 4/5}', MISFIT),
        ('{"score": "four"}', MISFIT),
        ('{"score": true}', MISFIT),
        ('{"score": null}', MISFIT),
        ('{"score": [4]}', MISFIT),
        ('{"score": 0}', MISFIT),
        ('{"score": 6}', MISFIT),
        ('{"score": NaN}', MISFIT),
        ('{"score": 1e999}', MISFIT),
        ('{"score": "４"}', MISFIT),
        ('{"Score": 4}', MISFIT),
        ("4/5", NONE),
        ("4.5", NONE),
        ("four", NONE),
        ("Score: 4", NONE),
        ("6", NONE),
        ("4 5", NONE),
        ("", NONE),
    ],
)
def test_what_is_a_score(said: str, value: object) -> None:
    found = got(said, score(1, 5))
    assert (found if isinstance(found, str) else found.score) == value


def test_a_score_is_never_rounded() -> None:
    for text in ("4.5", "4.999999999", "3.0000001", "-0.5"):
        assert got(f'{{"score": {text}}}', score(-1, 5)) == MISFIT


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('{"choice": "refund"}', "refund"),
        ('{"choice": "Refund"}', "refund"),
        ('{"choice": " refund "}', "refund"),
        ("refund", "refund"),
        ("Refund", "refund"),
        ('"refund"', "refund"),
        ('{"choice": "IT"}', "IT"),
        ('{"choice": "it"}', "it"),
        ('{"choice": "It"}', MISFIT),
        ('{"choice": "refunds"}', MISFIT),
        ('{"choice": ""}', MISFIT),
        ('{"choice": 1}', MISFIT),
        ('{"choice": ["refund"]}', MISFIT),
        ('{"label": "refund"}', MISFIT),
        ("I think it is a refund.", NONE),
        ("refund or it", NONE),
        ('{"choice": "refund"} or {"choice": "it"}', SEVERAL),
    ],
)
def test_what_is_a_choice(said: str, value: object) -> None:
    found = got(said, choice(["refund", "it", "IT", "billing question"]))
    assert (found if isinstance(found, str) else found.choice) == value


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('{"ranking": [2, 0, 1]}', [2, 0, 1]),
        ('{"ranking": ["2", 0, 1.0]}', [2, 0, 1]),
        ('{"ranking": [2, 0]}', MISFIT),
        ('{"ranking": [2, 0, 0]}', MISFIT),
        ('{"ranking": [1, 2, 3]}', MISFIT),
        ('{"ranking": [2, 0, 1, 1]}', MISFIT),
        ('{"ranking": "2, 0, 1"}', MISFIT),
        ("[2, 0, 1]", NONE),
    ],
)
def test_what_is_a_ranking(said: str, value: object) -> None:
    found = got(said, ranking(3))
    assert (found if isinstance(found, str) else found.ranking) == value


def test_shapes_that_make_no_sense_are_refused() -> None:
    for labels in ([], ["a", "a"], ["a", ""], [" a"]):
        with pytest.raises(ValueError, match="different labels"):
            choice(labels)
    with pytest.raises(ValueError, match="5 to 1"):
        score(5, 1)
    with pytest.raises(ValueError, match="at least two"):
        ranking(1)
    with pytest.raises(TypeError, match="not an object"):
        schema_of(RootModel[list[int]])


# Asking


def test_the_schema_goes_with_the_request_and_is_strict() -> None:
    class Inner(BaseModel):
        default: int = 0

    class Outer(BaseModel):
        inner: list[Inner] = []
        kind: Literal["a", "b"] = "a"
        properties: str = ""

    schema = schema_of(Outer)
    assert schema["required"] == ["inner", "kind", "properties"] and schema["additionalProperties"] is False
    assert schema["$defs"]["Inner"]["required"] == ["default"] and schema["$defs"]["Inner"]["additionalProperties"] is False
    assert all("default" not in p for p in schema["properties"].values()) and schema["properties"]["kind"]["enum"] == ["a", "b"]
    assert "default" not in schema["$defs"]["Inner"]["properties"]["default"]
    found, model = one(score(1, 5), '{"score": 3}')
    assert found.score == 3 and model.asked[0].schema == schema_of(score(1, 5)) and model.asked[0].attempt == 0
    score_of = model.asked[0].schema["properties"]["score"]
    assert (score_of["minimum"], score_of["maximum"], score_of["type"]) == (1, 5, "integer")
    assert schema_of(choice(["x", "y"]))["properties"]["choice"]["enum"] == ["x", "y"]
    order = schema_of(ranking(3))["properties"]["ranking"]
    assert (order["minItems"], order["maxItems"], order["items"]["maximum"]) == (3, 3, 2)


def test_a_bad_reply_is_asked_for_once_more_with_what_is_wrong() -> None:
    found, model = one(score(1, 5), '{"score": 9}', '{"score": 4}')
    first, again = model.asked
    assert found.score == 4
    assert (first.attempt, again.attempt, again.draw, again.schema) == (0, 1, 3, first.schema)
    assert [m["role"] for m in again.messages] == ["user", "assistant", "user"]
    assert again.messages[1]["content"] == '{"score": 9}' and "less than or equal to 5" in again.messages[2]["content"]


def test_a_cut_reply_is_asked_for_more_briefly_and_not_shown_again() -> None:
    found, model = one(Lists, Reply(text='{"questions": ["A?", "B', finish="length"), '{"questions": ["A?"]}')
    assert found.questions == ["A?"]
    [message] = model.asked[1].messages
    assert (
        message["content"].startswith("How good is it?\n\n")
        and "50 tokens" in message["content"]
        and "B" not in message["content"].split("used")[1][:40]
    )


def test_after_one_re_ask_it_has_failed_and_both_replies_are_kept() -> None:
    found, model = one(score(1, 5), "no idea", '{"score": 7}')
    assert isinstance(found, Failed) and len(model.asked) == 2
    assert found.reason == MISFIT and [r.text for r in found.replies] == ["no idea", '{"score": 7}']
    assert "Reply 1: no idea" in found.told and 'Reply 2: {"score": 7}' in found.told and "5" in found.detail


def test_a_lost_call_is_not_asked_again() -> None:
    """The endpoint's door has retried it."""
    found, model = one(Answer, Reply(text="No reply after 9 attempts.", finish="error"))
    assert isinstance(found, Failed) and found.reason == LOST and "9 attempts" in found.detail and len(model.asked) == 1


def test_many_keep_their_order_and_only_the_bad_are_asked_again() -> None:
    model = Saying('{"score": 1}', "?", '{"score": 3}', "?", '{"score": 2}', "??")
    found = asyncio.run(structured_all(model, [ASK] * 4, score(1, 5)))
    assert [f.reason if isinstance(f, Failed) else f.score for f in found] == [1, 2, 3, NONE]
    assert [r.attempt for r in model.asked] == [0, 0, 0, 0, 1, 1]
    assert asyncio.run(structured_all(model, [], score(1, 5))) == []


# In words


def test_a_schema_in_words_can_be_read_back_and_leaves_the_request_alone() -> None:
    asked = Request(messages=[{"role": "system", "content": "s"}, {"role": "user", "content": "q"}], schema=schema_of(Answer))
    sent = prompted(asked)
    assert sent.schema is None and asked.messages[1]["content"] == "q" and sent.messages[0] == asked.messages[0]
    assert split(sent.messages[1]["content"]) == ("q", schema_of(Answer))
    assert split("just {text}") == ("just {text}", None)
    assert prompted(ASK) is ASK
    assert prompted(Request(messages=[], schema={"type": "object"})).messages[0]["role"] == "user"


def test_a_local_model_is_asked_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its encoding is looked at; no network is needed for that."""
    from groundling.llm import local

    monkeypatch.setattr(local.Local, "__init__", lambda self: None)
    model, seen = local.Local(), []
    monkeypatch.setattr(model, "_lock", threading.Lock(), raising=False)
    monkeypatch.setattr(model, "encode", lambda messages: seen.append(messages[-1]["content"]) or [1], raising=False)
    monkeypatch.setattr(model, "_generate", lambda prompts, requests: [Reply(text='{"score": 2}')] * len(prompts), raising=False)
    assert asyncio.run(structured(model, ASK, score(1, 5))).score == 2
    assert split(seen[0]) == ("How good is it?", schema_of(score(1, 5)))


def test_the_schema_s_name_is_one_that_endpoints_take() -> None:
    class Größe(BaseModel):
        n: int = Field(ge=1)

    named = response_format(schema_of(Größe))["json_schema"]
    assert named["name"].isascii() and named["strict"] is True and named["schema"] == schema_of(Größe)
