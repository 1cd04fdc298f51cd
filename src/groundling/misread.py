"""YAML that cannot be read, told for its writer: the place, and what is likely wrong there. No text of the file is repeated: it may hold a key."""

from __future__ import annotations

import re
from typing import Any

import yaml

_COLON = re.compile(r":(\s|$)")
_QUOTES = "a quote is missing or there is one too many: a value that holds quotes is put into quotes of the other kind"
_GUESSES = {
    "escape": "in double quotes a backslash has a meaning of its own. Put the value into single quotes",
    "sequence entries are not allowed": "an item of a list stands on the line of its setting. Begin a new line before the -, or write [a, b]",
    "unhashable": "a brace opens a mapping. Put a value that holds braces into quotes",
    "another document": "a line of three dashes begins a second document, and a config is one. Take it out",
    "'<stream end>'": "the text ends within a value. A bracket is not closed",
    "'<scalar>'": _QUOTES,
    "expected <block end>": "the line is indented otherwise than those that it belongs to. Settings of one section begin at the same column",
}
_SIGNS = ("cannot start any token", "alphabetic or numeric character", "undefined alias", "constructor for the tag")
_TAB = "a tab stands there. Use spaces in its place"
_KINDS = {"timestamp": "a date", "int": "a whole number", "float": "a number", "bool": "true or false"}  # by the end of a tag
_UNFIT = (ValueError, LookupError, AttributeError, ArithmeticError)  # what PyYAML's constructors raise for a value that is not of its kind
_NAME = re.compile(r"[A-Za-z_]{1,40}")  # of a key only what can be no secret is told
_OTHERWISE = "nothing can be read from here on. Look for a missing colon, quote or bracket before this place"


class Misread(ValueError):
    """Text that is not readable as YAML: the place (`line 3, column 2`) and what is likely wrong there, as a clause without its full stop."""

    def __init__(self, place: str, guess: str) -> None:
        super().__init__(f"{place}: {guess}")
        self.place, self.guess = place, guess


class _SafeLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which refuses a key that is written twice (PyYAML's own takes the last) and tells where a value does not fit."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Here, not where mappings are made: there the keys of a merge (`<<`) stand among their own, which override them."""
        node = super().compose_mapping_node(anchor)  # type: ignore[no-untyped-call]
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag.endswith(":merge"):
                continue
            if (key.tag, key.value) in seen:
                raise _at(key.start_mark, _twice(key.value))
            seen.add((key.tag, key.value))
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep)
        try:
            return super().construct_object(node, deep)
        except _UNFIT:
            kind = _KINDS.get(node.tag.rpartition(":")[2], "a value of its kind")
            raise _at(node.start_mark, f"it is read as {kind} and cannot be one. Put it into quotes, without !! before it") from None


def _twice(name: str) -> str:
    told = f'"{name}"' if _NAME.fullmatch(name) else "a name"
    return f"{told} is written twice in one section. Write it once, with all that belongs to it"


def read(data: str | bytes) -> Any:
    """What the YAML says. Raises Misread."""
    text = ""
    try:
        text = data.decode() if isinstance(data, bytes) else data
        return yaml.load(text, Loader=_SafeLoader)
    except Misread:
        raise
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise Misread(f"line {line}", "a letter is not in UTF-8. Save the file as UTF-8") from None
    except yaml.reader.ReaderError as error:
        raise Misread(f"line {text.count(chr(10), 0, error.position) + 1}", "there is a control character. Delete it") from None
    except yaml.MarkedYAMLError as error:
        raise _misread(error, text.splitlines()) from None
    except RecursionError:
        raise Misread("one of its lines", "too many brackets or sections are opened within each other. Close some of them") from None
    except _UNFIT:
        raise Misread("one of its values", "a letter is written by its number, and none has that number. Put the value into single quotes") from None


def _misread(error: yaml.MarkedYAMLError, lines: list[str]) -> Misread:
    """The place is where the mistake is, which may be before the place at which reading ended: where a quote was opened."""
    problem, within = error.problem or "", error.context or ""
    at = error.problem_mark or error.context_mark
    if at is None:
        return Misread("one of its lines", _OTHERWISE)
    begun = error.context_mark or at
    line = lines[at.line] if at.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return _at(at, "a tab stands before the text. Indent with spaces")
    if "quoted scalar" in within and "escape" not in problem:
        return _at(begun, "a quote is opened here and never closed")
    if problem.startswith("expected ',' or"):
        return _at(begun, "a bracket is opened here and never closed, or a comma is missing behind it")
    if "expected ':'" in problem:
        return _at(begun, "a colon is missing: a setting is written as `name: value`")
    if problem.startswith("mapping values"):
        return _colon(at, lines)
    if any(sign in problem for sign in _SIGNS):
        first = begun if within.startswith(("while scanning an alias", "while scanning an anchor")) else at
        sign = lines[first.line][first.column : first.column + 1]
        return _at(first, _TAB if sign == "\t" else f"a value may not begin with {sign}. Put it into quotes")
    return _at(at, next((guess for word, guess in _GUESSES.items() if word in problem), _OTHERWISE))


def _at(mark: Any, guess: str) -> Misread:
    return Misread(f"line {mark.line + 1}, column {mark.column + 1}", guess)


def _colon(at: Any, lines: list[str]) -> Misread:
    """A colon where none may be: the second of its line, or the line above lacks its own, or has a value already."""
    if _COLON.search(lines[at.line][: at.column]):
        return _at(at, "this is the line's second colon. Put a value that holds a colon and a space into quotes")
    above = [(n, re.sub(r"(^|\s)#.*", "", text).rstrip()) for n, text in enumerate(lines[: at.line])]
    number, text = next(((n, text) for n, text in reversed(above) if text), (at.line, lines[at.line][: at.column + 1]))
    if not _COLON.search(text):
        lacks = "a space is missing behind the colon" if ":" in text else "a colon is missing"
        return Misread(f"line {number + 1}, column {len(text) + 1}", f"{lacks}: a setting is written as `name: value`")
    return _at(at, "the line is indented below a setting that has a value already")
