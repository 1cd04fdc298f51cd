"""What the first cell of a table's row names, as it stands within a sentence: a thing, a person, a day, a place, an action, a measure.

The `template` teacher asks about a cell only where it knows what the row is: of a day one asks "on", of a place "in", of a visitor "may a visitor …".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from .english import DETERMINERS, PREPOSITIONS, lower, noun_phrase
from .otherwords import forms, known_verbs, nouns

_DAYS = "Mondays?|Tuesdays?|Wednesdays?|Thursdays?|Fridays?|Saturdays?|Sundays?|Mon|Tue|Wed|Thu|Fri|Sat|Sun"
DAY = re.compile(rf"(?:{_DAYS})", re.I)
_DAY_RANGE = re.compile(rf"({_DAYS}) ?(?:-|–|to) ?({_DAYS})")
_DAYS_OF = re.compile(r"(?:public |bank )?holidays|weekdays|working days|weekends", re.I)
PERSON = re.compile(r"(?:Dr\.? |Mr\.? |Ms\.? |Mrs\.? |Prof\.? )?[A-Z][a-zà-öø-ÿ]+(?:[ -](?:of |de |von )?[A-Z][a-zà-öø-ÿ]+)+")
MEASURE = re.compile(
    r"(?:about |up to )?[-−+±]?\d[\d.,\u00a0 ]*(?: ?(?:–|-|to) ?[-−+]?\d[\d.,]*)? ?(?:°C|°F|%|[kmcµ]?[gm]|[mch]?l|mA|mAh|[kM]?W|kWh|[kMG]?Hz|V|"
    r"[kMG]B|dB|bar|k?Pa|kN|rpm|metres?|meters?|litres?|liters?|kilometres?|watts?|volts?|seconds?|minutes?|min|hours?|h|days?|weeks?|months?|"
    r"years?|(?:working|calendar|business) days)"
)
_PEOPLE = frozenset(
    "adult applicant admin administrator child children driver employee family guest junior manager member newcomer owner parent patient pensioner "
    "person pupil reader "
    "senior student teacher technician tenant tourist trainee user visitor volunteer worker".split()
)
_ROLE = re.compile(
    r"(?:[\w-]{3,}(?:er|or|ist|ant)|secretary|chair|nurse|librarian|technician|head|lead|contact|deputy|partner|director|representative|officer|"
    r"electrician|physician|chief|clerk|cook|custodian|warden)",
    re.I,
)
# Words that end like a role and are none; and parties, of which a name is only somebody who acts for them.
NO_ROLE = re.compile(
    r"(?:buyer|supplier|customer|seller|vendor|owner of|order|number|water|paper|power|filter|timer|printer|scanner|computer|server|trailer|"
    r"cover|transfer|letter|"
    r"matter|quarter|winter|summer|meter|container|charger|adapter|heater|cooler|router|freezer|cooker|dryer|washer|dishwasher|lighter|locker|"
    r"drawer|shower|tower|"
    r"corner|border|master|tumbler|floor|door|motor|sensor|monitor|factor|error|colour|color|elevator|projector|generator|connector|indicator|"
    r"corridor|mirror|"
    r"restaurant|plant|grant|lift operator|refrigerant|coolant|lubricant|variant|constant|list)",
    re.I,
)
PLACES = re.compile(
    r"(?:Argentina|Australia|Austria|Belgium|Brazil|Bulgaria|Canada|Chile|China|Croatia|Cyprus|Czechia|Denmark|Egypt|Estonia|Europe|Finland|"
    r"France|Germany|Greece|"
    r"Hungary|Iceland|India|Indonesia|Ireland|Israel|Italy|Japan|Kenya|Latvia|Lithuania|Luxembourg|Malta|Mexico|Norway|Poland|Portugal|Romania|"
    r"Serbia|Singapore|"
    r"Slovakia|Slovenia|Spain|Sweden|Switzerland|Thailand|Turkey|Ukraine|Vietnam|Asia|Africa|(?:South|North) (?:Korea|America|Africa)|New Zealand|"
    r"the (?:UK|USA|Netherlands|EU))"
)
_SETS = re.compile(r"(?:Pair|Set|Pack|Packet|Kit|Roll|Bag|Box|Bottle|Sheet|Bundle|Bucket|Can) of ")
# Of these each has a name.
_NAMES = re.compile(r"(?:memberships?|plans?|tariffs?|levels?|packages?|class|category|tiers?|subscriptions?|editions?)", re.I)
_ROOMS = re.compile(r"(?:room|hall|building|place|location|site|office|area|city|town|country|region|floor|branch|school)s?$", re.I)
_TASKS = re.compile(r"(?:task|action|to-?do|activity|step|measure)s?$", re.I)
_WHERE = re.compile(r"(?:place|location|where|position|area|step|no|nr|#)\.?$", re.I)  # says where a thing is, or counts
_NUMBERED = frozenset("code room class line step floor group team hall error level zone gate platform bus flight lane track page locker".split())
_CODE = re.compile(r"[A-Z]{0,4}-?\d{1,5}[a-z]?|[A-Z]{2,}(?:-?\d+)?")
_ONLY = re.compile(r"(?:others?|only|elsewhere|all|total|sum|none|rest|further|following|any|each|every|from|up|over|more|less|first|new)\b", re.I)


class Row(NamedTuple):
    """`text` stands in a sentence; `kind` says what it is; `many` where its verb is a plural; `key` as the cell has it."""

    text: str
    kind: str
    many: bool
    key: str


def row(key: str, header: str, keys: Sequence[str]) -> Row | None:
    """What a row is about, among the other rows of its table under the first column's header; None where that is not plain."""
    if found := _day(key):
        return Row(found, "day", False, key)
    if found := _country(key):
        return Row(found, "country", False, key)
    if PERSON.fullmatch(key) and nouns().isdisjoint(w.lower() for w in key.split()):
        return Row(key, "person", False, key)
    if MEASURE.fullmatch(key):
        return _measure(key, header)
    if _is_action(key, keys) or (_TASKS.search(header) and known_verbs().get(key.split()[0].lower(), ("", ""))[1] == "base"):
        return Row(key[0].lower() + key[1:], "action", False, key)
    if _WHERE.search(header) or (_ONLY.match(key) or re.search(r" only$", key)) or re.search(r"[<>=…?]", key):
        return None
    return _thing(key, header, keys)


