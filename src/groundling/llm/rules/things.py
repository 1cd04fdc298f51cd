"""A question for a cell of a table that holds a day, a place, a count, a measure or another attribute, as a colleague would ask it; else nothing."""

from __future__ import annotations

import re

from .cell import CALLED, DATE, DURATION, HAS, MONEY, NAMED, PERCENT, VALUE, Cell, Ways
from .english import noun_phrase
from .otherwords import forms, known_verbs, nouns
from .rows import DAY, MEASURE, NO_ROLE, PERSON, PLACES, is_role

_TIME = re.compile(r"\d{1,2}[:.]\d\d(?:\s?(?:a\.m\.|p\.m\.|am|pm))?|\d{1,2}\s?(?:am|pm)")
_COUNT = re.compile(r"\d[\d.,\u00a0 ]*|(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten) (?:per|a|of) [\w ,.€]+|none|unlimited", re.I)
_HOLDS = re.compile(
    r"(?:seats?|rooms?|pages?|gears?|floors?|ports?|beds?|doors?|wheels?|slots?|sockets?|employees|members|students|pupils|places|windows|speeds|"
    r"buttons)$",
    re.I,
)
_SOLD = re.compile(r"(?:membership|plan|tariff|package|subscription|edition|product)", re.I)
_POINTS = re.compile(r"(?:points|credits|marks|stars)$", re.I)
_WHERE = re.compile(r"(?:location|place|position|storage place)", re.I)
_ROOM = re.compile(r"(room|hall|building|floor)", re.I)
_NAMING = ("thing", "name", "text", "action")


def when(c: Cell) -> Ways:
    """Days, times and dates: "On which day is Diving?", "At what time is Diving?", "When is the next inspection of the lift?"."""
    if c.row.kind not in ("thing", "name"):
        return []
    be = "are" if c.row.many else "is"
    if DAY.fullmatch(c.value) and re.fullmatch(r"(?:week)?day", c.small):
        return [f"On which day {be} {c.row.text}"]
    if _TIME.fullmatch(c.value) and re.fullmatch(r"time|start|begins|starts", c.small):
        return [f"At what time {be} {c.row.text}" if c.small == "time" else f"At what time {'do' if c.row.many else 'does'} {c.row.text} start"]
    if DATE.fullmatch(c.value):
        if c.small in ("date", "day"):
            return [f"When {be} {c.row.text}"]
        if c.small == "deadline" or not c.plain:
            return [f"What is the deadline for {c.row.text}"] if c.small == "deadline" else []
        return [f"When is the {c.small} of {c.row.text}"]
    return []


def where(c: Cell) -> Ways:
    if PERSON.fullmatch(c.value) and not _WHERE.fullmatch(c.column):
        return []
    if _WHERE.fullmatch(c.column) and not re.fullmatch(r"[\d.,]+", c.value):
        return [f"Where is {c.row.text} based"] if c.row.kind == "person" else _is("Where", c)
    return _is(f"{'On' if c.small == 'floor' else 'In'} which {c.small}", c) if _ROOM.fullmatch(c.column) else []


def _is(wh: str, c: Cell) -> Ways:
    return [f"{wh} {'are' if c.row.many else 'is'} {c.row.text}"] if c.row.kind in ("thing", "name", "person", "role") else []


def count(c: Cell) -> Ways:
    """ "How many seats does Kide have?"; a count under a year is a figure of that year."""
    head = c.small.split()[-1] if c.small else ""
    if not _COUNT.fullmatch(c.value) or not NAMED.fullmatch(c.column) or not noun_phrase(c.column) or not re.search(r"(?<![su'’])s$", head):
        return []
    if head not in nouns() or head in forms("nouns without a plural") or c.row.kind not in ("thing", "name", "text"):
        return []
    do = "do" if c.row.many else "does"
    if _POINTS.search(c.small):
        return [f"How many {c.small} are given for {c.row.text}"]
    if _HOLDS.search(c.small):
        return [f"How many {c.small} {do} {c.row.text} have"] if c.row.kind != "text" else []
    return [f"How many {c.small} {'come with' if _SOLD.fullmatch(c.header) else 'are there for'} {c.row.text}"]


