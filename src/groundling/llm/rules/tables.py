"""Questions about the cells of Markdown tables and the values of `key: value` lines: what the `template` teacher asks of lists."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from ...seeds import rng
from . import people, things
from .cell import DATE, HAS, HOURS, MONEY, NAMED, VALUE, Cell, Ways
from .english import document_of, lower, noun_phrase
from .rows import DAY, PERSON, PLACES, Row, is_role, row

_TITLED, _TYPED = 0.3, 0.06  # the share of questions that name the document, and that are typed into a search field
_RULE = re.compile(r"[\s|:-]+")
_PLACE = re.compile(r"(?:[Ii]n|[Oo]n|[Aa]t|behind|under|beside|next to|near|above|below|between|opposite) (?:the|a|an|each|every|all|our)\b[^.,;:]*")
_BOUND = re.compile(r"(?:(?:at most|up to|max\.?|maximum|at least|about|from) )")
# What a line of minutes or of a page begins with, and how one asks for the people behind it.
_WHO = {"present": "Who was present", "absent": "Who was absent", "minutes": "Who took the minutes", "in the chair": "Who was in the chair",
        "questions": "Whom can I ask", "apologies": "Who sent apologies", "attendees": "Who attended", "participants": "Who took part"}  # fmt: skip
_SIGNAL = re.compile(r"(?:(?:error|fault) )?(?:code|error|message|lamp|light|led|signal|symbol|abbreviation)s?", re.I)
_WAYS: tuple[Callable[[Cell], Ways], ...] = (
    people.hours, people.yes, people.money, people.person, people.reached, things.when, things.where, things.count,
    things.year, things.means, things.used, things.value, things.compared, things.lasts, things.attribute,
)  # fmt: skip
Asked = tuple[str, str, str]  # question, answer, quote


def whole(text: str) -> str:
    """The text without a row of a table that its beginning or its end cuts through."""
    lines = text.strip().splitlines(keepends=True)
    if lines and _cut(lines[0].strip(), lines[1].strip() if len(lines) > 1 else ""):
        del lines[0]
    if lines and _cut(lines[-1].strip(), lines[-2].strip() if len(lines) > 1 else ""):
        del lines[-1]
    return "".join(lines)


def _cut(line: str, beside: str) -> bool:
    """Whether a line is a part of a row: it lacks a bar at one end, and is no row of a table without such bars."""
    if "|" not in line or (line.startswith("|") and line.endswith("|") and len(line) > 1):
        return False
    whole = beside.startswith("|") and beside.endswith("|") and len(beside) > 1
    return whole or line.startswith("|") or line.endswith("|")


def cells(lines: list[str], title: str) -> Iterator[Asked]:
    """A question for each cell behind the first of a row that a colleague would ask for."""
    header: list[str] = []
    keys: list[str] = []
    for n, line in enumerate(lines):
        if line.count("|") < 1:
            header = []
            continue
        found = _cells(line)
        if n + 1 < len(lines) and _RULE.fullmatch(lines[n + 1]) and "-" in lines[n + 1]:
            header = found
            keys = [_cells(below)[0] for below in itertools.takewhile(lambda below: "|" in below, lines[n + 2 :])]
        elif header and not _RULE.fullmatch(line) and len(found) == len(header):
            r = rng(0, "facts", title, line)
            for column, cell in list(zip(header, found, strict=True))[1:]:
                if cell and column and len(cell) < 80 and found[0] and (asked := _of_cell(column, cell, found[0], Table(header[0], keys, title), r)):
                    yield asked, cell, line


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("*`") for cell in line.strip().strip("|").split("|")]


class Table(NamedTuple):
    """What is known of a cell's table: what its first column is called and holds, and the title above it."""

    header: str
    keys: Sequence[str]
    title: str


def _of_cell(column: str, cell: str, key: str, table: Table, r: Random) -> str:
    """A question for the cell of a column in a row; seldom a few words, as typed into a search field. Empty where no natural one is known."""
    if re.search(r"[\u0400-\u04ff\u3040-\u30ff\u4e00-\u9fff]", key + column):
        return f"{key}: {column}?"  # no English sentence goes around it
    named, typed = r.random() < _TITLED, r.random() < _TYPED
    short = re.sub(r"\s*\([^()]*\)$|,.*$", "", column)
    small = short[:1].lower() + short[1:] if NAMED.fullmatch(short) else short
    about = row(key, table.header, table.keys)
    found = _ways(Cell(cell, short, small, about, table.header, table.title)) if about and short else []
    if not about or not found:
        return ""
    if typed and about.kind != "action" and not key.isdigit() and not VALUE.fullmatch(short) and not re.search(r"[,;:()]", column + key):
        return f"{lower(key)} {small}"
    return f"{r.choice(found)}{_about(table.title) if named or _vague(about, short, cell) else ''}?"


def _ways(cell: Cell) -> Ways:
    """The questions, without their mark, that ask for the cell; none where no natural one is known."""
    if _SIGNAL.fullmatch(cell.header):
        return things.means(cell)  # a code or a lamp has nothing but a meaning
    if not re.search(r"\w", cell.value) or cell.value.lower() in ("n/a", "x", "tbd", "see above", "see below"):
        return []
    return next(filter(None, (way(cell) for way in _WAYS)), [])


def _vague(about: Row, column: str, cell: str) -> bool:
    """Whether many documents have such a row, so that only the title tells which is meant: "What is the weight?"."""
    compared = re.fullmatch(r"\d{4}", column) or PLACES.fullmatch(column) or about.kind == "country"
    return bool(compared or VALUE.fullmatch(column) or (about.kind == "day" and not HOURS.fullmatch(cell)))


def _about(title: str) -> str:
    return f" ({document_of(title)})" if document_of(title) else ""


def of_key(key: str, value: str, title: str) -> str:
    """A question for the value of `key: value`; empty where no natural one is known."""
    value = value.strip(" .*")
    if re.fullmatch(r"Removed|Discontinued", key):
        asked = f"What was {key.lower()}"
    elif PERSON.match(value):
        asked = _of_people(key)
    else:
        asked = _of_thing(key, lower(key), value) if noun_phrase(key) else ""
    return f"{asked}{_about(title)}?" if asked else ""


def _of_people(key: str) -> str:
    if known := _WHO.get(key.lower()):
        return known
    if not NAMED.fullmatch(key) or not noun_phrase(key) or not is_role(re.sub(r"s$", "", key)):
        return ""
    be = "are" if re.search(r"(?<![su'’])s$", key) else "is"
    return f"Who {be} the {key[0].lower()}{key[1:]}"


def _of_thing(key: str, small: str, value: str) -> str:
    about = row(key, "", ())
    be = "are" if about and about.many else "is"
    opens = bool(re.search(r"\bopen\b", value, re.I))
    if DATE.match(value) or (DAY.match(value) and re.search(r"\d", value)):
        return f"When {be} the {key[0].lower()}{key[1:]}" if NAMED.fullmatch(key) else ""
    if small != key and re.search(r"hours$", key):
        return f"What are the {small}"
    if not about or about.kind not in ("thing", "name", "role"):
        return ""
    if HOURS.search(value) and (opens or HOURS.fullmatch(value)):
        return f"When {be} {about.text}{' open' if opens else ''}"
    if small != key and HAS.search(key):
        return f"What {be} the {small}"
    if MONEY.search(value) and len(value.split()) <= 3 and not _BOUND.match(value):
        return f"How much is it for {about.text}"
    named = about.text if about.many or about.text.startswith("the ") else f"the {small}"
    return f"Where {be} {named}" if _PLACE.fullmatch(value) else ""
