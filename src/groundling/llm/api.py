"""A model behind an OpenAI-compatible endpoint. One HTTP session, kept-alive connections, as many calls at once as the endpoint takes.

A call that broke on its way, or that the endpoint refused for the moment, is sent again after a random wait. What no second try can mend
(400, 401, 403, 404) stops the run. The key is read from the environment for each call; it is in no attribute, message or file.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from ..config import Endpoint
from ..errors import ModelError
from ..seeds import digest
from . import collector
from .base import Reply, Request
from .budget import Budget, Cost
from .completions import Body, Trouble, body, reply, trouble
from .gate import Call, gate
from .meter import Meter

if TYPE_CHECKING:
    import aiohttp

VERSION = 1  # raised when the same request would be sent otherwise
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0  # of the random waits before a call is sent again
_HINTS = {
    403: "The key may not use this model: name another model, or take a key that may.",
    404: "Check base_url and the model's name.",
}
_HINTS_BY_CODE = {
    "context_length_exceeded": "Set a smaller chunk.size, or name a model that takes longer prompts. What was answered is kept.",
    "content_filter": "The provider's filter refuses a prompt: leave its document out (ingest.exclude). What was answered is kept.",
}
_REFUSING = "It refuses every call. See what the account's limits are; the same command goes on later, and what was answered is kept."


class Api:
    """Implements `base.Model` over HTTP. `name` is the name in the config; `parallel` requests at once keep the endpoint busy."""

    documents_role = False
    paid = True

    def __init__(self, name: str, endpoint: Endpoint, budget: Budget | None = None, say: Callable[[str], None] | None = None) -> None:
        self.name, self.endpoint, self.budget = name, endpoint, budget
        self.fingerprint = f"api/{VERSION}/{endpoint.model}/{digest(msgspec.json.encode(endpoint.identity(), order='deterministic').decode())}"
        self.parallel = 2 * endpoint.max_parallel  # replies that are being stored take no place at the endpoint
        self.meter = Meter()
        e = endpoint
        self.gate = gate((e.requests_per_minute, e.tokens_per_minute, e.tokens_per_day), e.max_parallel, self.meter)
        self.say = say or (lambda text: None)
        self._native: bool | None = {"auto": None, "native": True, "prompt": False}[e.structured]
        self._untold = ""  # why JSON is asked for in words, until that has worked
        self._refusing = False  # whether it was said that every call is refused
        self._http: aiohttp.ClientSession | None = None
        self._url = endpoint.base_url.rstrip("/") + "/chat/completions"

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        if len(requests) == 1:
            return [await self.reply(requests[0])]
        return list(await asyncio.gather(*(self.reply(request) for request in requests)))

    async def reply(self, request: Request) -> Reply:
        """One reply; `finish` is `error` where every attempt broke, and `text` says how the last one did.

        Raises ModelError for what no retry mends, BudgetError where the next attempt could pass the budget, Stopped when the run is ending.
        """
        sent, tried = body(request, self.endpoint, self._native is not False), 0
        again = False
        while True:
            got = await self._attempt(sent, again)
            if isinstance(got, Reply):
                return got
            again = True
            if got.kind == "fatal":
                if not (sent.native and self._words_instead(got)):
                    raise self._error(got)
                sent = body(request, self.endpoint, native=False)
                continue
            if self._takes_nothing(got):  # which is not this call's fault: the gate waits
                continue
            tried += 1
            if tried > self.endpoint.retries:
                self.meter.failed += 1
                return Reply(text=f"No reply after {tried} attempts. The last: {got.reason}", finish="error")
            self.meter.retries += 1
            await self.gate.sleep(got.retry_after + random.uniform(0, min(_LONGEST_WAIT, _FIRST_WAIT * 2**tried)))

    def _takes_nothing(self, got: Trouble) -> bool:
        """Whether the endpoint is down, or refuses every call. Raises ModelError where that has lasted too long."""
        if self.gate.breaker.open:
            if self.gate.breaker.hopeless:
                raise self._error(got, "Is it running, and is base_url right?")
            return True
        if got.kind != "refused" or not self.gate.pace.refusing:
            return False
        if self.gate.pace.hopeless:
            raise self._error(got, _REFUSING)
        return True

    def usd(self, reply: Reply) -> float:
        """What a reply cost."""
        return self._cost(reply.tokens_in, reply.tokens_out).usd

    def ready(self) -> None:
        """Raise ModelError where the key is missing."""
        self._headers()

    def stop(self) -> None:
        """Send nothing more; calls in flight end on their own."""
        self.gate.stop()

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None
            collector.usual(self)

    def _cost(self, tokens_in: int, tokens_out: int) -> Cost:
        e = self.endpoint
        return Cost(tokens_in, tokens_out, (tokens_in * e.price_in + tokens_out * e.price_out) / 1e6)

    async def _attempt(self, sent: Body, again: bool) -> Reply | Trouble:
        """Send once, within budget and limits, and let the gate learn from what came back."""
        headers, worst = self._headers(), self._cost(sent.most_in, sent.most_out)
        if self.budget:
            await self.budget.reserve(worst)
        try:
            call = await self.gate.enter(sent.likely, again)
        except BaseException:
            if self.budget:
                self.budget.settle(worst, Cost())
            raise
        got: Reply | Trouble = Trouble("broken", "interrupted", billed=True)
        try:
            got = await self._send(sent, headers)
            self._learn(call, got, sent)
        finally:
            self._settle(call, got, worst)
        return got

    def _settle(self, call: Call, got: Reply | Trouble, worst: Cost) -> None:
        lost = isinstance(got, Trouble) and got.billed
        paid = Cost() if isinstance(got, Trouble) else self._cost(got.tokens_in, got.tokens_out)
        self.gate.leave(call, worst.tokens if lost else paid.tokens)
        if isinstance(got, Reply):
            self.meter.answered(*paid)
        if self.budget and lost:
            self.budget.lose(self.name, worst)
        elif self.budget:
            self.budget.settle(worst, paid)

    async def _send(self, sent: Body, headers: dict[str, str]) -> Reply | Trouble:
        import aiohttp

        try:
            async with self._session().post(self._url, data=sent.data, headers=headers, allow_redirects=False) as response:
                data = await response.read()
        except (aiohttp.ClientConnectorCertificateError, aiohttp.InvalidURL) as error:
            return Trouble("fatal", self._scrub(str(error)))
        except aiohttp.ClientConnectorError as error:
            return Trouble("unreachable", unreachable(error))
        except TimeoutError:
            return Trouble("broken", f"no answer within {self.endpoint.timeout:g} s", billed=True)
        except (aiohttp.ClientError, ConnectionError) as error:
            return Trouble("broken", f"the connection broke ({type(error).__name__})", billed=True)
        if response.status == 200:
            return reply(data, sent)
        found = trouble(response.status, data, response.headers.get("Retry-After"))
        return found._replace(reason=self._scrub(found.reason))

    def _learn(self, call: Call, got: Reply | Trouble, sent: Body) -> None:
        pace, breaker = self.gate.pace, self.gate.breaker
        if isinstance(got, Trouble) and got.kind in ("broken", "unreachable"):
            if breaker.broke(call.number, got.kind == "unreachable") and not breaker.hopeless:
                self.say(f"  {self.name} is down: {got.reason}. Next try in {breaker.seconds_left:.0f} s; nothing is lost.")
            return
        if breaker.answered(call.number):
            pace.restart()
            self.say(f"  {self.name} answers again.")
        if isinstance(got, Reply):
            pace.succeeded()
            self._say_what_works(sent)
        elif got.kind == "refused":
            self.meter.refused += 1
            pace.refused(call.number, got.retry_after)
            if pace.refusing and not self._refusing:
                self._refusing = True
                self.say(f"  {self.name} refuses every call: {got.reason}. It is tried again now and then; nothing is lost.")

    def _say_what_works(self, sent: Body) -> None:
        """A reply came: of what was in doubt it shows what works."""
        if sent.native:
            self._native = True
        elif self._untold:
            self.say(f"  {self.name} takes no response_format ({self._untold}): JSON is asked for in words from here on.")
            self._untold = ""
        if self._refusing:
            self._refusing = False
            self.say(f"  {self.name} takes calls again.")

    def _words_instead(self, got: Trouble) -> bool:
        """Whether a refused `response_format` is tried in words: with `auto`, and where none was taken before."""
        if self.endpoint.structured != "auto" or self._native is True or got.status not in (400, 404, 422):
            return False
        if self._native is None:
            self._untold = got.reason
        self._native = False
        return True

    def _error(self, got: Trouble, hint: str = "") -> ModelError:
        said = got.reason if got.reason.endswith((".", "…")) else f"{got.reason}."
        hint = hint or self._hint(got)
        return ModelError(f'The endpoint "{self.name}" ({self._url}, model {self.endpoint.model}) does not answer calls: {said} {hint}')

    def _hint(self, got: Trouble) -> str:
        """What to do about an error."""
        variable = self.endpoint.key_env
        if got.status == 401 and not variable:
            return f"It wants a key: put it into an environment variable, and the variable's name into models.{self.name}.key_env."
        if got.status == 401:
            return f"Check the key in the environment variable {variable}."
        usual = _HINTS.get(got.status, "Mend it and give the same command again: what was answered is kept.")
        return _HINTS_BY_CODE.get(got.code, usual)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        variable = self.endpoint.key_env
        if variable:
            key = os.environ.get(variable, "").strip()
            if not key:
                raise ModelError(f'models.{self.name}: the environment variable "{variable}" is not set. Put the endpoint\'s key there.')
            if not (key.isascii() and key.isprintable()):
                raise ModelError(
                    f'models.{self.name}: what is in the environment variable "{variable}" is no key: it holds line breaks or odd letters.'
                )
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def _scrub(self, text: str) -> str:
        """The text without the key, should a server repeat it."""
        key = os.environ.get(self.endpoint.key_env, "").strip() if self.endpoint.key_env else ""
        return text.replace(key, "[key]") if key else text

    def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._http is None or self._http.closed:
            collector.rarely(self)
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(total=self.endpoint.timeout),
                cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, headers={"User-Agent": "groundling"},
            )  # fmt: skip
        return self._http


def unreachable(error: aiohttp.ClientConnectorError) -> str:
    """Why there was no connection, in a clause."""
    why = error.os_error
    return f"no connection to {error.host}:{error.port} ({why.strerror or why})"
