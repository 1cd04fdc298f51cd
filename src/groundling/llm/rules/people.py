"""A question for a cell of a table that holds hours, yes or no, money, a person or an address, as a colleague would ask it; else nothing."""

from __future__ import annotations

import re

from .cell import CALLED, HOURS, MONEY, NAMED, Cell, Ways
from .otherwords import forms, known_verbs, nouns
from .rows import DAY, PERSON, article, is_people, is_role, within

_FREE = re.compile(r"free(?: of charge)?|gratis", re.I)
_PER = re.compile(r"(?:minute|hour|day|night|week|month|quarter|year|person|kilometre|piece|unit|item|metre|page|kilogram|litre)", re.I)
_PRICE = re.compile(r"(?:price|cost|costs|fee|charge|rate|ticket)", re.I)
_OPEN = re.compile(r"(?:opening |office |business )?hours|open|opening times?|time|times", re.I)
_OPENS = re.compile(
    r"(?:pool|sauna|gym|library|shop|café|cafe|office|reception|desk|counter|museum|kitchen|bar|restaurant|store|warehouse|workshop|hall|centre|"
    r"center|"
    r"station|baths?|archive|clinic|pharmacy|canteen|cafeteria|laundry|studio|gallery|cinema|kiosk|bakery|bank|post office|surgery|playground|"
    r"hotline|"
    r"helpdesk|garage|yard)$",
    re.I,
)
_SUITED = re.compile(r"([A-Z][a-z]+(?: [a-z]+)?) (needed|required|included|allowed|permitted|possible|available)")
_OF = re.compile(r"(?:head|director|chair|manager|leader|tenant|owner)$")
_DAY_NAMES = {"mon": "Monday", "tue": "Tuesday", "wed": "Wednesday", "thu": "Thursday", "fri": "Friday", "sat": "Saturday", "sun": "Sunday"}
_DOES = {"teacher": "teaches", "leader": "leads", "lead": "leads", "instructor": "teaches", "coach": "coaches"}
_MASS = frozenset("food alcohol music water breakfast insurance wi-fi".split())


def hours(c: Cell) -> Ways:
    """ "When is the sauna open on Monday?"; also for a day on which it is closed."""
    if not HOURS.fullmatch(c.value) and c.value.lower() != "closed":
        return []
    opens = bool(_OPENS.search(c.column)) or "open" in c.title.lower()
    if c.row.kind == "day":
        if _OPEN.fullmatch(c.column):
            return [f"What are the opening hours {c.row.text}"] if "open" in f"{c.title} {c.column}".lower() else [f"What are the hours {c.row.text}"]
        if not NAMED.fullmatch(c.column) or DAY.fullmatch(c.column):
            return []
        if is_role(c.column):
            return [f"When is the {c.small} available {c.row.text}"]
        return [f"When is the {c.small} open {c.row.text}", f"What are the hours of the {c.small} {c.row.text}"] if opens else []
    if c.row.kind not in ("thing", "name", "role", "person"):
        return []
    be = "are" if c.row.many else "is"
    day = f" on {_DAY_NAMES.get(c.small.lower(), c.column)}" if DAY.fullmatch(c.column) else ""
    if day or _OPEN.fullmatch(c.column):
        if c.row.kind in ("role", "person"):
            return [f"When is {c.row.text} available{day}"]
        if _OPENS.fullmatch(c.row.key):
            return [f"When is the {c.row.key.lower()} open{day}"]
        if opens or _OPENS.search(c.row.key):
            return [f"When {be} {c.row.text} open{day}"]
        return [f"When {be} {c.row.text}{day}"] if c.value.lower() != "closed" else []
    return []


