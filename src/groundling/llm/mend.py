"""JSON objects found in a model's words: strict where they are, mended where the meaning is plain, never completed where they were cut.

Mended: code fences, talk around the object, trailing and missing commas, single or curly quotes, bare keys, Python's True and None, comments,
unescaped quotes and line breaks in strings. Not mended: an object whose brackets do not close, which is the mark of a cut reply, and
one of which a word would be lost or changed on the way.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import json_repair

_CLOSING = {'"': '"', "'": "'", "“": "”"}
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class Found(NamedTuple):
    """The objects in a text, in order. `cut`: one is open at the end of the text, or its brackets do not match; `unreadable`: one made no sense."""

    objects: list[dict[str, Any]]
    cut: bool = False
    unreadable: bool = False


def objects(text: str) -> Found:
    """Every JSON object of the text that is not inside another one; what models think aloud between <think> marks is left out."""
    text = _THOUGHTS.sub("", text)
    found: list[dict[str, Any]] = []
    unreadable = False
    at, end = text.find("{"), 0
    while at >= 0 and "}" not in text[end:at]:
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            closed = _end(text, at)
            if closed is None:
                return Found(found, cut=True)
            value, end = _repaired(text[at:closed]), closed
        if isinstance(value, dict) and _is_text(value, text):
            found.append(value)
        else:
            unreadable = True
        at = text.find("{", end)
    return Found(found, cut="}" in text[end:], unreadable=unreadable)  # a bracket that closes nothing: the object ended too soon


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of pairs; one that names a key twice with different values says two things, and is none."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made and made[key] != value:
            raise _Twice(key)
        made[key] = value
    return made


class _Twice(Exception):
    """A key with two values."""


class _Decoder(json.JSONDecoder):
    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        try:
            return super().raw_decode(s, idx)
        except _Twice:
            end = json.JSONDecoder().raw_decode(s, idx)[1]
            return None, end


_DECODER = _Decoder(object_pairs_hook=_once)


def _is_text(value: dict[str, Any], text: str) -> bool:
    """Whether all strings can be written: half of a surrogate pair cannot."""
    if not _SURROGATE.search(text):
        return True
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, TypeError):
        return False
    return True


def _repaired(text: str) -> Any:
    """The value of a bracketed text that is not strict JSON, or None where mending it would lose a word of it."""
    try:
        return _python(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        value = json_repair.loads(text, skip_json_loads=True)
    except (ValueError, RecursionError):
        return None
    said = Counter(_words(_COMMENT.sub(" ", _ESCAPE.sub(_unescaped, text))))
    return value if said == Counter(_words(" ".join(_scalars(value)))) else None


def _python(text: str) -> Any:
    """A dictionary as Python writes it: exact where it applies. Raises ValueError or SyntaxError where it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # an odd backslash in a string
        tree = ast.parse(text, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict) and len({ast.dump(k) for k in node.keys if k}) < len(node.keys):
            raise ValueError("a key stands there twice")
    value = ast.literal_eval(tree)
    if not isinstance(value, dict) or json.loads(json.dumps(value)) != value:
        raise ValueError("this is nothing that JSON has")
    return value


_COMMENT = re.compile(r"(?<!:)//[^\n]*|/\*.*?\*/", re.DOTALL)
_ESCAPE = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\[bfnrt]")


def _unescaped(found: re.Match[str]) -> str:
    return json.loads(f'"{found.group()}"')


def _words(text: str) -> list[str]:
    return ["null" if word == "none" else word for word in re.findall(r"\w+", text.casefold())]


def _scalars(value: Any) -> Iterator[str]:
    """Every key and every plain value inside a value, as text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _scalars(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _scalars(inner)
    else:
        yield value if isinstance(value, str) else json.dumps(value)


def _end(text: str, start: int) -> int | None:
    """Where the bracket at `start` closes, one past it; None where it never does or closes another bracket."""
    stack: list[str] = []
    quote, n = "", start
    while n < len(text):
        c = text[n]
        if quote:
            if c == "\\":
                n += 1
            elif c == quote and _follows(text, n + 1):
                quote = ""
        elif c in _CLOSING:
            if c != "'" or text[start:n].rstrip()[-1:] in "{[,:":
                quote = _CLOSING[c]
        elif c in "{[":
            stack.append("}" if c == "{" else "]")
        elif c in "}]":
            if stack.pop() != c:
                return None
            if not stack:
                return n + 1
        n += 1
    return None


def _follows(text: str, at: int) -> bool:
    """Whether what comes next can come after a string: a quote inside a string is followed by more of it."""
    rest = text[at : at + 200].lstrip()
    return not rest or rest[0] in ",:}]" or rest.startswith(("//", "/*"))
