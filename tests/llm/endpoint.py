"""A client of an endpoint over real HTTP on loopback, and a server of a few lines for it. The fake teacher that ships is the other one."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from groundling.config import Endpoint
from groundling.llm.api import Api
from groundling.llm.base import Reply, Request
from groundling.llm.budget import Budget


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


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
