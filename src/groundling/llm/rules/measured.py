"""What a thing is said to be: how long, how high, how much. Only of things that can be so: a period is long, a rate is high, a condition neither."""

from __future__ import annotations

import re

from .english import PREPOSITIONS
from .wh import Asked

_LASTING = re.compile(
    r"(?:period|time|times|notice|term|terms|warranty|guarantee|duration|leave|trial|break|breaks|validity|delay|wait|interval|retention|life|lifetime|phase|shift|shifts|"
    r"lease|stage|meeting|meetings|season|probation|cycle|cycles|journey|trip|flight|ride|drive|walk|session|sessions|lesson|lessons|course|courses|training|stay|"
    r"visit|visits|internship|apprenticeship|contract|deadline|runtime|run|pause|downtime|holiday|holidays|week|day|year|night|span|window|exam|film|tour|class|"
    r"classes|workday|timeout|suspension|programme|program|project)",
    re.I,
)
_NOT_MEASURED = re.compile(
    r"(?:conditions?|requirements?|rules?|duty|duties|obligations?|exceptions?|reasons?|examples?|problems?|tasks?|ideas?|aims?|plans?|things?|points?|answers?|"
    r"proofs?|steps?|consequences?|basis|question|questions|solution|result|results|part|parts|agreement|custom|practice|case|cases|fact|facts|principle|policy)",
    re.I,
)
_SHAPE = re.compile(r"(long|old|high|wide|deep|thick|tall)\b")


def measurable(asked: Asked, subject: str, post: str) -> bool:
    """Whether one can ask of the subject how much of something it is: of a period how long, of a condition nothing."""
    if asked.name not in ("long", "money", "percent", "many") or (asked.unit and _SHAPE.match(post)):
        return True
    head = _head(subject)
    return bool(_LASTING.fullmatch(head)) if asked.name == "long" and not post.startswith("of ") else not _NOT_MEASURED.fullmatch(head)


def measured(asked: Asked, subject: str, post: str, part: bool) -> str:
    """The wh-word for what a subject is; empty where the ordinary one does. `part` where an amount of something is meant: "50 % of the salary"."""
    if asked.unit and (shape := _SHAPE.match(post)):
        return f"How {shape[1]}"
    if part or asked.name not in ("long", "percent"):
        return ""
    return "How long" if asked.name == "long" and _LASTING.fullmatch(_head(subject)) else "How high" if asked.name == "percent" else ""


def _head(subject: str) -> str:
    words = subject.split()
    at = next((n for n, word in enumerate(words) if n and word.lower() in PREPOSITIONS), len(words))
    return words[at - 1].lower() if words else ""
