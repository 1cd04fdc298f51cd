"""What stands before the app: who may ask, and the headers that every reply carries.

A server on 127.0.0.1 is reachable from any page that the user's browser shows. Two ways in are closed: a foreign name that resolves to
127.0.0.1 (DNS rebinding: the Host header is foreign), and a foreign page that posts (the Origin header is foreign).
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from .wire import error

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


def is_local(name: str) -> bool:
    """Whether a host name can only mean this machine: `localhost`, or a loopback address."""
    name = name.rstrip(".").lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def objection(host: str, origin: str | None) -> str | None:
    """Why a request to a server on loopback is refused, as a sentence; None where it is not."""
    if not is_local(_host(f"//{host}")):
        name = host or "nothing"
        return f'This server answers only as localhost, not as "{name}". Open it under that name, or choose where it listens with --host.'
    if origin is not None and not is_local(_host(origin)):
        return f'This server takes no requests from pages of other sites ("{origin}"). Open its own page, or serve with --host.'
    return None


class Guard:
    """ASGI middleware: refuses foreign hosts and origins where `loopback`, and adds `HEADERS`."""

    def __init__(self, app: Any, loopback: bool) -> None:
        self.app, self.loopback = app, loopback

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
            await send(message)

        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        refused = objection(headers.get(b"host", ""), headers.get(b"origin")) if self.loopback else None
        if not refused:
            return await self.app(scope, receive, sending)
        from starlette.responses import JSONResponse

        await JSONResponse(error(403, refused), 403)(scope, receive, sending)
