"""The client of an endpoint, over real HTTP on loopback: what a call is, what a reply is, and what servers differ in."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from groundling.config import Endpoint
from groundling.errors import ModelError
from groundling.llm import fake
from groundling.llm.api import Api
from groundling.llm.base import Reply

from .endpoint import Scripted, ask, client, completion, no_waiting, request, served  # noqa: F401


def test_a_call_is_what_the_api_wants_and_its_reply_what_it_told() -> None:
    script = Scripted(completion("hi"))
    [reply], api = asyncio.run(
        served(script, request("hello", max_tokens=9, temperature=0.5, top_p=0.9, stop=["\n"]), extra={"seed": 3, "top_p": None})
    )
    assert script.bodies == [
        {"model": "fake", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 9, "temperature": 0.5, "stop": ["\n"], "seed": 3}
    ]
    assert "Authorization" not in script.headers[0]
    assert reply == Reply(text="hi", tokens_in=7, tokens_out=3)
    told = api.meter.snapshot()
    assert (told.calls, told.tokens_in, told.tokens_out, told.failed, told.in_flight) == (1, 7, 3, 0, 0)


def test_what_was_cut_for_length_says_so_and_null_is_an_empty_reply() -> None:
    cut = completion()
    cut["choices"][0]["finish_reason"] = "length"
    empty = completion()
    empty["choices"][0]["message"]["content"] = None
    [one], _ = asyncio.run(served(Scripted(cut), request()))
    [other], _ = asyncio.run(served(Scripted(empty), request()))
    assert one.finish == "length" and other.text == "" and other.finish == "stop"


def test_an_endpoint_that_tells_no_usage_is_counted_at_its_most() -> None:
    [reply], _ = asyncio.run(served(Scripted(completion("four", usage=None)), request("hello")))
    assert reply.tokens_in >= len("hello") and reply.tokens_out == 4


@pytest.mark.parametrize(
    "usage", [{}, {"prompt_tokens": None, "completion_tokens": None}, {"prompt_tokens": 11}, {"prompt_tokens": 11.0, "total": 12}]
)
def test_a_usage_that_is_not_whole_is_counted_at_its_most_where_it_is_missing(usage: dict) -> None:
    [reply], api = asyncio.run(served(Scripted(completion("four", usage=usage)), request("hello")))
    assert reply.text == "four" and reply.tokens_out == 4 and api.meter.retries == 0
    assert reply.tokens_in == 11 if "prompt_tokens" in usage and usage["prompt_tokens"] else reply.tokens_in >= len("hello")
    assert isinstance(reply.tokens_in, int)


def test_a_reply_in_parts_is_their_text_without_what_the_model_thought() -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "it is "}, {"type": "text", "text": "4"}]
    told = completion()
    told["choices"][0]["message"]["content"] = parts
    [reply], _ = asyncio.run(served(Scripted(told), request()))
    assert reply.text == "it is 4"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"error": {"message": "Provider returned error", "code": 502}}, "200 with the error 502: Provider returned error"),
        ({"error": "Model is overloaded", "error_type": "overloaded"}, r"200 without a reply \(no choices\): Model is overloaded"),
        ({"choices": [{"message": {"content": "It w"}, "finish_reason": "error"}], "error": {"message": "stream broke"}}, "broke off: stream broke"),
        ({"choices": None}, r"200 without a reply \(no choices\)"),
    ],
)
def test_a_gateway_s_200_with_an_error_in_it_is_sent_again_and_its_words_are_told(body: dict, said: str) -> None:
    [reply], api = asyncio.run(served(Scripted(body, completion("it was")), request()))
    assert reply.text == "it was" and api.meter.retries == 1
    [lost], _ = asyncio.run(served(Scripted(body), request(), retries=1))
    assert lost.finish == "error" and re.search(said, lost.text), lost.text


def test_a_gateway_s_200_with_a_fatal_error_stops_and_with_a_429_slows_down() -> None:
    with pytest.raises(ModelError, match="200 with the error 401: No auth"):
        asyncio.run(served(Scripted({"error": {"message": "No auth", "code": 401}}), request()))
    [reply], api = asyncio.run(served(Scripted({"error": {"message": "slow down", "code": 429}}, completion()), request()))
    assert reply.finish == "stop" and api.meter.refused == 1


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (424, '{"error": "Request failed during generation", "error_type": "generation"}', "424: Request failed during generation"),  # TGI
        (503, '{"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}', "503: Loading model"),  # llama-server
        (500, '{"error": {"message": "llama runner process has terminated", "code": null}}', "500: llama runner"),  # Ollama
        (502, "<html>Bad gateway</html>", "502: a page of HTML"),
    ],
)
def test_what_servers_say_when_they_fail_for_the_moment_is_sent_again(status: int, body: str, said: str) -> None:
    [reply], api = asyncio.run(served(Scripted((status, body), completion()), request()))
    assert reply.finish == "stop" and api.meter.retries == 1
    [lost], _ = asyncio.run(served(Scripted((status, body)), request(), retries=1))
    assert said in lost.text


WIRE = {
    "refused": 0.05, "server_error": 0.1, "reset": 0.1, "cut_body": 0.1, "short_body": 0.1, "html": 0.1, "invalid_json": 0.1, "no_choices": 0.1,
    "duplicate": 0.1, "hang": 0.05,
}  # fmt: skip


@pytest.mark.parametrize("fault", [*WIRE, "all"])
def test_every_fault_of_the_wire_is_mended_and_each_reply_is_its_own(fault: str) -> None:
    async def main() -> None:
        wire = WIRE if fault == "all" else {fault: 0.4}
        async with fake.serving(fake.Script(wire=wire, retry_after=0.01, faulty_attempts=6)) as url:
            api = client(url, timeout=0.3, max_parallel=24, retries=20)
            requests = [request(f"What is number {n}?", max_tokens=40) for n in range(60)]
            replies = await ask(api, *requests)
        async with fake.serving(fake.Script()) as url:  # the same teacher without faults
            assert replies == await ask(client(url), *requests)
        assert api.meter.retries > 0 or fault == "duplicate"
        assert api.meter.in_flight == 0 and api.meter.calls == 60

    asyncio.run(main())


def test_after_the_last_retry_a_reply_tells_that_there_is_none() -> None:
    script = Scripted((500, "out of order"))
    [reply], api = asyncio.run(served(script, request(), retries=3))
    assert reply.finish == "error" and "4 attempts" in reply.text and "500: out of order" in reply.text
    assert len(script.bodies) == 4
    assert (api.meter.failed, api.meter.retries, api.meter.calls) == (1, 3, 0)


@pytest.mark.parametrize(("status", "hint"), [(400, "Mend it"), (401, "It wants a key"), (403, "may not use"), (404, "Check base_url")])
def test_what_no_retry_mends_stops_the_run_with_the_server_s_own_words(status: int, hint: str) -> None:
    script = Scripted((status, json.dumps({"error": {"message": "The model `fake`\n does not exist" + "." * 900}})))
    with pytest.raises(ModelError) as caught:
        asyncio.run(served(script, request()))
    told = str(caught.value)
    assert len(script.bodies) == 1, "sent once"
    assert f"{status}: The model `fake` does not exist" in told and hint in told and '"gpt"' in told and len(told) < 700 and "\n" not in told


def test_a_prompt_that_is_too_long_says_what_can_be_done() -> None:
    script = Scripted((400, json.dumps({"error": {"message": "This model's maximum", "code": "context_length_exceeded"}})))
    with pytest.raises(ModelError, match="400: This model's maximum.*smaller chunk.size"):
        asyncio.run(served(script, request()))


def test_a_spent_quota_is_no_matter_of_waiting() -> None:
    script = Scripted((429, json.dumps({"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}})))
    with pytest.raises(ModelError, match="exceeded your current quota"):
        asyncio.run(served(script, request()))
    assert len(script.bodies) == 1


def test_the_fingerprint_is_of_what_shapes_replies_not_of_where_and_how_fast() -> None:
    base = {"base_url": "http://h/v1", "model": "m"}
    one = Api("a", Endpoint(**base)).fingerprint
    same = {"key_env": "K", "max_parallel": 3, "requests_per_minute": 9, "timeout": 3, "retries": 1, "price_in": 2, "batch": True}
    assert Api("b", Endpoint(**base, **same)).fingerprint == one
    for other in ({"base_url": "http://h2/v1"}, {"model": "n"}, {"extra": {"seed": 1}}, {"structured": "prompt"}):
        assert Api("a", Endpoint(**(base | other))).fingerprint != one
