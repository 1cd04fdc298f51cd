"""The batch endpoints: a batch over an uploaded file, its state, its output and error files."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from . import wire
from .chance import share
from .content import Call, characters, name_of
from .files import page
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
    """Batches of one server over its uploaded `files`, in memory. `reply(call, name)` makes the body of a good answer."""

    def __init__(self, script: Script, files: dict[str, bytes], stats: Stats, reply: Callable[[Call, str], bytes]) -> None:
        self.script, self.play, self.files, self.stats, self.reply = script, script.batch, files, stats, reply
        self.jobs: dict[str, Job] = {}

    async def answer(self, request: web.BaseRequest, parts: list[str]) -> wire.Raw | None:
        """The answer to a call about batches; None for any other."""
        match request.method, parts:
            case "POST", ["batches"]:
                return await self._create(request)
            case "GET", ["batches"]:
                return page(request, [self._told(job) for job in reversed(self.jobs.values())])
            case "GET", ["batches", job] if job in self.jobs:
                return wire.json(self._told(self.jobs[job]))
            case "POST", ["batches", job, "cancel"] if job in self.jobs:
                self.jobs[job].cancelled = True
                return wire.json(self._told(self.jobs[job]))
        return None

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
