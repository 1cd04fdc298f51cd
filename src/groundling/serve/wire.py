"""The OpenAI shapes: requests read, replies written."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from ..errors import InputError
from ..records import Chunk, Hit
from .service import Told
from .text import plain, shown, warnings

NO_QUESTION = 'The request holds no question. Send "messages" with a user message: [{"role": "user", "content": "…"}].'


class Call(NamedTuple):
    """A chat request as far as it is understood. `given` are the request's own documents; None: passages are retrieved."""

    question: str
    given: list[Hit] | None = None
    stream: bool = False
    usage: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


def read(body: bytes) -> Call:
    """The call in a request's body; unknown fields are ignored. Raises InputError: a sentence that names the field."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"The request's body is not readable JSON ({error}).") from None
    if not isinstance(data, dict):
        raise InputError("The request's body is a JSON object, with the question in its messages.")
    for name in ("stream", "stream_options"):
        kind = bool if name == "stream" else dict
        if not isinstance(data.get(name) or kind(), kind):
            raise InputError(f'"{name}" is {"true or false" if kind is bool else "an object"}, not {data[name]!r}.')
    limit = data.get("max_tokens", data.get("max_completion_tokens"))
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InputError(f'"max_tokens" is a whole number from 1, not {limit!r}.')
    usage = bool((data.get("stream_options") or {}).get("include_usage"))
    given = _documents(data["documents"]) if data.get("documents") is not None else None
    return Call(_question(data.get("messages")), given, bool(data.get("stream")), usage, limit, _stops(data.get("stop")))


def _stops(stop: Any) -> tuple[str, ...]:
    found = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(found, list) or not all(isinstance(s, str) and s for s in found):
        raise InputError(f'"stop" is a text, or a list of texts, not {stop!r}.')
    return tuple(found)


def content(told: Told, call: Call) -> str:
    """The answer as it is shown, up to the first of the call's stop strings: those of the reply that a model writes are the format's own."""
    text = shown(told.answer, told.sources)
    return text[: min((at for stop in call.stop if (at := text.find(stop)) >= 0), default=len(text))]


def _question(messages: Any) -> str:
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise InputError(NO_QUESTION)
    asked = [m.get("content") for m in messages if m.get("role") == "user"]
    if not asked:
        raise InputError(NO_QUESTION)
    content = asked[-1]
    if isinstance(content, list):  # OpenAI's parts: their text counts
        content = "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict) and part.get("type") == "text")
    if not isinstance(content, str) or not content.strip():
        raise InputError("The question is empty. Write it as the content of the last user message.")
    return content.strip()


def _documents(documents: Any) -> list[Hit]:
    """The request's own documents as hits, each one a chunk of its own."""
    if not isinstance(documents, list):
        raise InputError('"documents" is a list of texts, or of objects with "title" and "text".')
    hits = []
    for number, item in enumerate(documents, 1):
        fields = {"text": item} if isinstance(item, str) else item if isinstance(item, dict) else {}
        text, title = fields.get("text") or fields.get("content"), fields.get("title") or ""
        if not isinstance(text, str) or not text.strip() or not isinstance(title, str):
            raise InputError(f'Number {number} of "documents" holds no text. Give a string, or an object with "title" and "text".')
        own = f"given-{number}"
        hits.append(Hit(chunk=Chunk(id=own, document=own, path="", title=title, text=text, start=0, end=len(text)), score=0.0))
    return hits


def details(told: Told, scored: bool) -> dict[str, Any]:
    """The `groundling` field. Spans are character offsets (code points) in the document's text; scores are null for given documents."""
    answer, numbers = told.answer, {s.chunk: s.number for s in told.sources}
    verbatim = {(s.chunk, s.quote) for s in told.sources}
    quotes = [(q.text, answer.passages[q.passage].id) for q in answer.quotes]
    return {
        "text": plain(answer),
        "abstained": answer.abstained,
        "quotes": [{"text": t, "chunk": c, "number": numbers.get(c), "verbatim": (c, t) in verbatim} for t, c in quotes],
        "sources": [msgspec.to_builtins(s) for s in told.sources],
        "passages": [
            {"id": h.chunk.id, "title": h.chunk.title, "number": numbers.get(h.chunk.id), "score": h.score if scored else None} for h in told.hits
        ],
        "invalid": answer.invalid,
        "warnings": warnings(answer, told.sources, told.finish),
    }


def completion(name: str, told: Told, call: Call) -> dict[str, Any]:
    """A whole `chat.completion`."""
    message = {"role": "assistant", "content": content(told, call)}
    return {
        **_head("chat.completion", name),
        "choices": [{"index": 0, "message": message, "finish_reason": told.finish, "logprobs": None}],
        "usage": _usage(told),
        "groundling": details(told, call.given is None),
    }


def events(name: str, told: Told, call: Call) -> Iterator[str]:
    """The finished answer as server-sent events, word by word: role, content, finish with the `groundling` field, usage if asked, DONE."""
    head = _head("chat.completion.chunk", name)

    def event(delta: dict[str, str], finish: str | None = None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event({**head, "choices": [choice], **more})

    yield event({"role": "assistant", "content": ""})
    for piece in re.findall(r"\s*\S+", content(told, call)):
        yield event({"content": piece})
    yield event({}, told.finish, groundling=details(told, call.given is None))
    if call.usage:
        yield _event({**head, "choices": [], "usage": _usage(told)})
    yield "data: [DONE]\n\n"


def error(status: int, sentence: str) -> dict[str, Any]:
    """An error in OpenAI's shape."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": sentence, "type": kind, "param": None, "code": None}}


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


def _head(kind: str, name: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": name}


def _usage(told: Told) -> dict[str, int]:
    answer = told.answer
    return {
        "prompt_tokens": answer.tokens_in,
        "completion_tokens": answer.tokens_out,
        "total_tokens": answer.tokens_in + answer.tokens_out,
    }
