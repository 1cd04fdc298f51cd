"""What every model looks like from outside: requests in, replies out, and the key under which a reply is remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

Message = dict[str, str]


class Verbatim(msgspec.Struct, frozen=True, kw_only=True):
    """What stands between `begin` and `end` must be a piece of one of `texts`. Local models keep to it; others are only checked.

    `answer` opens the answer, where the format has such a mark: a local model does not end before it has answered, nor within a word of `texts`.
    """

    begin: str
    end: str
    texts: list[str]
    answer: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `task` and `inputs` say in plain values what `messages` ask in words; models without a model (`template`, `fake`) read those.

    `draw` tells repeats of one request apart, `attempt` a re-ask from the first try; both are part of the key.
    """

    messages: list[Message]
    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    stop: list[str] = []
    schema: dict[str, Any] | None = None
    task: str = ""
    inputs: dict[str, Any] = {}
    verbatim: Verbatim | None = None
    draw: int = 0
    attempt: int = 0


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. `finish` is `stop`, `length` or `error`; tokens as the model counted them."""

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    finish: str = "stop"


class Model(Protocol):
    """A model behind the one door. `fingerprint` changes whenever its replies could: endpoint and name, or the hash of its weights."""

    name: str
    fingerprint: str
    documents_role: bool

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        """Replies in the order of the requests. A local model batches them; an endpoint sends them side by side."""
        ...


def call_key(fingerprint: str, request: Request) -> str:
    """The journal's key: SHA-256 over everything that shapes the reply, the draw and the attempt.

    `inputs` count because models without a model answer from them.
    """
    shaping = [
        fingerprint, request.messages, request.max_tokens, request.temperature, request.top_p, request.stop, request.schema,
        request.verbatim, request.task, request.inputs, request.draw, request.attempt,
    ]  # fmt: skip
    return hashlib.sha256(msgspec.json.encode(shaping, order="deterministic")).hexdigest()
