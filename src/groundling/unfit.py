"""A line of JSON that is no record, and an option that is no value, told for who wrote it and not in the words of the library that refused it."""

from __future__ import annotations

import re

from .registry import nearest

_KINDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list", "object": "an object {…}",
}  # fmt: skip
_USAGE = (
    (r"Input should be a valid integer(, .*)?$", "a whole number is expected"),
    (r"Input should be a valid number(, .*)?$", "a number is expected"),
    (r"Input should be greater than or equal to (\S+)$", r"the least is \1"),
    (r"Input should be less than or equal to (\S+)$", r"the most is \1"),
)


def told(error: Exception, fields: list[str]) -> str:
    """What is wrong with a line, as a sentence. `fields` are those that it may have."""
    said = _clause(error, fields)
    return said if said[-1] in ".?" else f"{said}."


def _clause(error: Exception, fields: list[str]) -> str:
    said = str(error)
    if isinstance(error, UnicodeDecodeError):
        return "it is not written in UTF-8"
    if found := re.match("Object contains unknown field `(.*?)`", said):
        return f'there is no field "{found[1]}".{nearest(found[1], fields)}'
    if found := re.match("Object missing required field `(.*?)`", said):
        return f'the field "{found[1]}" is missing'
    if found := re.match(r"Expected `(.*)`, got `(.*?)`(?: - at `\$\.?(.*)`)?$", said):
        must, given, where = found.groups()
        return f"{_place(where)} must be {' or '.join(_kind(one) for one in must.split(' | '))}, not {_kind(given)}"
    if said == "Input data was truncated":
        return "it ends too early: a quote or a bracket is not closed"
    return said.replace("JSON is malformed: ", "it is no JSON: ")


def _kind(name: str) -> str:
    return _KINDS.get(name, name)


def _place(where: str | None) -> str:
    """`answers[0]` as a person counts."""
    if not where:
        return "it"
    found = re.fullmatch(r"(.*)\[(\d+)\]", where)
    return f'item {int(found[2]) + 1} of "{found[1]}"' if found else f'"{where}"'


def usage(message: str) -> str:
    """What is wrong with an option of the command line."""
    for theirs, ours in _USAGE:
        message = re.sub(theirs, ours, message)
    return message
