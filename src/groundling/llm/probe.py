"""Is an endpoint there, does it know the model, does it answer: for doctor. One GET, and one call of one token where that is asked for."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, NamedTuple

import msgspec

from ..config import Endpoint
from ..errors import GroundlingError
from .api import Api
from .base import Request

PATIENCE = 10.0  # seconds


class Finding(NamedTuple):
    """One thing looked at. `fatal`: no call can succeed."""

    what: str
    ok: bool
    says: str
    fatal: bool = True


def probe(name: str, endpoint: Endpoint, ask: bool) -> list[Finding]:
    """Whether the endpoint can be reached and lists the model; with `ask`, whether it answers a call of one token. Prices are looked at too."""
    found = [asyncio.run(_listed(endpoint))]
    if not (endpoint.price_in or endpoint.price_out):
        says = f"models.{name} has no price_in and price_out: plan cannot tell money, and budget_usd cannot stop the run"
        found.append(Finding("prices", False, says, fatal=False))
    else:
        found.append(Finding("prices", True, f"{endpoint.price_in:g} USD per million tokens in, {endpoint.price_out:g} out"))
    if ask:
        found.append(asyncio.run(_answers(name, endpoint)))
    return found


async def _listed(endpoint: Endpoint) -> Finding:
    import aiohttp

    url, key = endpoint.base_url.rstrip("/") + "/models", os.environ.get(endpoint.key_env, "").strip() if endpoint.key_env else ""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE), trust_env=False) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            status, data = response.status, await response.read()
    except TimeoutError:
        return Finding("endpoint", False, f"{url} gave no answer within {PATIENCE:g} s. Is it running, and is base_url right?")
    except (aiohttp.ClientError, OSError) as error:
        said = str(error).replace(key, "[key]") if key else str(error)
        return Finding("endpoint", False, f"{url} cannot be reached ({said}). Is it running, and is base_url right?")
    if status in (401, 403):
        return Finding("endpoint", False, f"{url} refuses the key ({status}). Check the variable that key_env names ({endpoint.key_env or 'none'}).")
    if status != 200:
        return Finding("endpoint", True, f"reached; it has no list of models ({status} at {url}), so the model's name is not checked")
    return _among(endpoint.model, data, url)


def _among(model: str, data: bytes, url: str) -> Finding:
    """Whether the model is in the list that came."""
    try:
        told: Any = msgspec.json.decode(data)
        names = [str(m["id"]) for m in told["data"]]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return Finding("endpoint", False, f"{url} answers, but not as a chat API does. Is base_url right, with /v1 at its end?")
    if model in names:
        return Finding("endpoint", True, f"reached; it lists {model}")
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return Finding("endpoint", False, f'reached, but it does not list the model "{model}". It lists: {some or "none"}', fatal=False)


async def _answers(name: str, endpoint: Endpoint) -> Finding:
    api = Api(name, endpoint.model_copy(update={"timeout": 30.0, "retries": 0}))
    start = time.perf_counter()
    try:
        reply = await api.reply(Request(messages=[{"role": "user", "content": "Say OK."}], max_tokens=1))
    except GroundlingError as error:
        return Finding("answer", False, str(error))
    finally:
        await api.close()
    if reply.finish == "error":
        return Finding("answer", False, reply.text)
    seconds = time.perf_counter() - start
    return Finding("answer", True, f"in {seconds:.2f} s; {reply.tokens_in} tokens in, {reply.tokens_out} out, {api.usd(reply):.6f} USD")
