"""What the rule-based teacher knows of English: small words, units, what can be a subject, how a phrase stands inside a sentence."""

from __future__ import annotations

import re
from functools import cache

from .otherwords import forms, known_verbs, nouns

AUXILIARIES = frozenset("is are was were must can may will should has have had cannot shall could would".split())
PREPOSITIONS = frozenset(
    "about above across after against along among around at before behind below beside between beyond by during except for from in inside into near "
    "of off on onto out outside over per since through throughout to toward towards under until up upon via with within without".split()
)
DETERMINERS = frozenset("the a an each every all no our your its their his her my this that these those any some both either neither such".split())
PRONOUNS = frozenset("it this that they these those he she there one".split())
_ASKING = frozenset("how what which who whom whose why when where".split())
NOT_SUBJECT = _ASKING | frozenset("if whenever while because although though unless once as whoever whatever and or but so then also not".split())
BELOW = frozenset("but which who whose that while so because although if when unless where whereas until".split())  # begin a clause of their own
JOINTS = BELOW | frozenset("and or than then as since before after".split())
_BEGINNING = frozenset(
    "you we most many new only two three four five six seven eight nine ten nobody everybody somebody anybody first second third".split()
)
_CAPITALS = frozenset(  # that are written with a capital wherever they stand
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April May June July August September October November December "
    "Christmas Easter English Finnish Swedish Norwegian Danish Estonian Russian Ukrainian German French Spanish Italian Portuguese Dutch Greek "
    "Turkish Japanese Chinese Korean Indian American British Irish Scottish Welsh Canadian Australian European African Asian Arabic Latin".split()
)
_UNITS = {
    "kg": "kilograms", "g": "grams", "mg": "milligrams", "km": "kilometres", "m": "metres", "cm": "centimetres", "mm": "millimetres", "l": "litres",
    "ml": "millilitres", "w": "watts", "kw": "kilowatts", "kwh": "kilowatt hours", "v": "volts", "a": "amperes", "ma": "milliamperes", "hz": "hertz",
    "khz": "kilohertz", "mhz": "megahertz", "ghz": "gigahertz", "gb": "gigabytes", "mb": "megabytes", "kb": "kilobytes", "°c": "degrees Celsius",
    "°f": "degrees Fahrenheit", "mah": "milliampere hours",
}  # fmt: skip


def counted(unit: str) -> str:
    """What is counted, in the plural and in full: `kg` -> kilograms, `day` -> days."""
    small = unit.lower()
    if small in _UNITS:
        return _UNITS[small]
    return small if not small or small.endswith("s") or small in ("people", "staff", "bar") else f"{small}s"


def document_of(title: str) -> str:
    """The document's own name out of a title with its headings."""
    return title.split(" > ")[0].strip()


def lower(text: str) -> str:
    """A phrase as it stands inside a sentence: its first letter small, unless a name or an acronym stands there."""
    first, _, rest = text.partition(" ")
    bare = first.strip(".,:;()")
    if bare.split("-")[0] in _CAPITALS or not bare[:1].isupper() or (len(bare) > 1 and not bare[1:].islower()) or rest[:1].isupper():
        return text if bare.lower() not in DETERMINERS | PREPOSITIONS | NOT_SUBJECT else text[0].lower() + text[1:]
    small = bare.lower()
    plain = small in DETERMINERS | PREPOSITIONS | PRONOUNS | NOT_SUBJECT | everyday() or small in _BEGINNING
    return text[0].lower() + text[1:] if plain or re.search(r"(?:s|ing|tion|ment|ity|ance|ence|age|ees?|ers?|ship|ness|ware)$", bare) else text


@cache
def everyday() -> frozenset[str]:
    """Words that begin no name."""
    return frozenset(known_verbs()) | nouns() | forms("others")


def noun_phrase(text: str) -> bool:
    """Whether a text can be a subject: it begins with no preposition or conjunction, has no verb and no mark inside."""
    words = re.findall(r"[\w'’&-]+", text.lower())
    if not 1 <= len(words) <= 10 or re.search(r"[,;:()\[\]{}/<>=]", text):
        return False
    if words[0] in NOT_SUBJECT | PREPOSITIONS or words[0] in PRONOUNS - {"it", "they"} or words[-1] in PREPOSITIONS | DETERMINERS | JOINTS:
        return False
    return not any(w in AUXILIARIES | JOINTS - {"and", "or"} for w in words)


def names(label: str) -> bool:
    """Whether the label of a line names a thing, of which one can ask what it is: `Opening hours`, and not `Keep your calendar honest`."""
    words = label.lower().split()
    return len(words) <= 4 and noun_phrase(label) and not (len(words) > 1 and words[0] in known_verbs() and words[1] in DETERMINERS)
