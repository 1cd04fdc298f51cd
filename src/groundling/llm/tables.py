"""Questions about the cells of Markdown tables and the values of `key: value` lines: what the `template` teacher asks of lists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from ..seeds import rng
from .english import DETERMINERS, document_of, lower, noun_phrase
from .otherwords import nouns

_TITLED, _TYPED = 0.3, 0.06  # the share of questions that name the document, and that are typed into a search field
_RULE = re.compile(r"[\s|:-]+")
_MONEY = re.compile(r"[€$£]|\b(?:EUR|USD|SEK|NOK|DKK|GBP|CHF|JPY|euros?|dollars?|pounds?|kronor|kr)\b")
_TIME = re.compile(r"(?:minute|hour|day|night|week|month|quarter|year|person|kilometre|piece|unit|item)", re.I)
_PRICE = re.compile(r"(?:price|cost|fee|charge|rate)", re.I)
_ROLE = re.compile(r"(?:\w+er|\w+or|\w+ist|\w+ant|secretary|chair|contact|head|lead|person|deputy|substitute)$", re.I)
_PERSON = re.compile(r"[A-Z][a-zà-öø-ÿ]+(?:[ -](?:of |de |von )?[A-Z][a-zà-öø-ÿ]+)+")
# What a thing simply has one of: it is asked for by its name.
_HAS = re.compile(
    r"(?:address|number|code|price|fee|date|time|deadline|password|size|weight|length|width|height|depth|limit|temperature|amount|rate|version|name|"
    r"title|language|currency|budget|capacity|power|speed|distance|duration|period|age|cost|value|accuracy|pressure|voltage|volume|warranty|meeting|"
    r"purpose|goal|location|place|colour|color|phone|e-mail|email|website|venue|topic|subject|status|material|deposit|salary|total|result)$",
    re.I,
)
_NO_NOUN = re.compile(r"\d|(?:one|two|three|four|five|six|first|all|elsewhere|other|yes|no|none|from|up|new|how|what|when)\b", re.I)
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
    """A question for each cell behind the first of a row."""
    header: list[str] = []
    for n, line in enumerate(lines):
        if line.count("|") < 1:
            header = []
            continue
        found = _cells(line)
        if n + 1 < len(lines) and _RULE.fullmatch(lines[n + 1]) and "-" in lines[n + 1]:
            header = found
        elif header and not _RULE.fullmatch(line) and len(found) == len(header):
            r = rng(0, "facts", title, line)
            for column, cell in list(zip(header, found, strict=True))[1:]:
                if cell and column and len(cell) < 80 and found[0]:
                    yield _of_cell(column, found[0], cell, title, r), cell, line


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("*`") for cell in line.strip().strip("|").split("|")]


def _of_cell(column: str, row: str, cell: str, title: str, r: Random) -> str:
    """A question for the cell of a column in a row; seldom a few words, as typed into a search field."""
    if re.search(r"[\u0400-\u04ff\u3040-\u30ff\u4e00-\u9fff]", row + column):
        return f"{row}: {column}?"  # no English sentence goes around it
    about = f" ({document_of(title)})" if title and r.random() < _TITLED else ""
    if r.random() < _TYPED and not re.search(r"[,;:()]", column + row):
        return f"{lower(row)} {lower(column)}"
    return f"{r.choice(_shapes(column, row, cell))}{about}?"


def _shapes(column: str, row: str, cell: str) -> list[str]:
    """The ways to ask for a cell, without their mark. Only a column that is plainly a noun is asked for by its name; another is quoted."""
    k, c = _thing(row), re.sub(r"\s*\([^()]*\)$", "", column)
    small = lower(c)
    if re.fullmatch(r"(?:19|20)\d\d", c):
        return [f"What is given for {k} in {c}", *([f"What was the figure for {k} in {c}"] if re.search(r"\d", cell) else [])]
    if _TIME.fullmatch(c) and _MONEY.search(cell):
        return [f"What is the price of {k} per {small}", f"How much is charged for {k} per {small}"]
    words = small.split()
    plain = small != c and noun_phrase(c) and len(words) <= 4 and re.fullmatch(r"[A-Za-z -]+", c)
    if not plain or words[-1] not in nouns() or words[0] in DETERMINERS:
        return [f"What is given for {k} under “{c}”", f"What does the table say for {k} under “{c}”", f"What stands under “{c}” for {k}"]
    if re.search(r"(?<![su])s$", small):
        if re.fullmatch(r"[\d.,\u00a0 ]+", cell):
            return [f"How many {small} are given for {k}", f"How many {small} does the table give for {k}"]
        return [f"What are the {small} of {k}", f"Which {small} are given for {k}", f"What {small} does the table give for {k}"]
    named = [f"What is the {small} for {k}", f"What {small} is given for {k}", f"What does the table give as the {small} for {k}"]
    if _HAS.search(c):
        named.append(f"What is the {small} of {k}")
    return [*named, f"How much is charged for {k}"] if _PRICE.fullmatch(c) and _MONEY.search(cell) else named


def _thing(row: str) -> str:
    """The key of a row within a sentence: a plain noun with its article, a name as it is, anything else in quotation marks."""
    small = lower(row)
    if not noun_phrase(row) or _NO_NOUN.match(row):
        return f"“{row}”"
    if small == row or nouns().isdisjoint(small.split()):
        return row
    return small if small.split()[0] in DETERMINERS else f"the {small}"


def of_key(key: str, value: str, title: str, r: Random) -> str:
    """A question for the value of `key: value`."""
    about = f" ({document_of(title)})" if title else ""
    small = lower(key)
    plain = small != key and noun_phrase(key)
    many = bool(re.search(r"(?<![su'’])s$", key))
    if _PERSON.match(value):
        if plain and _ROLE.search(key.removesuffix("s")):
            return f"Who {'are' if many else 'is'} the {small}{about}?"
        return f"{r.choice(('Who is named under', 'Whose name stands under'))} “{key}”{about}?"
    if plain and _HAS.search(key):
        return f"What is the {small}{about}?"
    if plain and re.search(r"hours$", key):
        return f"What are the {small}{about}?"
    if _MONEY.search(value) and len(value.split()) <= 3:
        return f"{r.choice(('How much is it for', 'What amount is given for'))} {_thing(key)}{about}?"
    return f"{r.choice(('What is noted under', 'What stands under', 'What does it say under'))} “{key}”{about}?"
