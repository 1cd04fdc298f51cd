"""Uploaded files, and the calls around them that may break: what the batch and the fine-tuning endpoints share."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any

from aiohttp import web

from . import wire
from .chance import Chance
from .script import Script

Desk = Callable[[web.BaseRequest, list[str]], Awaitable[wire.Raw | None]]
PURPOSES = ("batch", "fine-tune")


class Files:
    """Files of one server, in memory. Each desk answers its own paths, or None. Wire faults of the script apply here too."""

    def __init__(self, script: Script, chance: Chance) -> None:
        self.script, self.chance = script, chance
        self.stored: dict[str, bytes] = {}
        self.desks: list[Desk] = []
        self._seen: dict[str, int] = {}
        self._cut = 0

    async def handle(self, request: web.BaseRequest, path: str) -> wire.Raw:
        """One call; a wire fault spoils the answer and not the deed: a batch or a job may have been made although nobody was told."""
        what = f"{request.method} {path}"
        seen = self._seen[what] = self._seen.get(what, -1) + 1
        fault = self.chance.wire(what, seen)
        if fault in ("server_error", "refused"):
            return wire.error(503 if fault == "server_error" else 429, "the script says so")
        told = await self._answer(request, path.strip("/").split("/"))
        if fault and told.data.startswith(b"HTTP/1.1 200"):
            return await wire.faulty(fault, told.data.partition(b"\r\n\r\n")[2], request, self.script.slow_seconds)
        return told

    async def _answer(self, request: web.BaseRequest, parts: list[str]) -> wire.Raw:
        match request.method, parts:
            case "POST", ["files"]:
                return await self._upload(request)
            case "GET", ["files", file, "content"] if file in self.stored:
                return wire.answer(self.stored[file], kind="application/octet-stream")
        for desk in self.desks:
            if told := await desk(request, parts):
                return told
        return wire.error(404, f"There is nothing at {request.method} {request.path}.", "not_found")

    async def _upload(self, request: web.BaseRequest) -> wire.Raw:
        if self._cut < self.script.cut_uploads:
            self._cut += 1
            await request.content.read(64)
            return wire.Raw(b"", keep_alive=False, abort=True)
        form = await request.post()
        given, purpose = form.get("file"), form.get("purpose")
        if purpose not in PURPOSES or not isinstance(given, web.FileField):
            return wire.error(400, f"A file needs the fields purpose ({' or '.join(PURPOSES)}) and file.", "invalid_request_error")
        with given.file:
            data = given.file.read()
        most = (self.script.batch if purpose == "batch" else self.script.tuning).max_bytes
        if len(data) > most:
            return wire.error(413, f"The file has {len(data)} bytes; {most} are allowed.")
        name = f"file-{blake2b(data, digest_size=6).hexdigest()}-{len(self.stored)}"
        self.stored[name] = data
        return wire.json(
            {"id": name, "object": "file", "bytes": len(data), "created_at": int(time.time()), "filename": given.filename, "purpose": purpose}
        )


def page(request: web.BaseRequest, rows: list[dict[str, Any]]) -> wire.Raw:
    """A list, the newest first: `limit` of them after the one named `after`."""
    names = [row["id"] for row in rows]
    after, limit = request.query.get("after"), int(request.query.get("limit", 20))
    start = names.index(after) + 1 if after in names else 0
    shown = rows[start : start + limit]
    more = start + limit < len(rows)
    return wire.json({"object": "list", "data": shown, "has_more": more, "last_id": shown[-1]["id"] if shown else None})