def year(c: Cell) -> Ways:
    if not re.fullmatch(r"(?:19|20)\d\d", c.column) or not re.search(r"\d", c.value) or c.row.kind not in ("thing", "name"):
        return []
    if c.row.many:
        unit = re.search(r",|\b(?:of|in|tonnes?|kg|euros?|source)\b", c.header, re.I)  # a figure of something else: "Source, tonnes of CO2"
        whole = not unit and re.fullmatch(r"\d[\d.,]*", c.value) and not re.search(r" (?:at|on|by|in|and) ", c.row.text)
        return [f"How many {c.row.text.removeprefix('the ')} were there in {c.column}"] if whole else []
    if c.row.kind != "thing" or " and " in c.row.text:
        return []
    part = c.row.text.split()[1:2] if PERCENT.match(c.value) else []
    if part in (["share"], ["rate"]):
        return [f"What was {c.row.text} in {c.column}"]
    return [f"What was the figure for {c.row.text.removeprefix('the ')} in {c.column}"]


def means(c: Cell) -> Ways:
    if c.small not in ("meaning", "means") or c.row.kind not in _NAMING:
        return []
    numbered = c.row.text != c.row.key and c.row.text.endswith(c.row.key)  # "code 401"
    return [f"What does {c.row.text if numbered else f'“{c.row.key}”'} mean"]


def used(c: Cell) -> Ways:
    """ "Used in" of a part: "What is LC-40 used in?"."""
    found = re.fullmatch(r"([A-Z][a-z]+) (in|for|by|with|on|at)", c.column)
    if not found or known_verbs().get(found[1].lower(), ("", ""))[1] != "past" or c.row.kind not in ("thing", "name"):
        return []
    wh = "Who" if found[2] == "by" and PERSON.fullmatch(c.value) else "How long" if found[2] == "for" and DURATION.match(c.value) else "What"
    tail = found[1].lower() if wh == "How long" else c.small
    return [f"{wh} {'are' if c.row.many else 'is'} {c.row.text} {tail}"]


def value(c: Cell) -> Ways:
    """ "Property | Value": the row is asked for by its name."""
    if not VALUE.fullmatch(c.column) or c.row.kind not in ("thing", "name", "role"):
        return []
    small, head = c.row.key[0].lower() + c.row.key[1:], re.split(r" (?:per|with|without|of|at|in|for) ", c.row.key)[0].split()[-1].lower()
    if not NAMED.fullmatch(c.row.key) or c.row.many and head not in ("dimensions", "hours"):
        return []
    if is_role(c.row.key):
        return [f"Who is the {small}"]
    return [f"What {'are' if c.row.many else 'is'} the {small}"] if HAS.search(head) else []


def compared(c: Cell) -> Ways:
    """A column that is a country or one of the things compared: "What is the weight of Katto 250?"."""
    if c.row.kind != "thing" or c.row.many or not HAS.search(c.row.key.split(" per ")[0].split(",")[0]):
        return []
    if PLACES.fullmatch(c.column):
        return [f"What is {c.row.text} in {c.column}"]
    named = re.search(r"\d", c.column) and re.fullmatch(r"[A-Z][\w-]*(?: [A-Z0-9][\w-]*)*", c.column)
    return [f"What is {c.row.text} of the {c.column}"] if named and not re.fullmatch(r"(?:19|20)\d\d", c.column) else []


def lasts(c: Cell) -> Ways:
    """ "Delivery" of two weeks: "How long does the delivery of the lamp take?"."""
    if VALUE.fullmatch(c.column) or not DURATION.match(c.value) or c.row.kind not in ("thing", "name", "text"):
        return []
    if re.fullmatch(r"delivery|shipping|repair|processing|installation|assembly|replacement|production|calibration", c.small):
        return [f"How long does the {c.small} of {c.row.text} take"]
    return [f"How long is the {c.small} {'on' if c.small == 'warranty' else 'for'} {c.row.text}"] if c.plain and HAS.search(c.small) else []


def attribute(c: Cell) -> Ways:
    """What a thing has one of: "What is the order number of the gateway?"."""
    if c.row.kind in ("action", "somebody") or is_role(c.column) or VALUE.fullmatch(c.column) or c.value.lower() in ("yes", "no", "none", "closed"):
        return []
    if c.row.kind in ("day", "country", "measure"):
        measured = MEASURE.match(c.value) or PERCENT.match(c.value) or MONEY.search(c.value)
        return [f"What is the {c.small} {c.row.text}"] if c.plain and measured and not re.search(r"s$", c.small) else []
    owner = c.has and not PERSON.fullmatch(c.value) and not NO_ROLE.fullmatch(c.small) and not re.search(r"(?<![su])s$", c.small)
    if not owner or CALLED.get(c.small.rstrip(".").lower()):
        return []
    said = [f"What is the {c.small} of {c.row.text}"]
    return [*said, f"What is {c.row.text}'s {c.small}"] if c.row.kind == "person" else said
