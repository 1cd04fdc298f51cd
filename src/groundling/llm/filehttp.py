"""Files up to a provider and down again, and what is made of them there: what batch mode and fine-tuning share.

Each call is repeated until it works, for half an hour; only making something is looked up, twice, before it is repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from ..errors import ModelError
from ..panel import span
from .api import Api, unreachable
from .completions import Damaged, Trouble, trouble

PATIENCE = 1800.0  # seconds that a provider may be away; before its first answer, a minute
FIRST_PATIENCE = 60.0
WAITS = (0.5, 30.0)  # seconds between tries: first, longest
LATER = 4  # first waits until a list that may be a moment behind is looked at again
_PAGES, _PAGE = 20, 100  # of a list


class NotMade(ModelError):
    """The provider refused the file or what was to be made of it: it was certainly not made."""


class FileHttp:
    """Raises ModelError for what no second try mends and when patience is at its end; NotMade where that is certain."""

    def __init__(self, api: Api, waits: tuple[float, float] = WAITS, patience: float = PATIENCE) -> None:
        self.api, self.waits, self.patience = api, waits, patience
        self._answered = False
        self._told = False  # that it is waited for

    async def upload(self, lines: Iterable[bytes], purpose: str = "batch") -> str:
        """Upload a file; its id. Sent twice, one of the copies is never used. It goes by way of the disk: it may have 200 MB."""
        import aiohttp

        with tempfile.TemporaryFile(dir=getattr(self.api, "folder", None)) as whole, contextlib.ExitStack() as sent:
            whole.writelines(lines)
            whole.flush()

            def form() -> Any:
                whole.seek(0)
                copy = sent.enter_context(os.fdopen(os.dup(whole.fileno()), "rb"))  # whoever sends it closes it
                made = aiohttp.FormData()
                made.add_field("purpose", purpose)
                made.add_field("file", copy, filename="groundling.jsonl", content_type="application/jsonl")
                return made

            try:
                return id_of(await self._insist("POST", "/files", form))
            except ModelError as error:
                raise NotMade(str(error)) from error

    async def order(
        self, path: str, body: dict[str, Any], made: Callable[[], Awaitable[str | None]], check: Callable[[Trouble], None] = lambda got: None
    ) -> str:
        """Have something made; its id. Where an answer was lost, `made` looks for it before it is ordered again. `check` may raise."""
        wait, since, lost = self.waits[0], time.monotonic(), False
        while True:
            got = await self._once("POST", path, lambda: msgspec.json.encode(body))
            if not isinstance(got, Trouble):
                return id_of(got)
            check(got)
            if got.kind == "fatal" and not lost:  # after a lost answer a refusal says nothing of what may have been made before
                raise NotMade(str(self.api._error(got)))
            self._bear(got, since)
            await asyncio.sleep(max(wait, got.retry_after))
            wait = min(self.waits[1], wait * 2)
            lost = lost or got.billed or got.kind == "broken"
            if lost and (found := await self.sought(made)):
                return found

    async def sought(self, made: Callable[[], Awaitable[str | None]]) -> str | None:
        """What `made` finds, or None. It looks twice: a list may be a moment behind."""
        if found := await made():
            return found
        await asyncio.sleep(LATER * self.waits[0])
        return await made()

    async def find(self, path: str, fits: Callable[[dict[str, Any]], bool], what: str) -> str | None:
        """The id of the first in a list that `fits`, or None. Looks through the newest 2,000."""
        after = ""
        for _ in range(_PAGES):
            page = await self._insist("GET", f"{path}?limit={_PAGE}{after}")
            listed = page.get("data") if isinstance(page, dict) else None
            if not isinstance(listed, list):
                raise self.api._error(Trouble("fatal", f"it does not list its {what}, so one that was made cannot be found"))
            for one in listed:
                if isinstance(one, dict) and fits(one):
                    return str(one["id"])
            if not page.get("has_more") or not listed:
                return None
            after = f"&after={listed[-1]['id']}"
        return None

    async def _insist(
        self, method: str, path: str, make: Callable[[], Any] | None = None, read: Callable[[Any], Any] | None = None, raw: bool = False,
        absent: tuple[int, ...] = (),
    ) -> Any:  # fmt: skip
        """Repeat a call until it works. None where it is answered with a status that is `absent`."""
        wait, since = self.waits[0], time.monotonic()
        while True:
            got = await self._once(method, path, make, raw)
            if not isinstance(got, Trouble):
                try:
                    return read(got) if read else got
                except Damaged as error:
                    got = Trouble("broken", str(error))
            if got.status in absent:
                return None
            self._bear(got, since)
            await asyncio.sleep(max(wait, got.retry_after))
            wait = min(self.waits[1], wait * 2)

    def _bear(self, got: Trouble, since: float) -> None:
        """Raise where waiting mends nothing, or has lasted too long; say so once where it lasts longer than a moment."""
        if got.kind == "fatal":
            raise self.api._error(got)
        patience, waited = self.patience if self._answered else min(FIRST_PATIENCE, self.patience), time.monotonic() - since
        if waited > patience:
            raise self.api._error(got, "What is at the provider is kept: give the same command again when it answers.")
        if not self._told and waited > LATER * self.waits[0]:
            self._told = True
            self.api.say(f"  {self.api.name} does not answer calls ({got.reason}). It is tried again for {span(patience)}; nothing is lost.")

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
        if not 200 <= response.status < 300:  # 201 and 202 too: it was made
            found = trouble(response.status, body, response.headers.get("Retry-After"))
            return found._replace(reason=api._scrub(found.reason))
        if body.lstrip()[:1] == b"<":
            return Trouble("broken", f"{response.status} with a page of HTML")
        self._answered = True
        if self._told:
            self._told = False
            self.api.say(f"  {self.api.name} answers again.")
        try:
            return body if raw else msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return Trouble("broken", f"{response.status} with a body that is no JSON")


def id_of(told: Any) -> str:
    """The id in an answer."""
    if not isinstance(told, dict) or not isinstance(told.get("id"), str):
        raise ModelError("The endpoint took an order and did not tell its id. Is this an OpenAI-compatible API with files, batches or fine-tuning?")
    return told["id"]
