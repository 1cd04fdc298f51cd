"""Replies in JSON: by response_format where the endpoint takes it, in words where it does not."""

from __future__ import annotations

import asyncio

import pytest

from groundling.errors import ModelError

from .endpoint import Scripted, ask, client, completion, no_waiting, request, served, server  # noqa: F401

SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


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
