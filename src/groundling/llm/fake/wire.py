"""How an answer travels: whole, twice, in pieces, cut, or not at all. Written to the connection byte by byte, past aiohttp's own responses."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

PAGE = b"<!DOCTYPE html>\n<html><head><title>One moment</title></head><body><h1>The site is checking your connection</h1></body></html>\n"
PIECES = 8


class Raw:
    """A response that is bytes: head and body as given. It has what aiohttp's server asks of a response and nothing else."""

    def __init__(self, data: bytes, keep_alive: bool = True, abort: bool = False) -> None:
        self.data, self.keep_alive, self.abort = data, keep_alive, abort

    async def prepare(self, request: web.BaseRequest) -> None:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("The client went away.")
        if self.data:
            transport.write(self.data)
        if self.abort:
            transport.close() if self.data else transport.abort()

    async def write_eof(self) -> None:
        """Everything was written already."""


def head(status: int, length: int, kind: str = "application/json", extra: str = "") -> bytes:
    """The first lines of an answer."""
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{extra}\r\n".encode()


def answer(body: bytes, status: int = 200, kind: str = "application/json", extra: str = "") -> Raw:
    return Raw(head(status, len(body), kind, extra) + body)


def json(value: Any, status: int = 200) -> Raw:
    return answer(msgspec.json.encode(value), status)


def error(status: int, message: str, kind: str = "", extra: str = "") -> Raw:
    """An error in OpenAI's form."""
    body = {"error": {"message": message, "type": kind or HTTPStatus(status).phrase.lower().replace(" ", "_"), "param": None, "code": status}}
    return answer(msgspec.json.encode(body), status, extra=extra)


async def faulty(fault: str, body: bytes, request: web.BaseRequest, seconds: float) -> Raw:
    """A good answer spoilt by a wire fault. `slow_body` takes `seconds`; `hang` ends when the client goes away."""
    start = head(200, len(body))
    if fault == "duplicate":
        return Raw((start + body) * 2)
    if fault == "cut_body":  # a reset: what was sent may or may not arrive
        transport = request.transport
        if transport is not None:
            transport.write(start + body[: len(body) // 2])
            await asyncio.sleep(0.005)
        return Raw(b"", keep_alive=False, abort=True)
    if fault == "short_body":
        return Raw(start + body[: len(body) // 2], keep_alive=False, abort=True)
    if fault == "html":
        return answer(PAGE, kind="text/html; charset=utf-8")
    if fault == "invalid_json":
        return answer(body[: len(body) * 2 // 3])
    if fault == "no_choices":
        return answer(b'{"object":"chat.completion","choices":[]}')
    if fault == "slow_body":
        step = max(1, len(body) // PIECES)
        pieces = [body[n : n + step] for n in range(0, len(body), step)]
        for n, piece in enumerate(pieces[:-1]):
            await Raw(piece if n else start + piece).prepare(request)
            await asyncio.sleep(seconds / (len(pieces) - 1))
        return Raw(pieces[-1])
    if fault == "hang":
        await asyncio.Event().wait()
    if fault == "reset":
        return Raw(b"", keep_alive=False, abort=True)
    raise ValueError(f"There is no wire fault {fault!r}.")
