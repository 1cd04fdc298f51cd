"""How often: the whole of a frequency in an English sentence ("every two weeks", "twice a year", "on the first Monday of each month")."""

from __future__ import annotations

import re

_COUNT = r"\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|sixty|ninety"
_ORDER = r"first|second|third|fourth|fifth|sixth|last|\d{1,2}(?:st|nd|rd|th)"
_PERIOD = "second|minute|hour|day|night|week|fortnight|month|quarter|season|semester|term|year|decade|shift|morning|evening|weekend"
_UNIT = rf"(?:working |business |calendar |school )?(?:{_PERIOD})"
_DAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_MONTH = r"January|February|March|April|May|June|July|August|September|October|November|December"
_SEASON = r"spring|summer|autumn|fall|winter"
_LENGTH = rf"(?:{_COUNT})(?:(?:\s?(?:to|or|–|-)\s?|\s)(?:{_COUNT}))?[\s-]{_UNIT}s|few {_UNIT}s"
_EVERY = rf"every (?:{_LENGTH}|(?:other|{_ORDER}) (?:{_UNIT}|{_DAY}|{_SEASON})|{_UNIT}|{_DAY}|{_SEASON}|{_MONTH})"
_TIMES = rf"(?:once|twice|thrice|(?:{_COUNT})(?: (?:to|or) (?:{_COUNT}))? times)"
_WHEN = rf"(?: (?:in|on) (?:{_DAY}s?|{_MONTH})(?:(?:, | and | or )(?:in |on )?(?:{_DAY}s?|{_MONTH}))*)?"
# Behind a preposition "every week" is no frequency of the verb: "for every month worked".
FREQUENCY = re.compile(
    rf"(?<!\bfor )(?<!\bof )(?<!\bin )(?<!\bto )(?<!\bat )(?<!\bfrom )(?<!\bby )(?<!\bwith )(?<!\bafter )(?<!\bbefore )(?<!\bduring )(?<!\buntil )"
    rf"\b(?:(?:at least |at most |up to |no more than |about |exactly |only )?{_TIMES} (?:(?:a|an|per|each|every) (?:other )?{_UNIT}|{_EVERY}){_WHEN}"
    rf"|(?:at least |about )?{_EVERY}{_WHEN}"
    rf"|on the (?:{_ORDER})(?: and (?:{_ORDER}))? (?:{_DAY}|(?:working |business )?day) (?:of|in) (?:each|every|the|a) (?:month|quarter|year|week)"
    rf"|(?:daily|weekly|monthly|quarterly|yearly|annually|fortnightly)(?=[.;,]|$))(?![\w-])",
    re.I,
)
_PLAIN = re.compile(rf"(?:every (?:{_UNIT}|{_DAY}|{_SEASON}|{_MONTH})|[a-z]+ly)", re.I)


def stands(found: str, pre: str, post: str) -> bool:
    """Whether the sentence tells how often something happens; "every day" beside an amount or an hour only says when ("opens at 8:00 every day")."""
    behind = re.split(r"[,;.]\s", post)[0]
    if re.match(r"\s*(?:when|if|that|who|which|worked|passed|of|and|or|afterwards|later|ago)\b", post) or not pre.strip():
        return False
    return not (_PLAIN.fullmatch(found) and re.search(r"\d", pre + behind))


def without_hour(post: str) -> str:
    """What follows a frequency, without the hour: "at 18:30"."""
    return re.sub(r"^\s*(?:at|from|between) \d[\d:.]*(?: (?:to|and) [\d:.]+)?(?: ?[ap]\.?m\.?)?", "", post)