def _day(key: str) -> str:
    if found := _DAY_RANGE.fullmatch(key):
        return f"from {found[1]} to {found[2]}"
    if DAY.fullmatch(key):
        return f"on {key}"
    return f"on {key.lower()}" if _DAYS_OF.fullmatch(key) else ""


def _measure(key: str, header: str) -> Row | None:
    """ "10 minutes" under "Interval": "at an interval of 10 minutes"."""
    small = header.lower()
    if small not in nouns() or small in forms("nouns without a plural") or small.endswith("s"):
        return None
    return Row(f"at {article(small)} {small} of {key}", "measure", False, key)


def _country(key: str) -> str:
    """ "Finland, Sweden, Norway": "in Finland, Sweden and Norway"."""
    parts = re.split(r", | and ", key)
    if not all(PLACES.fullmatch(part) for part in parts):
        return ""
    return f"in {', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else f"in {key}"


def _is_action(key: str, keys: Sequence[str]) -> bool:
    """ "Borrow books", and not "Book shelf", "Park": a verb with its object. Without an article it is one only beside others."""
    words = key.split()
    known = known_verbs().get(words[0].lower(), ("", ""))[1] if words else ""
    if known != "base" or len(words) < 2 or not re.fullmatch(r"[A-Z][a-z]+(?: [a-zäöüåé-]+)+", key):
        return False
    if words[1] in DETERMINERS | PREPOSITIONS - {"of", "for"}:
        return True
    return words[1].endswith("s") and (words[0].lower() not in nouns() or any(other != key and _is_action(other, ()) for other in keys))


