"""The client of an endpoint, over real HTTP on loopback against the fake teacher that ships, and against a server of a few lines."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.utils import formatdate

import pytest
from aiohttp import web

from groundling.config import Endpoint
from groundling.errors import BudgetError, ModelError
from groundling.llm import fake
from groundling.llm.api import Api
from groundling.llm.base import Reply, Request
from groundling.llm.budget import Budget, Cost
from groundling.llm.completions import seconds
from groundling.llm.gate import Stopped

KEY = "sk-very-secret-0123456789"
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def request(text: str = "a", **changes) -> Request:
    return Request(messages=[{"role": "user", "content": text}], **changes)


def client(url: str, budget: Budget | None = None, said: list[str] | None = None, **settings) -> Api:
    return Api("gpt", Endpoint(base_url=url, model="fake", **settings), budget, said.append if said is not None else None)


async def ask(api: Api, *requests: Request) -> list[Reply]:
    try:
        return await api.replies(requests)
    finally:
        await api.close()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait milliseconds. How long they really wait is tested by itself."""
    monkeypatch.setattr("groundling.llm.api._FIRST_WAIT", 0.001)


@asynccontextmanager
async def server(handle: Scripted) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def completion(text: str = "yes", **more) -> dict:
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
        **more,
    }


class Scripted:
    """A server that answers with what the test gives, in turn; the last goes on. It keeps what it was sent."""

    def __init__(self, *answers: object) -> None:
        self.answers, self.bodies, self.headers = list(answers), [], []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(json.loads(await request.read()))
        self.headers.append(dict(request.headers))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, dict):
            return web.json_response(answer)
        status, text, headers = (*answer, {}, {})[:3]
        return web.Response(status=status, text=text, headers=headers)


async def served(script: Scripted, *requests: Request, **settings) -> tuple[list[Reply], Api]:
    async with server(script) as url:
        api = client(url, **settings)
        return await ask(api, *requests), api


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


# What servers differ in


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


def test_an_address_that_sends_on_elsewhere_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(ModelError, match="302: it sends calls on"):
        asyncio.run(served(Scripted((302, "", {"Location": "http://127.0.0.1:9/"})), request(), key_env="MY_KEY"))


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(form: str) -> None:
    async def main() -> float:
        after = "1" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
        start = time.monotonic()
        [reply], _ = await served(Scripted((429, "slow down", {"Retry-After": after}), completion()), request())
        assert reply.finish == "stop"
        return time.monotonic() - start

    assert 0.9 < asyncio.run(main()) < 4


@pytest.mark.parametrize(
    ("text", "told"), [("3", 3), ("0.5", 0.5), ("-1", 0), ("soon", 0), (None, 0), ("", 0), ("1e99", 86400), ("Mon, 01 Jan 2001 00:00:00 GMT", 0)]
)
def test_retry_after_is_read(text: str | None, told: float) -> None:
    assert seconds(text) == told


def test_waits_before_a_retry_are_random_and_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundling.llm.api._FIRST_WAIT", 0.5)
    monkeypatch.setattr("groundling.llm.breaker.BROKEN", 1000)
    waits: list[float] = []

    async def main() -> None:
        async with server(Scripted((500, ""))) as url:
            api = client(url, retries=10)

            async def note(seconds: float) -> None:
                waits.append(seconds)

            monkeypatch.setattr(api.gate, "sleep", note)
            await ask(api, *(request(str(n)) for n in range(8)))

    asyncio.run(main())
    assert max(waits) <= 60 and max(waits) > 30 and min(waits) < 1 and len(set(waits)) == len(waits)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_an_endpoint_that_is_down_is_waited_for_and_costs_no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundling.llm.breaker.FIRST_WAIT", 0.1)
    said: list[str] = []

    async def main() -> tuple[list[Reply], Api]:
        port = closed_port()
        api = client(f"http://127.0.0.1:{port}/v1", said=said, retries=1)
        asking = asyncio.ensure_future(api.replies([request(str(n)) for n in range(30)]))
        await asyncio.sleep(0.8)
        assert not asking.done() and "the endpoint is down" in api.meter.notice
        async with fake.serving(port=port):
            replies = await asking
            await api.close()
        return replies, api

    replies, api = asyncio.run(main())
    assert all(r.finish == "stop" for r in replies)
    assert "gpt is down: no connection" in said[0] and "gpt answers again" in said[-1]
    assert api.meter.notice == ""


