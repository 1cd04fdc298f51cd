"""What an agent searches with: a run's index, or any endpoint that answers a search with JSON."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

from pydantic import Field, field_validator

from ..answer import Search, passages_of
from ..errors import ModelError, SearchError
from ..options import Options
from ..records import Passage
from ..seeds import digest

Find = Callable[[str, int], Awaitable[Sequence[Passage]]]  # what to look for, how many at most
_LIMIT = 4_000_000  # bytes of an answer
_KEY = re.compile(r"[?&](?:[\w-]*key|[\w-]*token|secret|password|apikey|auth|sig)=(?!\{key\})[^&]", re.IGNORECASE)


def of_index(search: Search) -> Find:
    """Search in an index. It runs in a thread, so that others are served meanwhile."""

    async def found(query: str, count: int) -> Sequence[Passage]:
        return passages_of(await asyncio.to_thread(search, query, count))

    return found


class Endpoint(Options):
    """Where a JSON search is, and where in its answer the results stand. A path is keys and list places with dots between: `data.0.hits`."""

    url: str = Field(pattern=r"^https?://[^\s]+$")  # with {query}, {count} where the endpoint takes one, and {key} where it wants a key
    key_env: str = Field("", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")  # the environment variable that holds the key
    results: str = ""  # path of the list of results in the answer; empty: the answer is the list
    title: str = "title"  # path of a result's title; empty: results have none
    text: str = "text"  # path of its text
    timeout: float = Field(20, gt=0)  # seconds that one search may take
    retries: int = Field(2, ge=0)  # how often a search that broke is sent again

    @field_validator("url")
    @classmethod
    def _asks(cls, url: str) -> str:
        if "{query}" not in url:
            raise ValueError("it must hold {query}, which what is searched for is put in place of")
        if _KEY.search(url):  # it would stand in records, configs and cards, which are published
            raise ValueError("a key is not written into it: write {key} there, and name its environment variable as key_env")
        return url


class JsonSearch:
    """Searches at an endpoint. One is made for a run and closed after it; searches may run side by side."""

    def __init__(self, endpoint: Endpoint, wait: float = 0.5) -> None:
        self.endpoint, self._wait, self._http = endpoint, wait, None

    async def __call__(self, query: str, count: int) -> Sequence[Passage]:
        """The first results. Raises SearchError where the endpoint does not answer, or not as it should."""
        url = self.endpoint.url.replace("{count}", str(count)).replace("{key}", self._key()).replace("{query}", quote(query, safe=""))
        for tried in range(self.endpoint.retries + 1):
            if tried:
                await asyncio.sleep(self._wait * 2 ** (tried - 1))
            status, said = await self._get(url)
            if status == 200:
                return self._read(said)[:count]
            if 0 < status < 500 and status not in (408, 429):
                break
        raise SearchError(
            f"The search endpoint {self._shown} did not answer ({said}). See that it runs and that its url is right, then give the same command "
            "again: what was answered so far is kept."
        )

    def _key(self) -> str:
        """The key, as it stands in an address. Raises ModelError where the url wants one and there is none."""
        if "{key}" not in self.endpoint.url:
            return ""
        key = os.environ.get(self.endpoint.key_env, "") if self.endpoint.key_env else ""
        if not key.strip():
            named = f"the environment variable {self.endpoint.key_env}, which is not set" if self.endpoint.key_env else "key_env, which is empty"
            raise ModelError(f"The search endpoint {self._shown} wants a key in {named}.")
        return quote(key.strip(), safe="")

    @property
    def _shown(self) -> str:
        """The address without its query: a key may stand there."""
        return self.endpoint.url.partition("?")[0]

    async def _get(self, url: str) -> tuple[int, str]:
        """(200, the body), or (a status or 0, what went wrong)."""
        import aiohttp
        from yarl import URL

        if self._http is None or self._http.closed:
            timeout = aiohttp.ClientTimeout(total=self.endpoint.timeout)
            self._http = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "groundling"})
        try:
            async with self._http.get(URL(url, encoded=True), allow_redirects=False) as response:
                if response.status != 200:
                    return response.status, f"status {response.status}"
                data = await response.content.read(_LIMIT + 1)
                while len(data) <= _LIMIT and (more := await response.content.read(_LIMIT)):
                    data += more
        except TimeoutError:
            return 0, f"no answer within {self.endpoint.timeout:g} s"
        except (aiohttp.ClientError, ConnectionError) as error:
            return 0, f"no connection: {type(error).__name__}"
        if len(data) > _LIMIT:
            return 413, f"an answer of more than {_LIMIT:,} bytes"
        return 200, data.decode("utf-8", "replace")

    def _read(self, said: str) -> list[Passage]:
        try:
            told = json.loads(said)
            results = _at(told, self.endpoint.results)
        except (ValueError, LookupError, TypeError):
            results = None
        if not isinstance(results, list):
            raise SearchError(
                f'The search endpoint {self._shown} answered without a list at "{self.endpoint.results}": {" ".join(said.split())[:120]}. '
                "Set endpoint.results to the path of the list in its JSON."
            )
        found = [p for p in (self._passage(r) for r in results) if p is not None]
        if results and not found:
            raise SearchError(
                f'None of the {len(results)} results of the search endpoint {self._shown} has a text at "{self.endpoint.text}". Set endpoint.text to '
                "the path of the text in a result."
            )
        return found

    def _passage(self, result: Any) -> Passage | None:
        """A result with a text; one without is no passage. A title that is missing is empty."""
        text, title = _text(result, self.endpoint.text), _text(result, self.endpoint.title) if self.endpoint.title else ""
        return Passage(id=f"found:{digest(title, text)}", title=title, text=text) if text else None

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None


def _at(value: Any, path: str) -> Any:
    """What stands at a path. Raises LookupError or TypeError where nothing does."""
    for part in path.split(".") if path else ():
        value = value[int(part)] if isinstance(value, list) and part.isdigit() else value[part]
    return value


def _text(result: Any, path: str) -> str:
    try:
        found = _at(result, path)
    except (LookupError, TypeError):
        return ""
    return found.strip() if isinstance(found, str) else ""
