"""The calls that batch mode makes. Each is repeated until it works, for half an hour; only making a batch is looked up before it is repeated."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..errors import ModelError
from .api import Api, unreachable
from .base import Reply
from .batchwire import Damaged, State, full, results, state
from .completions import Body, Trouble, trouble

PATIENCE = 1800.0  # seconds that a provider may be away; before its first answer, a minute
FIRST_PATIENCE = 60.0
_WAITS = (0.5, 30.0)  # seconds between tries: first, longest
_PAGES, _PAGE = 20, 100  # of the list of batches
_FETCHES = 3  # of a file with fewer results than the provider counts; after that, they are taken as missing


class NotMade(ModelError):
    """The provider refused the file or the batch: it was certainly not made."""


class Full(NotMade):
    """The provider refused the batch because too much is enqueued: it was certainly not made, and will be taken later."""


class BatchHttp:
    """Upload, make, look, fetch. Raises ModelError for what no second try mends and when patience is at its end; NotMade where that is certain."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.waits, self.patience = _WAITS, PATIENCE
        self._answered = False

    async def upload(self, lines: Iterable[bytes]) -> str:
        """Upload a file of requests; its id. Sent twice, one of the copies is never used. It goes by way of the disk: it may have 200 MB."""
        import aiohttp

        with tempfile.TemporaryFile(dir=getattr(self.api, "folder", None)) as whole, contextlib.ExitStack() as sent:
            whole.writelines(lines)
            whole.flush()

            def form() -> Any:
                whole.seek(0)
                copy = sent.enter_context(os.fdopen(os.dup(whole.fileno()), "rb"))  # whoever sends it closes it
                made = aiohttp.FormData()
                made.add_field("purpose", "batch")
                made.add_field("file", copy, filename="groundling.jsonl", content_type="application/jsonl")
                return made

            try:
                return _id(await self._insist("POST", "/files", form))
            except ModelError as error:
                raise NotMade(str(error)) from error

    async def make(self, file: str) -> str:
        """Make a batch of a file; its id. Raises Full. Where the answer was lost, the batch is looked for before it is made again."""
        order = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        wait, since = self.waits[0], time.monotonic()
        while True:
            got = await self._once("POST", "/batches", lambda: msgspec.json.encode(order))
            if not isinstance(got, Trouble):
                return _id(got)
            if got.kind in ("fatal", "refused") and full(got.code, got.reason):
                raise Full(got.reason)
            if got.kind == "fatal":
                raise NotMade(str(self.api._error(got)))
            self._bear(got, since)
            await asyncio.sleep(max(wait, got.retry_after))
            wait = min(self.waits[1], wait * 2)
            if got.billed or got.kind == "broken":
                found = await self.made_of(file)
                if found:
                    return found

    async def made_of(self, file: str) -> str | None:
        """The id of the batch that was made of a file, or None. Looks through the newest 2,000 batches."""
        after = ""
        for _ in range(_PAGES):
            page = await self._insist("GET", f"/batches?limit={_PAGE}{after}")
            listed = page.get("data") if isinstance(page, dict) else None
            if not isinstance(listed, list):
                raise self.api._error(Trouble("fatal", "it does not list its batches, so one that was made cannot be found"))
            for one in listed:
                if isinstance(one, dict) and one.get("input_file_id") == file:
                    return str(one["id"])
            if not page.get("has_more") or not listed:
                return None
            after = f"&after={listed[-1]['id']}"
        return None

    async def state(self, batch: str) -> State:
        return await self._insist("GET", f"/batches/{batch}", read=state)

    async def results(self, batch: str, told: State, sent: dict[str, Body]) -> dict[str, Reply | Trouble]:
        """What a batch brought, by key: its file of results over its file of errors. A file that did not arrive whole is fetched again."""
        found: dict[str, Reply | Trouble] = {}
        tries = iter(range(_FETCHES))

        def whole(data: bytes) -> dict[str, Reply | Trouble]:
            lines = results(data, sent)
            if len(lines) < told.done and next(tries, None) is not None:
                raise Damaged(f"{len(lines)} of {told.done} results arrived")
            return lines

        if told.errors:
            found |= await self._insist("GET", f"/files/{told.errors}/content", read=lambda data: results(data, sent), raw=True)
        if told.output:
            found |= await self._insist("GET", f"/files/{told.output}/content", read=whole, raw=True)
        return found

    async def _insist(
        self, method: str, path: str, make: Callable[[], Any] | None = None, read: Callable[[Any], Any] | None = None, raw: bool = False
    ) -> Any:
        """Repeat a call until it works."""
        wait, since = self.waits[0], time.monotonic()
        while True:
            got = await self._once(method, path, make, raw)
            if not isinstance(got, Trouble):
                try:
                    return read(got) if read else got
                except Damaged as error:
                    got = Trouble("broken", str(error))
            self._bear(got, since)
            await asyncio.sleep(max(wait, got.retry_after))
            wait = min(self.waits[1], wait * 2)

    def _bear(self, got: Trouble, since: float) -> None:
        """Raise where waiting mends nothing, or has lasted too long."""
        if got.kind == "fatal":
            raise self.api._error(got)
        patience = self.patience if self._answered else min(FIRST_PATIENCE, self.patience)
        if time.monotonic() - since > patience:
            raise self.api._error(got, "What is at the provider is kept: give the same command again when it answers.")

    async def _once(self, method: str, path: str, make: Callable[[], Any] | None = None, raw: bool = False) -> Any:
        """One call: the JSON of its answer (`raw`: its bytes), or what went wrong."""
        import aiohttp

        api = self.api
        headers = api._headers()
        if path == "/files":
            headers.pop("Content-Type")  # the form brings its own
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=api.endpoint.timeout)
        url = api.endpoint.base_url.rstrip("/") + path
        try:
            data = make() if make else None
            async with api._session().request(method, url, data=data, headers=headers, timeout=timeout, allow_redirects=raw) as response:
                body = await response.read()
        except (aiohttp.ClientConnectorCertificateError, aiohttp.InvalidURL) as error:
            return Trouble("fatal", api._scrub(str(error)))
        except aiohttp.ClientConnectorError as error:
            return Trouble("unreachable", unreachable(error))
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            return Trouble("broken", f"the connection broke ({type(error).__name__})")
        if response.status != 200:
            found = trouble(response.status, body, response.headers.get("Retry-After"))
            return found._replace(reason=api._scrub(found.reason))
        if body.lstrip()[:1] == b"<":
            return Trouble("broken", "200 with a page of HTML")
        self._answered = True
        try:
            return body if raw else msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Trouble("broken", "200 with a body that is no JSON")


def _id(told: Any) -> str:
    if not isinstance(told, dict) or not isinstance(told.get("id"), str):
        raise ModelError("The endpoint took a batch and did not tell its id. Is this an OpenAI-compatible batch API?")
    return told["id"]
