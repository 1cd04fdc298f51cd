"""What the fake teacher says: the task is recognised by its prompt, else any JSON schema is filled, else a plain sentence is said.

An answerer is one file in `answers/` with `answer(asked: Asked) -> Any | None`: a value that becomes JSON, a string that is said as it is,
or None where it does not know the task. They are tried in the order of their names. Adding one is adding one file.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from typing import Any

import msgspec

from ..schema import REASK, split
from . import answers
from .fill import fill, words


class Message(msgspec.Struct):
    role: str
    content: Any = None


class Call(msgspec.Struct):
    """The body of a chat call: what shapes a reply. Other fields (`user`, `metadata`, …) are volatile: left out here, and so of the hash."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: Any = None
    seed: int | None = None
    n: int | None = None
    stream: bool = False
    response_format: Any = None


class Asked(msgspec.Struct, frozen=True):
    """One call as an answerer sees it: the last user's words without the schema, all the words, the schema asked for, and the call's hash."""

    text: str
    messages: list[Message]
    schema: dict[str, Any] | None
    call: str
    seed: int


class Said(msgspec.Struct, frozen=True):
    """A reply: content (None: null), why it ended, and tokens at four bytes each."""

    content: str | None
    finish: str
    tokens_in: int
    tokens_out: int


def name_of(call: Call) -> str:
    """The hash of a call: 16 hex digits over everything that shapes its reply."""
    return blake2b(msgspec.json.encode(call, order="deterministic"), digest_size=8).hexdigest()


def schema_of(call: Call) -> dict[str, Any] | None:
    """The JSON schema of `response_format`, or None."""
    given = call.response_format
    if not isinstance(given, dict) or given.get("type") != "json_schema":
        return None
    inner = given.get("json_schema")
    schema = inner.get("schema") if isinstance(inner, dict) else None
    return schema if isinstance(schema, dict) else None


@cache
def load_answerers() -> list[Callable[[Asked], Any]]:
    """The answerers in the order of their names. Called at the start: the first call should not wait for it."""
    found = sorted(m.name for m in pkgutil.iter_modules(answers.__path__))
    return [importlib.import_module(f"{answers.__name__}.{name}").answer for name in found]


def flat(content: Any) -> str:
    """A message's text; parts of other kinds (images) are left out."""
    if isinstance(content, list):
        return "\n".join(str(p.get("text", "")) for p in content if isinstance(p, dict))
    return content if isinstance(content, str) else ""


def characters(call: Call) -> int:
    """How long a prompt is."""
    return sum(len(flat(m.content)) for m in call.messages)


def say(call: Call, name: str, seed: int, fault: str) -> Said:
    """The reply to a call, spoilt by a content fault where one is named."""
    texts = [flat(m.content) for m in call.messages]
    users = [split(text) for message, text in zip(call.messages, texts) if message.role == "user"] or [("", None)]
    written = users[-1][1]
    asked_text = next((text for text, _ in reversed(users) if not text.startswith(REASK)), users[-1][0]).partition(f"\n\n{REASK}")[0]
    asked = Asked(text=asked_text, messages=call.messages, schema=schema_of(call) or written, call=name, seed=seed)
    value = next((v for answerer in load_answerers() if (v := answerer(asked)) is not None), None)
    if value is None:
        value = fill(asked.schema, f"{seed}:{name}", asked.text) if asked.schema is not None else _sentence(asked)
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    content, finish = _spoil(text, fault)
    limit = call.max_completion_tokens or call.max_tokens
    if content and limit and tokens(content) > limit:
        content, finish = content.encode()[: limit * 4].decode("utf-8", "ignore"), "length"
    return Said(content, finish, sum(map(tokens, texts)) + 3 * len(texts), tokens(content or ""))


def tokens(text: str) -> int:
    """Tokens at four bytes each: near enough to plan with."""
    return math.ceil(len(text.encode()) / 4)


def _sentence(asked: Asked) -> str:
    chosen = words(asked.text, f"{asked.seed}:{asked.call}", 12)
    return f"{' '.join(chosen)}.".capitalize()


def _spoil(text: str, fault: str) -> tuple[str | None, str]:
    if fault == "wrong_schema":
        return '{"unexpected": {"nested": [1, "two"]}}', "stop"
    if fault == "broken":
        return text[: max(1, len(text) // 2)], "stop"
    if fault == "fenced":
        return f"Sure! Here is what you asked for:\n\n```json\n{text}\n```\n\nLet me know if you need anything else.", "stop"
    if fault == "cut":
        return text[: max(1, len(text) // 2)], "length"
    if fault == "twice":
        return f"{text}\n{text}", "stop"
    return (None if fault == "empty" else text), "stop"
