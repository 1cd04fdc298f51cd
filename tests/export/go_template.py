"""What Go's text/template makes of the few actions that an exported Modelfile has, over Ollama's `.Messages`: range, if, else if, eq, fields, texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_ACTION = re.compile(r'\{\{(- )?\s*((?:"(?:\\.|[^"\\])*"|[^"}])*?)\s*( -)?\}\}')


def go(template: str, messages: Sequence[Mapping[str, str]]) -> str:
    """The template, executed. A `-` beside the braces takes the white space of the text on that side away."""
    pieces: list[tuple[str, str]] = []
    at, strip = 0, False
    for found in _ACTION.finditer(template):
        text = template[at : found.start()]
        text = text.lstrip() if strip else text
        pieces += [("text", text.rstrip() if found[1] else text), ("action", found[2])]
        at, strip = found.end(), bool(found[3])
    pieces.append(("text", template[at:].lstrip() if strip else template[at:]))
    return "".join(_run(iter(_tree(iter(pieces))), messages, {}))


def _tree(pieces: Iterator[tuple[str, str]]) -> list[Any]:
    """Nested lists: a text, a value, or [head, body, …] of a range or an if with its branches."""
    found: list[Any] = []
    for kind, said in pieces:
        if kind == "text":
            found.append(("text", said))
        elif said == "end" or said.startswith("else"):
            found.append(("stop", said))
            return found
        elif said.startswith(("range", "if")):
            branches = [(said, _tree(pieces))]
            while (last := branches[-1][1][-1][1]) != "end":
                branches.append((last.removeprefix("else").strip() or "always", _tree(pieces)))
            found.append(("block", branches))
        else:
            found.append(("value", said))
    return found


def _run(nodes: Iterator[tuple[str, Any]], messages: Sequence[Mapping[str, str]], names: dict[str, Any]) -> Iterator[str]:
    for kind, said in nodes:
        if kind == "text":
            yield said
        elif kind == "value":
            yield _value(said, names)
        elif kind == "block" and said[0][0].startswith("range"):
            number, message = re.fullmatch(r"range (\$\w+), (\$\w+) := \.Messages", said[0][0]).groups()
            for n, m in enumerate(messages):
                yield from _run(iter(said[0][1]), messages, {number: n, message: m})
        elif kind == "block":
            chosen = next((body for test, body in said if test == "always" or _holds(test, names)), [])
            yield from _run(iter(chosen), messages, names)


def _holds(test: str, names: dict[str, Any]) -> bool:
    left, right = re.fullmatch(r"if eq (\S+) (.+)", test).groups()
    return _value(left, names) == _value(right, names)


def _value(said: str, names: dict[str, Any]) -> Any:
    if said.startswith('"'):
        return json.loads(said)
    if said.isdigit():
        return int(said)
    name, _, field = said.partition(".")
    return names[name][field.lower()] if field else names[name]
