"""Keys go to their endpoint and nowhere else."""

from __future__ import annotations

import asyncio
import logging

import pytest

from groundling.errors import ModelError
from groundling.llm import fake

from .endpoint import Scripted, ask, client, closed_port, completion, no_waiting, request, served  # noqa: F401

KEY = "sk-very-secret-0123456789"


def test_an_address_that_sends_on_elsewhere_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    with pytest.raises(ModelError, match="302: it sends calls on"):
        asyncio.run(served(Scripted((302, "", {"Location": "http://127.0.0.1:9/"})), request(), key_env="MY_KEY"))


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