def yes(c: Cell) -> Ways:
    """Yes or no: "Can a guest borrow books?", "Does Birch have a projector?", "Is training needed for the lathe?"."""
    if c.value.lower() not in ("yes", "no"):
        return []
    if c.row.kind == "action":
        if not is_people(c.column):
            return []
        who = c.small if c.small.endswith("s") else f"{article(c.small)} {c.small}"
        return [f"Can {who} {c.row.text}", f"May {who} {c.row.text}"]
    if verb := re.fullmatch(r"([A-Z][a-z]+) (with|without|as|in|on) (.+)", c.row.key):
        base, form = known_verbs().get(verb[1].lower(), ("", ""))
        names = form == "third" and not c.plain and re.search(r"\d|[A-Z].*[A-Z]", c.column)
        return [f"Does {c.column} {base} {verb[2]} {verb[3]}"] if names else []
    if c.row.kind not in ("name", "thing"):
        return []
    if suited := _SUITED.fullmatch(c.column):
        return _suited(c, suited[1].lower(), suited[2])
    if is_people(c.column):
        return []
    if c.plain and c.small in nouns() or c.small in ("projector", "whiteboard", "balcony", "camera", "wi-fi"):
        many = c.small.endswith("s")
        mass = many or c.small in forms("nouns without a plural") or c.small.endswith(("ing", "fi"))
        be = "Do" if c.row.many else "Does"
        return [f"{be} {c.row.text} have {c.small if mass else f'{article(c.small)} {c.small}'}"]
    return []


def _suited(c: Cell, what: str, how: str) -> Ways:
    """ "Dogs allowed" of a room: "Are dogs allowed in Birch?"."""
    room = within(c.row, c.header)
    where = f"for {c.row.text}" if how in ("needed", "required") else f"with {c.row.text}" if how == "included" else room
    if not where:
        return []
    many = what.endswith("s") and not what.endswith("ss")
    mass = many or what in forms("nouns without a plural") or what.endswith("ing") or what in _MASS
    return [f"{'Are' if many else 'Is'} {what if mass else f'{article(what)} {what}'} {how} {where}"]


def money(c: Cell) -> Ways:
    """ "How much does a wheel hire cost?", and "How much does an adult pay?"."""
    free = bool(_FREE.fullmatch(c.value))
    if not (MONEY.search(c.value) or free) or c.row.kind == "action":
        return []
    if _PER.fullmatch(c.column) or (_PRICE.fullmatch(c.column) and c.row.kind in ("thing", "name", "text", "somebody")):
        return _price(c, f" per {c.small}" if _PER.fullmatch(c.column) else "", free)
    if is_people(c.column):
        bought = c.row.kind in ("thing", "name") and c.small.endswith(("s", "children"))
        return [f"How much do {c.small} pay for {c.row.text}"] if bought else []
    if not c.plain or free or re.search(r"(?<![su])s$", c.small):
        return []
    if c.row.kind in ("day", "country"):
        return [f"What is the {c.small} {c.row.text}", f"How much is the {c.small} {c.row.text}"]
    said = [f"What is the {c.small} for {c.row.text}"]
    return said if re.match(r"price|cost", c.small) else [*said, f"How much is the {c.small} for {c.row.text}"]


def _price(c: Cell, per: str, free: bool) -> Ways:
    do = "do" if c.row.many else "does"
    if c.row.kind in ("person", "role", "day", "country", "measure"):
        return []
    if c.row.kind == "somebody":
        return [f"How much {do} {c.row.text} pay{per}"]
    said = [f"How much {do} {c.row.text} cost{per}"]
    return said if free else [*said, f"What is the price of {c.row.text}{per}"]


def person(c: Cell) -> Ways:
    """ "Who is the substitute for the platform engineer?", "Who is the head teacher?"."""
    if not PERSON.fullmatch(c.value):
        return []
    if c.column == "Name":
        return [f"Who is {c.row.text}"] if c.row.kind == "role" else []
    if not is_role(c.column) or not NAMED.fullmatch(c.column) or c.row.kind not in ("thing", "name", "role", "text"):
        return []
    verb = _DOES.get(c.small)
    of = _OF.search(c.small) or (c.row.kind == "name" and c.small not in ("substitute", "deputy", "contact"))
    who = f"Who is the {c.small} {'of' if of else 'for'} {c.row.text}"
    return [who, f"Who {verb} {c.row.text}"] if verb and c.row.kind in ("thing", "name") else [who]


def reached(c: Cell) -> Ways:
    """Phone numbers and addresses: "What is the e-mail address of the school nurse?"."""
    called = CALLED.get(c.small.rstrip(".").lower())
    if not called or not re.search(r"\d|@|www\.", c.value) or c.row.kind not in ("person", "role", "thing", "name", "somebody"):
        return []
    said = [f"What is the {called} of {c.row.text}"]
    return [*said, f"What is {c.row.text}'s {called}"] if c.row.kind in ("person", "role") and not c.row.many else said