def test_an_endpoint_that_never_answered_is_given_up_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundling.llm.breaker.FIRST_WAIT", 0.05)
    monkeypatch.setattr("groundling.llm.breaker.PATIENCE", 0.2)
    with pytest.raises(ModelError, match="no connection.*Is it running, and is base_url right"):
        asyncio.run(ask(client(f"http://127.0.0.1:{closed_port()}/v1"), request()))


def test_the_last_try_at_an_endpoint_that_never_answered_promises_no_further_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundling.llm.breaker.FIRST_WAIT", 0.1)
    monkeypatch.setattr("groundling.llm.breaker.PATIENCE", 0.25)
    said: list[str] = []
    with pytest.raises(ModelError, match=r"no connection to 127.0.0.1:\d+ \(Connect call failed"):
        asyncio.run(ask(client(f"http://127.0.0.1:{closed_port()}/v1", said=said), *(request(str(n)) for n in range(6))))
    assert len(said) == 2 and "Next try in 0 s" in said[0], said  # after 0 and 0.1 s; the try after 0.3 s is the last


# An endpoint that refuses every call


def test_calls_that_are_all_refused_wait_and_none_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundling.llm.pace.FIRST_PAUSE", 0.02)
    said: list[str] = []

    async def main() -> Api:
        script = Scripted(*[(429, "tokens per minute")] * 60, completion())
        async with server(script) as url:
            api = client(url, said=said, retries=4)
            monkeypatch.setattr("groundling.llm.pace.LONGEST_PAUSE", 0.02)
            asking = asyncio.ensure_future(ask(api, *(request(str(n)) for n in range(20))))
            await asyncio.sleep(0.6)
            assert not asking.done() and "refuses every call; next try in" in api.meter.notice
            assert [r.finish for r in await asking] == ["stop"] * 20
        return api

    api = asyncio.run(main())
    assert (api.meter.refused, api.meter.failed, api.meter.calls, api.meter.notice) == (60, 0, 20, "")
    assert len(said) == 2 and "gpt refuses every call: 429: tokens per minute." in said[0] and "takes calls again" in said[1]


def test_an_endpoint_that_refuses_every_call_is_asked_less_and_less_and_given_up_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundling.llm.pace.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("groundling.llm.pace.PATIENCE_NEW", 0.8)
    script = Scripted((429, "not in your plan"))
    with pytest.raises(ModelError, match="429: not in your plan. It refuses every call. See what the account's limits are"):
        asyncio.run(served(script, *(request(str(n)) for n in range(20)), retries=4))
    assert len(script.bodies) < 40, "each wait twice the last"


def test_what_waits_to_be_sent_again_is_said() -> None:
    async def main() -> None:
        async with server(Scripted((503, "", {"Retry-After": "500"}))) as url:
            api = client(url)
            calls = [asyncio.ensure_future(api.reply(request(text))) for text in "ab"]
            await asyncio.sleep(0.3)
            assert api.meter.notice == "2 calls that broke or were refused wait to be sent again"
            api.stop()
            assert all(isinstance(e, Stopped) for e in await asyncio.gather(*calls, return_exceptions=True))
            assert api.meter.notice == ""
            await api.close()

    asyncio.run(main())


def test_an_outage_in_the_middle_is_got_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundling.llm.breaker.FIRST_WAIT", 0.1)

    async def main() -> None:
        said: list[str] = []
        script = fake.Script(latency=0.02, outages=[{"at": 0.1, "seconds": 0.8, "kind": "503"}])
        async with fake.serving(script) as url:
            replies = await ask(client(url, said=said, retries=3), *(request(str(n)) for n in range(600)))
        assert all(r.finish == "stop" for r in replies) and any("answers again" in s for s in said)

    asyncio.run(main())


# Keys


