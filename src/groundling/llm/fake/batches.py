"""The batch endpoints: files up, a batch over them, its state, its output and error files. Wire faults of the script apply here too."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import msgspec
from aiohttp import web

from . import wire
from .chance import Chance, share
from .content import Call, characters, name_of
from .script import Script
from .stats import Stats

ENDED = ("completed", "failed", "expired", "cancelled")
CROWDED = "Enqueued token limit reached for fake in the fake organization. Please try again once some in_progress batches have been completed."


class Line(msgspec.Struct):
    """A line of the input file."""

    custom_id: str
    method: str
    url: str
    body: Call


class Job(msgspec.Struct):
    """A batch. `number` counts the batches from 0."""

    id: str
    number: int
    input: str
    made: float
    lines: list[Line]
    metadata: Any
    status: str = "validating"
    output: str | None = None
    errors: str | None = None
    completed: int = 0
    failed: int = 0
    cancelled: bool = False
    crowded: bool = False  # there was no room for it in the queue


class Batches:
    """Files and batches of one server, in memory. `reply(call, name)` makes the body of a good answer."""

    def __init__(self, script: Script, chance: Chance, stats: Stats, reply: Callable[[Call, str], bytes]) -> None:
        self.script, self.play, self.chance, self.stats, self.reply = script, script.batch, chance, stats, reply
        self.files: dict[str, bytes] = {}
        self.jobs: dict[str, Job] = {}
        self._seen: dict[str, int] = {}

    async def handle(self, request: web.BaseRequest, path: str) -> wire.Raw:
        """One call; a wire fault spoils the answer and not the deed: a batch may have been made although nobody was told."""
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
            case "GET", ["files", file, "content"] if file in self.files:
                return wire.answer(self.files[file], kind="application/octet-stream")
            case "POST", ["batches"]:
                return await self._create(request)
            case "GET", ["batches"]:
                return self._list(request)
            case "GET", ["batches", job] if job in self.jobs:
                return wire.json(self._told(self.jobs[job]))
            case "POST", ["batches", job, "cancel"] if job in self.jobs:
                self.jobs[job].cancelled = True
                return wire.json(self._told(self.jobs[job]))
        return wire.error(404, f"There is nothing at {request.method} {request.path}.", "not_found")

    async def _upload(self, request: web.BaseRequest) -> wire.Raw:
        form = await request.post()
        given = form.get("file")
        if form.get("purpose") != "batch" or not isinstance(given, web.FileField):
            return wire.error(400, "A file needs the fields purpose=batch and file.", "invalid_request_error")
        data = given.file.read()
        if len(data) > self.play.max_bytes:
            return wire.error(413, f"The file has {len(data)} bytes; {self.play.max_bytes} are allowed.")
        name = f"file-{blake2b(data, digest_size=6).hexdigest()}-{len(self.files)}"
        self.files[name] = data
        return wire.json(
            {"id": name, "object": "file", "bytes": len(data), "created_at": int(time.time()), "filename": given.filename, "purpose": "batch"}
        )

    async def _create(self, request: web.BaseRequest) -> wire.Raw:
        asked = msgspec.json.decode(await request.read())
        data = self.files.get(asked.get("input_file_id"))
        if data is None or asked.get("endpoint") != "/v1/chat/completions" or asked.get("completion_window") != "24h":
            return wire.error(400, "A batch needs input_file_id, endpoint /v1/chat/completions and completion_window 24h.", "invalid_request_error")
        try:
            lines = [msgspec.json.decode(line, type=Line) for line in data.splitlines() if line.strip()]
        except msgspec.DecodeError as error:
            return wire.error(400, f"A line of the file is no request: {error}.", "invalid_request_error")
        if len({line.custom_id for line in lines}) < len(lines) or not 0 < len(lines) <= self.play.max_lines:
            return wire.error(400, f"A file needs 1 to {self.play.max_lines} lines, each with a custom_id of its own.", "invalid_request_error")
        number, crowded = len(self.jobs), self._crowded(lines)
        if crowded and self.play.queue_full == "refused":
            return wire.error(429, CROWDED, "token_limit_exceeded")
        job = Job(f"batch_{number:04d}", number, asked["input_file_id"], time.monotonic(), lines, asked.get("metadata"), crowded=crowded)
        self.jobs[job.id] = job
        return wire.json(self._told(job))

    def _crowded(self, lines: list[Line]) -> bool:
        """Whether these are more than may be enqueued beside the open batches."""
        if not self.play.queue_tokens:
            return False
        for job in self.jobs.values():
            self._advance(job)
        waiting = sum(_tokens(job.lines) for job in self.jobs.values() if job.status not in ENDED and not job.crowded)
        return waiting + _tokens(lines) > self.play.queue_tokens

    def _list(self, request: web.BaseRequest) -> wire.Raw:
        """The newest first, `limit` of them after the one named `after`."""
        names = list(reversed(self.jobs))
        after, limit = request.query.get("after"), int(request.query.get("limit", 20))
        start = names.index(after) + 1 if after in self.jobs else 0
        page = names[start : start + limit]
        more = start + limit < len(names)
        return wire.json(
            {"object": "list", "data": [self._told(self.jobs[n]) for n in page], "has_more": more, "last_id": page[-1] if page else None}
        )

    def _told(self, job: Job) -> dict[str, Any]:
        self._advance(job)
        done = job.completed or self._so_far(job)
        code, why = ("token_limit_exceeded", CROWDED) if job.crowded else ("invalid_request", "The script says that this batch fails.")
        broken = [{"code": code, "message": why, "line": None}] if job.status == "failed" else []
        return {
            "id": job.id, "object": "batch", "endpoint": "/v1/chat/completions", "input_file_id": job.input, "completion_window": "24h",
            "status": job.status, "output_file_id": job.output, "error_file_id": job.errors, "metadata": job.metadata, "created_at": int(time.time()),
            "errors": {"object": "list", "data": broken} if broken else None,
            "request_counts": {"total": len(job.lines), "completed": done, "failed": job.failed},
        }  # fmt: skip

    def _so_far(self, job: Job) -> int:
        """How many lines an open batch says are answered, as providers do while they work on it."""
        gone = (time.monotonic() - job.made) / self.play.seconds if self.play.seconds else 0.0
        return int(gone * len(job.lines)) if job.status == "in_progress" and gone < 1 else 0

    def _advance(self, job: Job) -> None:
        """The state that a batch has come to by now."""
        if job.status in ENDED:
            return
        gone = (time.monotonic() - job.made) / self.play.seconds if self.play.seconds else 1.0
        if job.crowded:
            job.status = "validating" if gone < 0.1 else "failed"
        elif gone < 1 and not job.cancelled:
            job.status = "validating" if gone < 0.1 else "in_progress" if gone < 0.9 else "finalizing"
        elif self.play.outcome == "failed":
            job.status = "failed"
        else:
            expires = self.play.expire_after < 1 and job.number < self.play.expiries
            stopped = job.cancelled or self.play.outcome == "cancelled"
            self._finish(job, self.play.expire_after if expires or stopped else 1.0)
            job.status = "cancelled" if stopped else "expired" if expires else "completed"

    def _finish(self, job: Job, done: float) -> None:
        """Answer the lines, in an order of the fake's own; those past the share that is done are reported as expired."""
        output, errors = [], []
        for n, line in enumerate(sorted(job.lines, key=lambda line: share(job.id, line.custom_id))):
            result = self._line(job, line) if n < done * len(job.lines) else _expired(line)
            (errors if result["error"] or result["response"]["status_code"] != 200 else output).append(msgspec.json.encode(result))
        job.completed, job.failed = len(output), len(errors)
        for kind, lines in (("output", output), ("error", errors)):
            if lines:
                self.files[f"file-{kind}-{job.id}"] = b"\n".join(lines) + b"\n"
        job.output = f"file-output-{job.id}" if output else None
        job.errors = f"file-error-{job.id}" if errors else None

    def _line(self, job: Job, line: Line) -> dict[str, Any]:
        at, name = self.stats.arrived(), name_of(line.body)
        self.stats.attempt(name)
        seed = self.script.seed
        failed = share(seed, "line", job.id, name) < self.play.failed_lines or share(seed, "always", name) < self.play.always_failed
        status, body = 200, msgspec.Raw(b"")
        if line.body.response_format is not None and not self.script.response_format:
            status, body = 400, msgspec.Raw(b'{"error":{"message":"Unsupported parameter: response_format","type":"invalid_request_error"}}')
        elif failed:
            status, body = 500, msgspec.Raw(b'{"error":{"message":"the script says so","type":"server_error"}}')
        else:
            body = msgspec.Raw(self.reply(line.body, name))
        self.stats.served(name, at, str(status), "")
        response = {"status_code": status, "request_id": f"req-{name}", "body": body}
        return {"id": f"batch_req_{name}", "custom_id": line.custom_id, "response": response, "error": None}


def _tokens(lines: list[Line]) -> int:
    """Of their prompts, about."""
    return sum(characters(line.body) for line in lines) // 4


def _expired(line: Line) -> dict[str, Any]:
    error = {"code": "batch_expired", "message": "This request could not be executed before the completion window expired."}
    return {"id": "batch_req_none", "custom_id": line.custom_id, "response": None, "error": error}
