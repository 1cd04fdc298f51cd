"""The batch protocol of OpenAI and those who follow it: files of requests up, a batch over them, its state, files of results down. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from .base import Reply
from .completions import Body, Damaged, Trouble, reply, trouble

MAX_LINES = 50_000
MAX_BYTES = 200 * 1000 * 1000
ENDED = {"completed", "expired", "cancelled", "failed"}
_QUEUE = re.compile(r"enqueued|token_limit_exceeded|batch_limit", re.IGNORECASE)


class _Response(msgspec.Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Result(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: Any = None


class State(NamedTuple):
    """A batch as the provider tells it. `reason` is what a failed one says; `done` of `total` lines are answered, 0 where it does not count.

    `full`: it failed because too much was enqueued already.
    """

    status: str
    output: str | None
    errors: str | None
    done: int
    total: int
    reason: str
    full: bool = False

    @property
    def taken(self) -> bool:
        """Whether the provider has begun to work on it."""
        return self.status not in ("validating", "failed")


class Line(NamedTuple):
    """A request in a batch: its key in the journal is its `custom_id`."""

    key: str
    body: Body

    @property
    def data(self) -> bytes:
        line = {"custom_id": self.key, "method": "POST", "url": "/v1/chat/completions", "body": msgspec.Raw(self.body.data)}
        return msgspec.json.encode(line) + b"\n"


def full(*words: str) -> bool:
    """Whether an error's code and message say that too much is enqueued: it goes when other batches have ended. Of OpenAI, Azure, gateways."""
    return any(_QUEUE.search(text) for text in words)


def parts(lines: Iterable[Line], most_lines: int = MAX_LINES, most_bytes: int = MAX_BYTES) -> Iterator[list[Line]]:
    """Lines in files within the provider's limits, in their order. A line that is too long by itself makes a file of its own."""
    part: list[Line] = []
    size = 0
    for line in lines:
        length = len(line.data)
        if part and (len(part) >= most_lines or size + length > most_bytes):
            yield part
            part, size = [], 0
        part.append(line)
        size += length
    if part:
        yield part


def state(told: Any) -> State:
    """A batch object. Raises Damaged for something else."""
    if not isinstance(told, dict) or not isinstance(told.get("status"), str):
        raise Damaged("the answer is no batch")
    counts = told.get("request_counts") or {}
    errors = ((told.get("errors") or {}).get("data") or []) if isinstance(told.get("errors"), dict) else []
    reason = "; ".join(str(e.get("message", e)) if isinstance(e, dict) else str(e) for e in errors[:3])
    output, broken = told.get("output_file_id"), told.get("error_file_id")
    crowded = any(full(str(e.get("code")), str(e.get("message"))) for e in errors if isinstance(e, dict))
    return State(told["status"], output, broken, int(counts.get("completed") or 0), int(counts.get("total") or 0), reason, crowded)


def results(data: bytes, sent: dict[str, Body]) -> dict[str, Reply | Trouble]:
    """The lines of a file of results, by key; the first where a key comes twice. Raises Damaged where a line cannot be read.

    `sent` has the bodies of the requests that are known; for others the tokens are what the provider says.
    """
    found: dict[str, Reply | Trouble] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            told = msgspec.json.decode(line, type=_Result)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Damaged(f"line {number} of the results is not readable ({error})") from error
        found.setdefault(told.custom_id, _one(told, sent.get(told.custom_id) or _UNKNOWN))
    return found


_UNKNOWN = Body(b"", 0, 1 << 31, False)


def _one(told: _Result, sent: Body) -> Reply | Trouble:
    if told.response is None:
        error = told.error if isinstance(told.error, dict) else {"message": str(told.error)}
        return Trouble("broken", f"{error.get('code', 'no response')}: {error.get('message', '')}")
    body = bytes(told.response.body)
    return reply(body, sent) if told.response.status_code == 200 else trouble(told.response.status_code, body, None)
