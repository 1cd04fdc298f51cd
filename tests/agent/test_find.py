"""Searching an endpoint over real HTTP: its paths, its time-outs, its refusals, and the sentences that tell of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from groundling.agent import Agent, JsonSearch, Settings
from groundling.agent.find import Endpoint
from groundling.errors import ConfigError, ModelError, SearchError
from groundling.options import checked
from groundling.records import Passage

from .agent_world import QUESTION, Scripted, usual

RESULTS = [{"name": "Leave", "body": {"text": " Staff have 30 days. "}}, {"name": None, "body": {"text": "Nothing."}}, {"name": "x", "body": {}}]


def against(answer: Callable[[web.Request], Awaitable[web.StreamResponse]], work: Callable[[str], Awaitable[Any]]) -> Any:
    """What `work` returns, given the address of a server that answers so."""

    async def main() -> Any:
        app = web.Application()
        app.router.add_get("/search", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            return await work(f"http://127.0.0.1:{runner.addresses[0][1]}/search")
        finally:
            await runner.cleanup()

    return asyncio.run(main())


async def found(url: str, query: str = "leave", count: int = 3, **options: Any) -> list[Passage]:
    endpoint = {"url": f"{url}?q={{query}}&n={{count}}", "results": "data.0.hits", "title": "name", "text": "body.text", **options}
    search = JsonSearch(Endpoint(**endpoint), wait=0.01)
    try:
        return list(await search(query, count))
    finally:
        await search.close()


async def told(request: web.Request) -> web.Response:
    return web.json_response({"data": [{"hits": RESULTS}], "asked": dict(request.query)})


def test_results_are_taken_from_where_the_paths_say() -> None:
    passages = against(told, found)
    assert [(p.title, p.text) for p in passages] == [("Leave", "Staff have 30 days."), ("", "Nothing.")]
    assert passages == against(told, found) and len({p.id for p in passages}) == 2, "the same result has the same id each time"
    assert len(against(told, lambda url: found(url, count=1))) == 1


def test_the_query_arrives_as_it_was_asked() -> None:
    seen: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(dict(request.query))
        return web.json_response([])

    query = "50 % + Ω & {count} / # ?"
    assert against(answer, lambda url: found(url, query, 2, results="")) == []
    assert seen == [{"q": query, "n": "2"}]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (lambda: web.json_response({"data": []}), 'answered without a list at "data.0.hits"'),
        (lambda: web.json_response({"data": [{"hits": "none"}]}), 'answered without a list at "data.0.hits"'),
        (lambda: web.Response(text="<html>One moment</html>"), "<html>One moment</html>"),
        (lambda: web.json_response({"data": [{"hits": [{"body": "x"}]}]}), 'None of the 1 results .* has a text at "body.text"'),
        (lambda: web.Response(status=403), "did not answer .status 403."),
        (lambda: web.Response(status=302, headers={"Location": "/other"}), "did not answer .status 302."),
    ],
)
def test_an_answer_that_is_none_is_told_in_a_sentence(reply: Any, sentence: str) -> None:
    calls = [0]

    async def answer(request: web.Request) -> web.StreamResponse:
        calls[0] += 1
        return reply()

    with pytest.raises(SearchError, match=sentence) as raised:
        against(answer, lambda url: found(f"{url}?for=secret"))
    assert "secret" not in str(raised.value) and calls == [1], "it would be the same again"


def test_a_key_comes_from_the_environment_and_stands_in_no_address_of_a_config(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        sent.append(request.query["api_key"])
        return await told(request)

    def asked(url: str) -> Any:
        return found(f"{url}?api_key={{key}}&more=1", key_env="SEARCH_KEY")

    monkeypatch.delenv("SEARCH_KEY", raising=False)
    with pytest.raises(ModelError, match="SEARCH_KEY, which is not set"):
        against(answer, asked)
    monkeypatch.setenv("SEARCH_KEY", "a b&c")
    assert len(against(answer, asked)) == 2 and sent == ["a b&c"]
    for url in ("https://x/s?q={query}&key=abc", "https://x/s?access_token=abc&q={query}"):
        with pytest.raises(ConfigError, match="write {key} there"):
            checked(Endpoint, {"url": url}, "synthesize.options.endpoint")


def test_what_breaks_is_tried_again() -> None:
    calls = [0]

    async def answer(request: web.Request) -> web.StreamResponse:
        calls[0] += 1
        return web.Response(status=503) if calls[0] < 3 else await told(request)

    assert len(against(answer, found)) == 2 and calls == [3]
    calls[0] = 0
    with pytest.raises(SearchError, match="status 503"):
        against(answer, lambda url: found(url, retries=1))
    assert calls == [2]


def test_a_search_that_takes_too_long_is_given_up() -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(5)
        return web.json_response([])

    with pytest.raises(SearchError, match="no answer within 0.1 s"):
        against(slow, lambda url: found(url, timeout=0.1, retries=0))


def test_an_endpoint_that_is_down_is_told_in_a_sentence() -> None:
    with pytest.raises(SearchError, match="search endpoint http://127.0.0.1:9/search did not answer .no connection.* See that it runs"):
        asyncio.run(found("http://127.0.0.1:9/search", retries=0))


def test_the_agent_searches_an_endpoint_and_tells_when_it_is_down() -> None:
    async def ask(url: str) -> Any:
        search = JsonSearch(Endpoint(url=f"{url}?q={{query}}", results="data.0.hits", title="name", text="body.text"), wait=0.01)
        said = usual(answer=[{"quotes": [{"passage": 0, "quote": "30 days"}], "answer": "30 days"}])
        try:
            return await Agent(Scripted(said), search, Settings(samples=1)).ask(QUESTION)
        finally:
            await search.close()

    trajectory = against(told, ask)
    assert trajectory.outcome == "answered" and trajectory.quotes[0].text == "30 days"
    with pytest.raises(SearchError):
        asyncio.run(ask("http://127.0.0.1:9/search"))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"url": "http://x.example/search?q=leave"}, "it must hold {query}"),
        ({"url": "ftp://x.example/{query}"}, "here.url = 'ftp"),
        ({"url": "http://x.example/{query}", "path": "a"}, 'there is no option "path"'),
    ],
)
def test_bad_settings_are_sentences(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        checked(Endpoint, given, "here")
