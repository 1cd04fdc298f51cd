"""A JSON schema asked for in words, for models that take none: the one place that writes it, and reads it back.

`Request.schema` says that the reply must be JSON of that schema. A model either enforces it (an endpoint with `response_format`) or asks
for it in words: it sends `prompted(request)`. The words are added at the door and not by who asks, so that a request, and its key in the
journal, is the same whichever way an endpoint turns out to need.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from .base import Request

REASK = "Your reply could not be used"  # how a re-ask begins; the fake teacher looks past it
_BEFORE = "\n\nReply with one JSON value and nothing else, no comments and no code fence. It must fit this JSON schema:\n"
_WRITTEN = re.compile(re.escape(_BEFORE) + r"(\{.*\})\Z", re.DOTALL)


def prompted(request: Request) -> Request:
    """The request with its schema written at the end of the last user message, and no `schema`; unchanged where it has none."""
    if request.schema is None:
        return request
    words = _BEFORE + json.dumps(request.schema, ensure_ascii=False)
    messages = [dict(m) for m in request.messages]
    last = next((m for m in reversed(messages) if m["role"] == "user"), None)
    if last is None:
        messages.append({"role": "user", "content": words.lstrip()})
    else:
        last["content"] += words
    return msgspec.structs.replace(request, messages=messages, schema=None)


def split(text: str) -> tuple[str, dict[str, Any] | None]:
    """A user message without the schema that `prompted` wrote, and that schema; None where there is none."""
    found = _WRITTEN.search(text)
    if not found:
        return text, None
    try:
        schema = json.loads(found[1])
    except ValueError:
        return text, None
    return text[: found.start()], schema


def response_format(schema: dict[str, Any]) -> dict[str, Any]:
    """The `response_format` of a chat call that asks for a schema."""
    name = re.sub(r"[^\w-]", "_", str(schema.get("title", "reply")), flags=re.ASCII)[:64] or "reply"
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": True}}
