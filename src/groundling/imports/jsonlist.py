"""The elements of a JSON list, one by one: a list of a million records is never in memory, and a broken record does not hide those after it.

A JSON text cannot hold a line break, so a text that is still open at the end of a line is where a quotation mark is missing: it is closed there,
and the record is counted as broken. A bracket that is never closed shows where a line looks like the start of the record it would be part of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, TextIO

from ..errors import InputError

PIECE = 1 << 16  # characters read at once: a list may stand on one line
LONGEST = 1 << 26  # characters of one record; more means that its end was lost
_OUTSIDE = re.compile(r'["{}\[\],\n]')
_INSIDE = re.compile(r'["\\\n]')
_KEY = re.compile(r'\{\s*"([^"]*)"')
OPEN_TEXT = "a text is not closed on its line"
OPEN_BRACKET = "a bracket is not closed"


class Element(NamedTuple):
    """The text of one element and the line it starts on; with a `fault`, the line of that."""

    text: str
    line: int
    fault: str = ""


class _Scanner:
    """Where the reading stands. `depth` counts open brackets within the element; `text` is what of it was read so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.line, self.start, self.indent = 1, 1, ""
        self.depth, self.quoted, self.escaped = 0, False, False
        self.fault, self.fault_line = "", 0
        self.text: list[str] = []
        self.begun = self.ended = False

    def feed(self, piece: str) -> Iterator[Element]:
        """The elements that end within this piece of the file."""
        at = 0
        if not self.begun:
            at = piece.find("[") + 1
            self.begun = at > 0
            self.line += piece.count("\n", 0, at) if self.begun else piece.count("\n")
            if not self.begun:
                return
        if self.text and self._starts_anew(piece):
            if not self.fault:
                self.fault, self.fault_line = OPEN_BRACKET, self.start
            yield self._element()
            self.depth = 0
        kept = at
        while at < len(piece):
            if self.ended:
                self._nothing_more(piece[at:])
                return
            at, cut = self._step(piece, at)
            if cut is not None:
                self._add(piece[kept:cut])
                kept = at
                if self.text:
                    yield self._element()
        self._add(piece[kept:])

    def _add(self, text: str) -> None:
        if not self.text:
            stripped = text.lstrip()
            self.indent = text[: len(text) - len(stripped)].rpartition("\n")[2]
            self.start = self.line - stripped.count("\n")
            text = stripped
        if text:
            self.text.append(text)

    def _fault(self, why: str) -> None:
        if not self.fault:
            self.fault, self.fault_line = why, self.line

    def _step(self, piece: str, at: int) -> tuple[int, int | None]:
        """Go on to the next character that matters. Second: where the element ends, if it does there."""
        if self.escaped:
            self.escaped = False
            if piece[at] != "\n":
                return at + 1, None
        found = (_INSIDE if self.quoted else _OUTSIDE).search(piece, at)
        if found is None:
            return len(piece), None
        at, sign = found.end(), found.group()
        if sign == "\n":
            if self.quoted:
                self.quoted = False
                self._fault(OPEN_TEXT)
            self.line += 1
        elif sign == "\\":
            self.escaped = True
        elif sign == '"':
            self.quoted = not self.quoted
        elif sign in "{[":
            self.depth += 1
        elif sign in "}]" and self.depth:
            self.depth -= 1
        elif sign == "]":
            self.ended = True
            return at, found.start()
        elif sign == "," and not self.depth:
            return at, found.start()
        return at, None

    def _starts_anew(self, piece: str) -> bool:
        """Whether this line starts the next record (or ends the list) although the record before it has found no end.

        It does where it is indented like that record and begins with the same field; a list of records within a record does not look so.
        """
        last, line = self.text[-1], piece.strip()
        if not last.endswith("\n") or not (self.depth or self.fault):
            return False
        indent = piece[: len(piece) - len(piece.lstrip())]
        if line == "]":
            return bool(self.fault) and last.rstrip().endswith("}") and (len(indent) < len(self.indent) or not indent)
        if indent != self.indent or not line.startswith("{"):
            return False
        key = _KEY.match(line)
        own = _KEY.match(self.text[0])
        return bool(indent) if key is None else own is not None and key[1] == own[1]

    def _element(self) -> Element:
        made = Element("".join(self.text).rstrip().removesuffix(","), self.fault_line if self.fault else self.start, self.fault)
        self.text, self.fault = [], ""
        return made

    def _nothing_more(self, rest: str) -> None:
        if rest.strip():
            raise InputError(f"{self.name}, line {self.line}: the list ends here, but the file goes on. Remove the bracket that closes it too early.")

    def rest(self) -> Element:
        """What the file leaves open where it ends."""
        if not self.text:
            return Element("", self.line, "the file ends before its list does")
        self.fault, self.fault_line = self.fault or "the file ends inside this record", self.fault_line if self.fault else self.start
        return self._element()

    def too_long(self) -> bool:
        return sum(map(len, self.text)) > LONGEST


def elements(handle: TextIO, name: str) -> Iterator[Element]:
    """The elements of the list in a file. Raises InputError where it goes on after its end, or a record finds none."""
    scanner = _Scanner(name)
    while piece := handle.readline(PIECE):
        yield from scanner.feed(piece)
        if scanner.too_long():
            raise InputError(f"{name}, line {scanner.start}: the record that starts here has no end. A bracket or quotation mark is missing in it.")
    if not scanner.ended:
        yield scanner.rest()