def test_the_key_goes_to_the_endpoint_and_nowhere_else(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    said: list[str] = []

    async def main() -> None:
        async with fake.serving(fake.Script(key=KEY)) as url:
            api = client(url, said=said, key_env="MY_KEY")
            assert [r.finish for r in await ask(api, request())] == ["stop"]
            assert KEY not in repr(vars(api)) + repr(vars(api.gate)) + repr(api.endpoint) + api.fingerprint
        echoing = Scripted((401, f"Incorrect API key provided: {KEY}."))
        with pytest.raises(ModelError) as caught:
            await served(echoing, request(), key_env="MY_KEY")
        assert "Incorrect API key provided: [key]" in str(caught.value) and "Check the key in the environment variable MY_KEY" in str(caught.value)
        assert caught.value.__cause__ is None
        [lost], _ = await served(Scripted((500, f"trace: Bearer {KEY}")), request(), key_env="MY_KEY", retries=1)
        assert KEY not in lost.text and "[key]" in lost.text
        assert echoing.headers[0]["Authorization"] == f"Bearer {KEY}"

    asyncio.run(main())
    assert KEY not in caplog.text and KEY not in "".join(said)


@pytest.mark.parametrize("key", ["sk-first\nsk-second", "“sk-in-quotes”"])
def test_a_key_that_cannot_be_one_is_a_sentence_that_does_not_repeat_it(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ModelError, match='"MY_KEY" is no key') as caught:
        asyncio.run(served(Scripted(completion()), request(), key_env="MY_KEY"))
    assert "sk-" not in str(caught.value)


def test_a_key_that_is_not_there_is_a_sentence_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    script = Scripted(completion())
    with pytest.raises(ModelError, match='models.gpt: the environment variable "MY_KEY" is not set'):
        asyncio.run(served(script, request(), key_env="MY_KEY"))
    assert script.bodies == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    [reply], _ = asyncio.run(served(Scripted(completion()), request()))
    assert reply.finish == "stop"


# Structured replies


def test_a_schema_goes_into_response_format() -> None:
    script = Scripted(completion("{}"))
    asyncio.run(served(script, request(schema=SCHEMA)))
    assert script.bodies[0]["response_format"]["json_schema"]["schema"] == SCHEMA
    assert script.bodies[0]["messages"][-1]["content"] == "a"


def test_where_response_format_is_refused_words_ask_and_it_is_not_tried_again() -> None:
    said: list[str] = []
    script = Scripted((400, "response_format is not supported"), completion("{}"))

    async def main() -> None:
        async with server(script) as url:
            api = client(url, said=said)
            assert [(await api.reply(request(text, schema=SCHEMA))).finish for text in "ab"] == ["stop", "stop"]
            await api.close()

    asyncio.run(main())
    assert ["response_format" in body for body in script.bodies] == [True, False, False]
    assert '"answer"' in script.bodies[1]["messages"][-1]["content"] and len(said) == 1


def test_that_words_ask_is_said_only_where_that_helped() -> None:
    """A 404 may also mean that there is no such model: then nothing is known of response_format."""
    said: list[str] = []

    async def main() -> None:
        async with server(Scripted((404, "no such model"))) as url:
            with pytest.raises(ModelError, match="404: no such model"):
                await ask(client(url, said=said), request(schema=SCHEMA))

    asyncio.run(main())
    assert said == []


def test_with_native_a_refused_response_format_stops_and_with_prompt_none_is_sent() -> None:
    with pytest.raises(ModelError, match="400"):
        asyncio.run(served(Scripted((400, "no")), request(schema=SCHEMA), structured="native"))
    script = Scripted(completion())
    asyncio.run(served(script, request(schema=SCHEMA), structured="prompt"))
    assert "response_format" not in script.bodies[0]


def test_once_response_format_was_taken_a_400_is_about_the_request() -> None:
    async def main() -> None:
        async with server(Scripted(completion("{}"), (400, "too long"))) as url:
            api = client(url)
            await api.reply(request("a", schema=SCHEMA))
            with pytest.raises(ModelError, match="400: too long"):
                await ask(api, request("b", schema=SCHEMA))

    asyncio.run(main())


# Identity


def test_the_fingerprint_is_of_what_shapes_replies_not_of_where_and_how_fast() -> None:
    base = {"base_url": "http://h/v1", "model": "m"}
    one = Api("a", Endpoint(**base)).fingerprint
    same = {"key_env": "K", "max_parallel": 3, "requests_per_minute": 9, "timeout": 3, "retries": 1, "price_in": 2, "batch": True}
    assert Api("b", Endpoint(**base, **same)).fingerprint == one
    for other in ({"base_url": "http://h2/v1"}, {"model": "n"}, {"extra": {"seed": 1}}, {"structured": "prompt"}):
        assert Api("a", Endpoint(**(base | other))).fingerprint != one


# Limits and concurrency


def test_the_capacity_of_an_endpoint_is_found() -> None:
    async def main() -> None:
        async with fake.serving(fake.Script(latency=0.05, capacity=32, retry_after=0.2, reply="fixed")) as url:
            api = client(url)
            await ask(api, *(request(str(n)) for n in range(1500)))
        assert api.meter.failed == 0 and api.meter.refused < 150
        assert 28 <= api.gate.pace.limit <= 40

    asyncio.run(main())


def test_a_limit_of_requests_is_kept() -> None:
    async def main() -> None:
        async with fake.serving() as url:
            api = client(url, requests_per_minute=20)
            asking = asyncio.ensure_future(api.replies([request(str(n)) for n in range(30)]))
            await asyncio.sleep(1)
            assert api.meter.calls == 20 and "at the limit" in api.meter.notice
            api.stop()
            with pytest.raises(Stopped):
                await asking
            await api.close()

    asyncio.run(main())


def test_a_stop_lets_what_is_in_flight_come_and_sends_nothing_more() -> None:
    async def main() -> None:
        async with fake.serving(fake.Script(latency=0.3)) as url:
            api = client(url, max_parallel=4)
            calls = [asyncio.ensure_future(api.reply(request(str(n)))) for n in range(10)]
            await asyncio.sleep(0.1)
            start = time.monotonic()
            api.stop()
            told = await asyncio.gather(*calls, return_exceptions=True)
            assert [isinstance(t, Reply) for t in told] == [True] * 4 + [False] * 6
            assert all(isinstance(t, Stopped) for t in told[4:]) and time.monotonic() - start < 1
            await api.close()

    asyncio.run(main())


def test_a_stop_ends_waiting_for_a_retry() -> None:
    async def main() -> None:
        async with server(Scripted((503, "", {"Retry-After": "500"}))) as url:
            api = client(url)
            call = asyncio.ensure_future(api.reply(request()))
            await asyncio.sleep(0.2)
            api.stop()
            with pytest.raises(Stopped):
                await asyncio.wait_for(call, 2)
            await api.close()

    asyncio.run(main())


# Budgets


class Ledger:
    """What the journal is to a budget."""

    def __init__(self, before: Cost | None = None) -> None:
        self.before, self.lost = before or Cost(), []

    def spent(self) -> Cost:
        return self.before

    def lose(self, model: str, cost: Cost) -> None:
        self.lost.append((model, cost))


async def spend(script: fake.Script, ledger: Ledger, usd: float = 0, tokens: int = 0, **settings) -> tuple[Budget, list[object], Api]:
    """Ask for 300 replies within a budget; those that came, and errors."""
    async with fake.serving(script) as url:
        budget = Budget(usd, tokens, ledger)
        api = client(url, budget, **settings)
        told = await asyncio.gather(*(api.reply(request(f"What is number {n}?", max_tokens=50)) for n in range(300)), return_exceptions=True)
        await api.close()
        return budget, told, api


@pytest.mark.parametrize("before", [0, 1000])
def test_a_budget_of_tokens_is_never_passed_and_nearly_used(before: int) -> None:
    budget, told, api = asyncio.run(spend(fake.Script(latency=0.01), Ledger(Cost(before, 0, 0.0)), tokens=3000))
    paid = sum(r.tokens_in + r.tokens_out for r in told if isinstance(r, Reply))
    assert budget.spent_tokens == before + paid <= 3000
    assert 3000 - budget.spent_tokens < 400, "the last call that fitted was sent"
    assert {type(t) for t in told} == {Reply, BudgetError}
    sentence = str(next(t for t in told if isinstance(t, BudgetError)))
    assert "of budget_tokens 3,000" in sentence and "Raise the budget" in sentence


def test_a_budget_of_money_is_never_passed() -> None:
    budget, told, api = asyncio.run(spend(fake.Script(latency=0.01), Ledger(), usd=0.01, price_in=1.0, price_out=4.0))
    paid = sum(r.tokens_in * 1e-6 + r.tokens_out * 4e-6 for r in told if isinstance(r, Reply))
    assert paid == pytest.approx(budget.spent_usd) and 0.008 < paid <= 0.01
    assert api.meter.usd == pytest.approx(paid)


def test_calls_that_broke_after_they_were_sent_count_at_their_worst() -> None:
    ledger = Ledger()
    script = fake.Script(wire={"short_body": 0.5, "server_error": 0.2})
    budget, told, _ = asyncio.run(spend(script, ledger, tokens=20_000, retries=30))
    paid = sum(r.tokens_in + r.tokens_out for r in told if isinstance(r, Reply))
    lost = sum(cost.tokens for _, cost in ledger.lost)
    assert ledger.lost and budget.spent_tokens == paid + lost <= 20_000
    assert budget._held_tokens == 0 and budget._held_usd == pytest.approx(0)
