"""The wh-words of a question: what the `template` teacher puts in the place of a span, and which preposition goes with it."""

from __future__ import annotations

import re
from typing import NamedTuple

_BE = frozenset("is are was were".split())
_TOLD = re.compile(r"\b(?:tell|tells|ask|asks|call|calls|contact|contacts|inform|informs|notify|phone|phones|see|meet)\s*$", re.I)
_GIVEN = re.compile(
    r"\b(?:report|reports|reported|send|sends|sent|write|writes|written|speak|talk|turn|apply|addressed|given|handed|passed|forwarded|returned)\b",
    re.I,
)
_ROLE = re.compile(r"(?:er|or|ers|ors|ist|ists|ant|ants|person|representatives?|lead|head|chair|secretary|deputy|contact)$")


class Asked(NamedTuple):
    """What is asked for: `inside` is the wh-phrase where the span stood, `front` at a question's beginning; `unit` what is counted, or nothing."""

    name: str
    inside: str
    front: str
    unit: str = ""


class Clause(NamedTuple):
    """The clause around the span. `lead` goes before it in the sentence and after it in a question."""

    lead: str
    pre: str
    post: str
    modifier: str  # "about", "up to"


def phrase(asked: Asked, held: str, clause: Clause) -> str | None:  # noqa: PLR0911 - one line a kind
    """The wh-phrase with the preposition that held the span; None where the two do not go together."""
    counted = f"how many {asked.unit}" if asked.unit else ""
    if asked.name in ("often", "place"):
        return asked.front if not held else None
    if (held == "to" and re.search(r"\bfrom\b", clause.pre)) or (held == "from" and clause.post.startswith("to ")):
        return None
    if asked.name == "date":
        return {"": "What date", "on": "When", "in": "When", "by": "By when", "until": "Until when", "from": "From when", "since": "Since when",
                "after": "After what date", "before": "Before what date", "to": None, "for": "For what date"}.get(held)  # fmt: skip
    if asked.name == "long":
        if held == "every":
            return None  # a part of a frequency
        return {"": counted.capitalize(), "for": "How long", "within": f"Within {counted}", "after": f"After {counted}", "in": f"In {counted}",
                "by": f"By {counted}", "until": None, "before": f"{counted.capitalize()} before"}.get(held)  # fmt: skip
    if asked.name == "money":
        return {"": "How much", "for": "For how much", "to": "To what amount", "from": "From what amount", "at": "At what price",
                "over": "Over what amount",
                "under": "Under what amount", "by": "By how much"}.get(held)  # fmt: skip
    if asked.name == "year":
        return {"in": "In which year", "since": "Since which year", "from": "From which year", "until": "Until which year", "of": None}.get(held)
    if asked.name == "time":
        return {"at": "At what time", "by": "By what time", "until": "Until what time", "from": "From what time", "before": "Before what time",
                "after": "After what time", "": None}.get(held)  # fmt: skip
    if asked.name == "name":
        return who(clause, held) if clause.pre.strip() else "Who or what"
    wh = counted or asked.inside
    return f"{held} {wh}".strip().capitalize() if held != "every" else None


def who(clause: Clause, held: str) -> str | None:
    """The wh-word for a name behind the verb, if the sentence tells whether it is a person's."""
    words = clause.pre.split()
    if clause.post.startswith(("and ", "or ")):
        return None  # one of several
    if _TOLD.search(clause.pre):
        return "Who"
    if held in ("to", "from") and _GIVEN.search(clause.pre):
        return f"{held.capitalize()} whom"
    return "Who" if not held and words[-1].lower() in _BE and any(map(_ROLE.search, words[:-1])) else None