def _thing(key: str, header: str, keys: Sequence[str]) -> Row | None:
    if re.fullmatch(r"\d{1,5}", key):
        word = header.split()[-1].lower() if header else ""
        return Row(f"{word} {key}", "thing", False, key) if word in _NUMBERED else None
    if _CODE.fullmatch(key) or re.fullmatch(r"\d{1,2}[a-z]", key):
        return Row(key, "name", False, key)
    if re.search(r"^\d|\d ?[–-] ?\d", key) or len(key) > 60:
        return None
    if not noun_phrase(key) or re.search(r"[,;:()/&]", key):
        return Row(f"“{key}”", "text", False, key) if re.search(r"[A-Za-z]{3}", key) and not re.search(r"[:;()]", key) else None
    if _SETS.match(key):
        return Row(f"{article(key.lower())} {key[0].lower()}{key[1:]}", "thing", False, key)
    return _called(key, _named(keys, header))


def _called(key: str, named: bool) -> Row:
    """A noun phrase with the article that it takes; `named` where the single words of its column are names."""
    small = lower(key)
    head = _head(small)
    single = re.sub(r"s$", "", key.lower())
    many = bool(re.search(r"(?<![sui'’])s$", head)) and (head.lower() in nouns() or " " in key)
    if " " not in key:
        if single in _PEOPLE:
            return Row(key.lower() if many else f"{article(single)} {single}", "somebody", many, key)
        if named or not re.fullmatch(r"[A-Z][a-zäöü-]+|[a-z-]+", key):
            return Row(key, "name", False, key)
        small = head = key.lower()
    if is_role(key) and small != key:
        return Row(f"the {small}", "role", many, key)
    if not head.islower() or not (head in nouns() or re.fullmatch(r"[A-Z][a-zäöü-]+(?: [a-zäöü-]+)*", key)):
        return Row(key, "name", False, key)  # a name with nothing behind it that tells what it is: "Katto 250"
    if small.split()[0] in DETERMINERS:
        return Row(small, "thing", many, key)
    bare = many or head in forms("nouns without a plural") or (head.endswith("ing") and head not in nouns())
    return Row(small if bare else f"the {small}", "thing", many, key)


def _named(keys: Sequence[str], header: str) -> bool:
    """Whether single words of the column are names and no common nouns: "Basic", "Plus", "Duty" are plans; so none of them takes an article."""
    if _NAMES.fullmatch(header):
        return True
    if any(re.fullmatch(r"[A-Z][a-z]+(?: [a-z-]+)+", key) for key in keys):
        return False  # "Table saw" stands beside "Lathe"
    single = [key.lower() for key in keys if re.fullmatch(r"[A-Z][a-z]+", key) and not _ONLY.match(key)]
    return any(key not in nouns() | _PEOPLE and key.removesuffix("s") not in _PEOPLE for key in single)


def _head(text: str) -> str:
    """The word that says what a phrase is: the last before a preposition."""
    words = text.split()
    at = next((n for n, word in enumerate(words) if n and word.lower() in PREPOSITIONS), len(words))
    return words[at - 1] if words else ""


def is_role(text: str) -> bool:
    """Whether a text names what somebody is: "Class teacher", "Substitute"."""
    head = _head(text)
    return bool(_ROLE.fullmatch(head) or head.lower() in _PEOPLE | {"substitute"}) and not NO_ROLE.fullmatch(head)


def is_people(text: str) -> bool:
    """Whether a word names people of a sort, in the singular or plural: "Guest", "Members"."""
    return text.lower() in _PEOPLE or text.lower().removesuffix("s") in _PEOPLE


def within(subject: Row, header: str) -> str:
    """Where something is or is allowed: "in Birch", if the table's rows are rooms; else empty."""
    return f"in {subject.text}" if _ROOMS.search(header) and subject.kind in ("name", "thing") else ""


def article(word: str) -> str:
    return "an" if re.match(r"(?:[aeio]|u(?!n[iy]|s|t))", word) or word.startswith("hour") else "a"
