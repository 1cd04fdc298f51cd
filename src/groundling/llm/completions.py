"""The chat-completions protocol: the body of a call, the reply in an answer, and what went wrong where there is none. No I/O."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import msgspec

from ..config import Endpoint
from .base import Reply, Request
from .schema import prompted, response_format

_SHOWN = 300  # characters of a server's message
_QUOTA = {"insufficient_quota", "billing_hard_limit_reached"}  # a 429 that no waiting cures


class _Part(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None  # some models reply in parts, of which those without text are what they thought
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: float | None = None
    completion_tokens: float | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode, _encode = msgspec.json.Decoder(_Completion).decode, msgspec.json.Encoder().encode


class Trouble(NamedTuple):
    """Why a call brought no reply. `kind`: `refused` (one too many), `broken` (try again), `unreachable` (nobody there) or `fatal`.

    `billed` says whether the endpoint may have worked, and charge, for it; `code` is the server's own name for the error.
    """

    kind: str
    reason: str
    status: int = 0
    retry_after: float = 0.0
    billed: bool = False
    code: str = ""


class Damaged(Exception):
    """An answer, or a file, that did not arrive whole."""


class Body(NamedTuple):
    """A call's body, and the most tokens that it can cost: a token of a prompt is at least one byte of it."""

    data: bytes
    most_in: int
    most_out: int
    native: bool

    @property
    def likely(self) -> float:
        """Tokens that it will about take: what limits a minute are kept with until the answer tells."""
        return self.most_in / 4 + self.most_out


def body(request: Request, endpoint: Endpoint, native: bool) -> Body:
    """The body of a request. `native`: a schema goes into `response_format`; else it is asked for in words."""
    asked = request if native else prompted(request)
    fields: dict[str, Any] = {
        "model": endpoint.model, "messages": asked.messages, "max_tokens": asked.max_tokens, "temperature": asked.temperature, "top_p": asked.top_p,
    }  # fmt: skip
    if asked.stop:
        fields["stop"] = asked.stop
    if asked.schema is not None:
        fields["response_format"] = response_format(asked.schema)
    longest = asked.max_tokens
    if extra := endpoint.extra:
        fields = {name: value for name, value in {**fields, **extra}.items() if value is not None}
        longest = max([longest, *(v for k in ("max_tokens", "max_completion_tokens") if isinstance(v := extra.get(k), int))])
    data = _encode(fields)
    return Body(data, len(data), longest, asked.schema is not None)


def reply(data: bytes, sent: Body) -> Reply | Trouble:
    """The reply in the body of a 200, or why it is none."""
    try:
        told = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        what = "a page of HTML" if data.lstrip()[:1] == b"<" else f"no answer of a chat API ({error})"
        return Trouble("broken", f"200 with {what}", 200, billed=True)
    if not told.choices:
        return _without(data, told.error)
    choice = told.choices[0]
    said = choice.message.content
    text = (said if isinstance(said, str) else "".join(part.text or "" for part in said or ())) or choice.message.refusal or ""
    if choice.finish_reason == "error":
        return Trouble("broken", f"200 with a reply that broke off{_words(told.error)}", 200, billed=True)
    tokens_in, tokens_out = _counted(told.usage, sent, text)
    return Reply(text=text, tokens_in=tokens_in, tokens_out=tokens_out, finish="length" if choice.finish_reason == "length" else "stop")


def _counted(usage: _Usage | None, sent: Body, text: str) -> tuple[int, int]:
    """Tokens in and out. What an endpoint does not tell is counted at the most that it can have been, so that budgets hold."""
    read, written = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
    most = min(sent.most_out, len(text.encode())) if written is None else 0
    return sent.most_in if read is None else max(0, round(read)), most if written is None else max(0, round(written))


def _without(data: bytes, error: Any) -> Trouble:
    """A 200 without a reply. Gateways send one when what they pass calls on to has failed, with its status as the error's code."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and 400 <= code < 600:
        found = trouble(code, data, None)
        return found._replace(reason=f"200 with the error {found.reason}", billed=found.kind == "broken")
    return Trouble("broken", f"200 without a reply (no choices){_words(error)}", 200, billed=True)


def _words(error: Any) -> str:
    return f": {_message(_encode({'error': error}))[0]}" if error else ""


def trouble(status: int, data: bytes, retry_after: str | None) -> Trouble:
    """What an answer with another status than 200 means."""
    message, code = _message(data)
    reason = f"{status}{': ' + message if message else ''}"
    after = seconds(retry_after)
    if 300 <= status < 400:
        return Trouble("fatal", f"{status}: it sends calls on to another address, which is not followed", status)
    if status in (429, 529):
        return Trouble("fatal" if code in _QUOTA else "refused", reason, status, after, code=code)
    if status in (408, 409, 424, 425) or status >= 500:  # 424: TGI, where the model failed while it wrote
        return Trouble("broken", reason, status, after, code=code)
    return Trouble("fatal", reason, status, code=code)


def _message(data: bytes) -> tuple[str, str]:
    """The server's own words, shortened to a line, and its code for the error."""
    try:
        told = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = data.decode("utf-8", "replace")
        return ("a page of HTML" if text.lstrip().startswith("<") else _line(text)), ""
    error = told.get("error", told) if isinstance(told, dict) else told
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or error
        text = message if isinstance(message, str) else msgspec.json.encode(message).decode()
        return _line(text), str(error.get("code") or error.get("type") or "")
    return _line(str(error)), ""


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def seconds(retry_after: str | None) -> float:
    """The seconds of a Retry-After header: a number, or an HTTP date; 0 where there is none or it cannot be read."""
    if not retry_after:
        return 0.0
    try:
        return max(0.0, min(float(retry_after), 86_400.0))
    except ValueError:
        pass
    try:
        return max(0.0, min(parsedate_to_datetime(retry_after).timestamp() - time.time(), 86_400.0))
    except (ValueError, TypeError, OverflowError):
        return 0.0
