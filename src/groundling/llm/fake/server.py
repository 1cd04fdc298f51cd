"""The server: chat completions, models, batches, fine-tuning, stats. One handler over aiohttp's HTTP server; no routing table, no access log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from . import wire
from .batches import Batches
from .chance import Chance
from .content import Call, Said, characters, load_answerers, name_of, say, tokens
from .files import Files
from .script import Script
from .stats import Stats
from .tuning import Tuning

MAX_BODY = 512 * 1024 * 1024
_decode = msgspec.json.Decoder(Call).decode


class Teacher:
    """A script being played. `handle` answers one HTTP request."""

    def __init__(self, script: Script) -> None:
        self.script, self.chance, self.stats = script, Chance(script), Stats(script.log)
        self.files = Files(script, self.chance)
        self.tuning = Tuning(script, self.files.stored)
        self.files.desks += [Batches(script, self.files.stored, self.stats, self.reply).answer, self.tuning.answer]
        load_answerers()
        self._fixed = _body(Said(script.text, "stop", 10, 10), "fixed", "fake") if script.reply == "fixed" else b""

    async def handle(self, request: web.BaseRequest) -> wire.Raw:
        path = request.path.removeprefix("/v1").rstrip("/")
        if path == "/chat/completions" and request.method == "POST":
            return await self._chat(request)
        if path == "/stats":
            return wire.json(self.stats.told())
        if path == "/reset" and request.method == "POST":
            self.stats.reset()
            return wire.json({"reset": True})
        if refused := self.refusal(request):
            return refused
        if path == "/models":
            return wire.json({"object": "list", "data": [{"id": "fake", "object": "model", "created": 0, "owned_by": "groundling"}]})
        return await self.files.handle(request, path)

    def refusal(self, request: web.BaseRequest) -> wire.Raw | None:
        """What the script refuses always, whatever is asked."""
        script = self.script
        if script.key and request.headers.get("Authorization") != f"Bearer {script.key}":
            return wire.error(401, "Incorrect API key provided.", "invalid_api_key")
        return wire.error(script.always, f"the script says {script.always}, always") if script.always else None

    async def _chat(self, request: web.BaseRequest) -> wire.Raw:
        stats, script = self.stats, self.script
        at = stats.arrived()
        body = await request.read()
        try:
            call = _decode(body)
        except msgspec.DecodeError as error:
            stats.served("", at, "400", "")
            return wire.error(400, f"The body is not a chat call: {error}.", "invalid_request_error")
        name = name_of(call)
        refused = self.refusal(request) or self.complaint(call)
        down = self._down(at)
        if refused is None and not down and script.capacity and stats.in_flight >= script.capacity:
            refused = self._busy("there is no room for another call")
        if refused is not None:
            stats.served(name, at, refused.data[9:12].decode(), "")
            return refused
        return await self._play(request, call, name, at)

    def complaint(self, call: Call) -> wire.Raw | None:
        """400 or 404 for what this server does not do."""
        if not self.tuning.knows(call.model):
            return wire.error(404, f"The model `{call.model}` does not exist or you do not have access to it.", "model_not_found")
        if call.response_format is not None and not self.script.response_format:
            return wire.error(400, "Unsupported parameter: 'response_format' is not supported with this model.", "invalid_request_error")
        if call.stream:
            return wire.error(400, "The fake teacher does not stream. Leave out `stream`.", "invalid_request_error")
        return None

    def _busy(self, message: str) -> wire.Raw:
        after = self.script.retry_after
        return wire.error(429, message, "rate_limit_exceeded", f"Retry-After: {after:g}\r\n" if after else "")

    def _down(self, at: float) -> str:
        """The outage at a time, or an empty string."""
        return next((o.kind for o in self.script.outages if o.at <= at < o.at + o.seconds), "")

    async def _play(self, request: web.BaseRequest, call: Call, name: str, at: float) -> wire.Raw:
        """One call that found room: its fault, its latency, its answer; counted however it ends."""
        stats, down = self.stats, self._down(at)
        attempt = 0 if down else stats.attempt(name)
        fault = down or self.chance.wire(name, attempt)
        status = "499"  # the client went away first
        stats.flying(1)
        try:
            if down != "reset" and (seconds := self.chance.seconds(name, attempt)):
                await asyncio.sleep(seconds)
            if fault in ("503", "server_error"):
                code = 503 if down or name[0] < "8" else 500
                found = wire.error(code, "the script says that the server is out of order", "server_error")
            elif fault == "refused":
                found = self._busy("too many requests")
            else:
                body = self.reply(call, name)
                found = await wire.faulty(fault, body, request, self.script.slow_seconds) if fault else wire.answer(body)
            status = found.data[9:12].decode() if found.data.startswith(b"HTTP") else "200" if fault in ("cut_body", "slow_body") else "0"
            return found
        finally:
            stats.flying(-1)
            stats.served(name, at, status, "outage" if down else fault)

    def reply(self, call: Call, name: str) -> bytes:
        """The body of a good answer."""
        if self._fixed:
            return self._fixed
        if (learnt := self.tuning.recalls(call)) is not None:
            return _body(Said(learnt, "stop", characters(call) // 4, tokens(learnt)), name, call.model)
        fault = self.chance.content(name)
        if fault:
            self.stats.faults[fault] += 1
        return _body(say(call, name, self.script.seed, fault), name, call.model)


def _body(said: Said, name: str, model: str) -> bytes:
    message = {"role": "assistant", "content": said.content}
    usage = {"prompt_tokens": said.tokens_in, "completion_tokens": said.tokens_out, "total_tokens": said.tokens_in + said.tokens_out}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish}
    whole = {"id": f"chatcmpl-{name}", "object": "chat.completion", "created": 0, "model": model, "choices": [choice], "usage": usage}
    return msgspec.json.encode(whole)


@asynccontextmanager
async def serving(script: Script | None = None, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """The fake teacher in this event loop while the block runs; gives its base URL, `http://HOST:PORT/v1`."""
    loop = asyncio.get_running_loop()
    teacher = Teacher(script or Script())

    def request(message, payload, protocol, writer, task):  # as aiohttp's server calls it; only the largest body is ours
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)

    handler = web.Server(teacher.handle, request_factory=request, handler_cancellation=True, access_log=None)
    server = await loop.create_server(handler, host, port, backlog=4096)
    try:
        yield f"http://{host}:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        server.close()
        await handler.shutdown(0.1)
        teacher.stats.close()
