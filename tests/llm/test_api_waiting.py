"""What is waited for: a retry, an endpoint that is down or refuses every call, the limits; and how waiting ends."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import pytest

from groundling.errors import ModelError
from groundling.llm import fake
from groundling.llm.api import Api
from groundling.llm.base import Reply
from groundling.llm.completions import seconds
from groundling.llm.gate import Stopped

from .endpoint import Scripted, ask, client, closed_port, completion, no_waiting, request, served, server  # noqa: F401


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
