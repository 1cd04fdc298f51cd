"""The OpenAI-compatible API over real HTTP: answers, citations, refusals, streams and the request's own documents."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from serve_help import LEAVE, QUOTE, make_service

from groundling.errors import ModelError

CITED = f"##begin_quote##{QUOTE}##end_quote## [0]\n<ANSWER>: 25 days"
TWO = f"##begin_quote##The door code is 1234.##end_quote## [2]\n##begin_quote##{QUOTE}##end_quote## [0]\n<ANSWER>: both"


def events(text: str) -> list:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def test_answer_with_its_citation(serving):
    reply = serving(make_service({"leave": CITED})).ask("How much leave?", model="any", temperature=0.7, top_k=3, unknown={"x": 1})
    data = reply.json
    assert reply.status == 200
    assert data["object"] == "chat.completion" and data["model"] == "handbook"
    assert data["choices"][0]["message"] == {"role": "assistant", "content": "25 days [1]"}
    assert data["choices"][0]["finish_reason"] == "stop"
    assert data["usage"] == {"prompt_tokens": 7, "completion_tokens": 12, "total_tokens": 19}
    ours = data["groundling"]
    assert (ours["abstained"], ours["invalid"], ours["warnings"], ours["text"]) == (False, [], [], "25 days")
    assert [(p["id"], p["score"]) for p in ours["passages"]] == [("d1/days", 3.0), ("d1/hours", 2.0), ("d2/door", 1.0)]
    [source] = ours["sources"]
    assert (source["number"], source["chunk"], source["path"], source["page"]) == (1, "d1/days", "leave.pdf", 1)
    assert LEAVE[source["start"] : source["end"]] == QUOTE == source["quote"]
    assert ours["quotes"] == [{"text": QUOTE, "chunk": "d1/days", "number": 1, "verbatim": True}]


def test_shown_numbers_start_at_one_in_the_order_of_citation(serving):
    data = serving(make_service({"both": TWO})).ask("both").json
    assert data["choices"][0]["message"]["content"] == "both [1][2]"
    assert [(s["number"], s["chunk"]) for s in data["groundling"]["sources"]] == [(1, "d2/door"), (2, "d1/days")]
    assert [q["number"] for q in data["groundling"]["quotes"]] == [1, 2]
    assert [(p["id"], p["number"]) for p in data["groundling"]["passages"]] == [("d1/days", 2), ("d1/hours", None), ("d2/door", 1)], (
        "by the number that it is cited by, which is no position in the list"
    )


def test_k_passages_are_retrieved(serving):
    data = serving(make_service({"leave": CITED}, k=1)).ask("leave").json
    assert [p["id"] for p in data["groundling"]["passages"]] == ["d1/days"]


def test_stream_spells_the_same_answer(serving):
    client = serving(make_service({"leave": CITED}))
    reply = client.ask("How much leave?", stream=True, stream_options={"include_usage": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    first, *middle, last, usage = events(reply.text)
    assert {e["object"] for e in [first, *middle, last, usage]} == {"chat.completion.chunk"}
    assert len({e["id"] for e in [first, *middle, last, usage]}) == 1
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert [e["choices"][0]["delta"]["content"] for e in middle] == ["25", " days", " [1]"]
    assert all(e["choices"][0]["finish_reason"] is None for e in middle)
    assert last["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": None}
    assert last["groundling"] == client.ask("How much leave?").json["groundling"]
    assert usage["choices"] == [] and usage["usage"]["total_tokens"] == 19
    assert len(events(client.ask("How much leave?", stream=True).text)) == 5  # no usage where it was not asked for


def test_abstaining(serving):
    data = serving(make_service({})).ask("Who won the cup?").json
    assert data["choices"][0]["message"]["content"] == "Not in the documents."
    assert data["groundling"]["abstained"] and data["groundling"]["sources"] == []
    assert len(data["groundling"]["passages"]) == 3


@pytest.mark.parametrize("more", [{}, {"documents": []}])
def test_without_passages_the_model_is_not_asked(serving, more):
    service = make_service({"nothing": "<ANSWER>: invented"})
    data = serving(service).ask("nothing", **more).json
    assert data["choices"][0]["message"]["content"] == "Not in the documents." and data["groundling"]["abstained"]
    assert service.answerer.model.requests == []


def test_documents_of_the_request_replace_retrieval(serving):
    script = {"colour": "##begin_quote##The sky is blue.##end_quote## [1]\n<ANSWER>: blue"}
    service = make_service(script)
    documents = ["Grass grows.", {"title": "Sky", "text": "Look up. The sky is blue."}, {"content": "More."}]
    data = serving(service).ask("colour", documents=documents).json
    assert "[1] Sky\nLook up. The sky is blue." in service.answerer.model.requests[0].messages[-1]["content"]
    [source] = data["groundling"]["sources"]
    assert documents[1]["text"][source["start"] : source["end"]] == "The sky is blue."
    assert [(p["id"], p["score"]) for p in data["groundling"]["passages"]] == [("given-1", None), ("given-2", None), ("given-3", None)]


def test_the_last_user_message_is_the_question(serving):
    service = make_service({"leave": CITED})
    parts = [{"type": "text", "text": "How much leave?"}, {"type": "image_url", "image_url": {}}]
    messages = [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "door?"}, {"role": "assistant", "content": "1234"},
        {"role": "user", "content": parts},
    ]  # fmt: skip
    data = serving(service)("/v1/chat/completions", {"messages": messages}).json
    assert data["choices"][0]["message"]["content"] == "25 days [1]"
    assert "door?" not in str(service.answerer.model.requests)


def test_unverified_quotes_and_passages_not_shown_are_said(serving):
    script = {"loose": "##begin_quote##Staff have 99 days.##end_quote## [0] [7]\n<ANSWER>: 99", "bare": "<ANSWER>: 42"}
    client = serving(make_service(script))
    loose, bare = client.ask("loose").json["groundling"], client.ask("bare").json["groundling"]
    assert loose["quotes"][0]["verbatim"] is False and loose["sources"][0]["start"] is None and loose["invalid"] == ["7"]
    assert loose["warnings"] == [
        "A quote does not stand in the passages word for word.", "The model named passages that it was not shown: 7.",
    ]  # fmt: skip
    assert bare["warnings"] == ["No source: the answer names no passage that it rests on."]


def test_max_tokens_shortens_but_never_lengthens(serving):
    service = make_service({"leave": CITED}, max_tokens=20)
    client = serving(service)
    assert client.ask("leave", max_tokens=5).json["choices"][0]["finish_reason"] == "length"
    assert client.ask("leave", max_completion_tokens=9000).json["choices"][0]["finish_reason"] == "stop"
    client.ask("leave")
    assert [r.max_tokens for r in service.answerer.model.requests] == [5, 20, 20]


def test_a_stop_string_ends_what_is_shown_and_not_what_the_model_writes(serving):
    service = make_service({"leave": CITED})
    client = serving(service)
    assert client.ask("leave", stop=[" [", "days"]).json["choices"][0]["message"]["content"] == "25 "
    assert [e["choices"][0]["delta"].get("content") for e in events(client.ask("leave", stop=" [", stream=True).text)][1:-1] == ["25", " days"]
    assert not any(r.stop for r in service.answerer.model.requests)
    assert client.ask("leave", stop=None).json["choices"][0]["message"]["content"] == "25 days [1]"


def test_an_answer_in_words_of_its_own_is_warned_of(serving):
    script = {"leave": CITED, "odd": CITED.replace("<ANSWER>: 25 days", "<ANSWER>: Ab investigator")}
    client = serving(make_service(script))
    assert client.ask("leave").json["groundling"]["warnings"] == []
    assert client.ask("odd").json["groundling"]["warnings"] == ["Most words of the answer stand neither in its quotes nor in the question."]


def test_a_reply_that_was_cut_in_its_quote_shows_no_marks(serving):
    data = serving(make_service({"cut": "##begin_quote##Staff have"})).ask("cut").json
    assert "##" not in data["choices"][0]["message"]["content"] and data["groundling"]["text"] == "The model's reply holds no answer."


def test_questions_run_side_by_side(serving):
    service = make_service({"leave": CITED, "both": TWO}, delay=0.3)
    client = serving(service)
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(client.ask, ["leave", "both", "leave", "both"]))
    assert [r.json["groundling"]["text"] for r in replies] == ["25 days", "both", "25 days", "both"]
    assert service.answerer.model.most > 1


BAD = {
    "no JSON": (b"{oops", "not readable JSON"),
    "no UTF-8": (b'{"messages": "\xff"}', "not readable JSON"),
    "lone surrogate": (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', "not readable JSON"),
    "deep": (b"[" * 100_000, "not readable JSON"),
    "empty body": (b"", "not readable JSON"),
    "a list": (b"[]", "a JSON object"),
    "no messages": ({}, "holds no question"),
    "messages of text": ({"messages": ["hello"]}, "holds no question"),
    "no user": ({"messages": [{"role": "system", "content": "x"}]}, "holds no question"),
    "empty": ({"messages": [{"role": "user", "content": " \n"}]}, "question is empty"),
    "no content": ({"messages": [{"role": "user", "content": None}]}, "question is empty"),
    "stream": ({"messages": [{"role": "user", "content": "x"}], "stream": "yes"}, '"stream" is true or false'),
    "max_tokens": ({"messages": [{"role": "user", "content": "x"}], "max_tokens": 0}, '"max_tokens" is a whole number'),
    "stop": ({"messages": [{"role": "user", "content": "x"}], "stop": [1]}, '"stop" is a text'),
    "no stop": ({"messages": [{"role": "user", "content": "x"}], "stop": ""}, '"stop" is a text'),
    "documents": ({"messages": [{"role": "user", "content": "x"}], "documents": "text"}, '"documents" is a list'),
    "a document": ({"messages": [{"role": "user", "content": "x"}], "documents": ["a", {"title": "b"}]}, "Number 2"),
}


def test_malformed_requests_are_refused_in_sentences(serving):
    service = make_service({"x": "<ANSWER>: 1"})
    client = serving(service)
    for name, (body, sentence) in BAD.items():
        reply = client("/v1/chat/completions", body)
        assert (reply.status, set(reply.json["error"])) == (400, {"message", "type", "param", "code"}), name
        assert sentence in reply.json["error"]["message"] and reply.json["error"]["type"] == "invalid_request_error", name
    assert service.answerer.model.requests == []


def test_a_body_over_the_limit_is_refused(serving):
    client = serving(make_service({"leave": CITED}))
    reply = client.ask("leave", documents=["a" * 1_000_000])
    assert reply.status == 413 and "larger than 1,000,000 bytes" in reply.json["error"]["message"]
    assert client.ask("leave", documents=["a" * 900_000]).status == 200


def test_failures_of_the_model(serving):
    client = serving(make_service({"down": ModelError("The endpoint is down. Start it."), "bug": RuntimeError("secret"), "leave": CITED}))
    down, bug = client.ask("down"), client.ask("bug")
    assert (down.status, down.json["error"]["message"], down.json["error"]["type"]) == (
        502,
        "The endpoint is down. Start it.",
        "server_error",
    )
    assert bug.status == 500 and "secret" not in bug.text and "terminal" in bug.json["error"]["message"]
    assert client.ask("leave").status == 200
