"""The same asked in another way: turns of a question that everyday English has, each safe wherever its words stand."""

from __future__ import annotations

import re
from random import Random

_SHARE = 0.5  # of the questions in which a turn fits

_TURNS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"\bshould I\b"), ("must I", "do I have to", "am I supposed to", "should we", "do we have to", "do I need to")),
    # "When" would ask for the day too where the question names none ("When is Diving?") or where it is a part of the question ("on Monday").
    (re.compile(r"^At what time (?=(?:do|does|did)\b(?!.*\bon\b))"), ("When ", "What time ")),
    (re.compile(r"^At what time\b"), ("What time",)),
    (re.compile(r"^How often\b"), ("How frequently",)),
    (re.compile(r"^By when\b"), ("By what date", "By which day")),
    (re.compile(r"^Until when\b"), ("Until what date", "Till when")),
    (re.compile(r"^In which year\b"), ("In what year", "What year", "When")),
    (re.compile(r"^What percentage of\b"), ("What share of",)),
    (re.compile(r"^How much (?=(?:do|does|did|will|would) [^,]+ cost\b)"), ("What ",)),
    (re.compile(r"^How long (?=(?:do|does|did|will|would) [^,]+ take\b)"), ("How much time ",)),
    (re.compile(r"^How much is (?=[^,]+ worth\b)"), ("What is ",)),
    (re.compile(r"^What is the (e-mail address|phone number) of\b"), (r"Which \1 belongs to",)),
)
_TO_YOU = re.compile(r"\b(do|can|may|must|should|will) you\b")
_SPEAKERS = (("I", "my", "myself"), ("we", "our", "ourselves"))


def rephrased(question: str, r: Random) -> str:
    """The question with another turn, where one fits; and as the one asks whom the text calls "you"."""
    for pattern, turns in _TURNS:
        if pattern.search(question) and r.random() < _SHARE:
            question = pattern.sub(r.choice(turns), question, count=1)
    if len(re.findall(r"\byou\b", question)) == 1 and _TO_YOU.search(question) and r.random() < _SHARE:
        who, whose, self = r.choice(_SPEAKERS)
        question = _TO_YOU.sub(rf"\1 {who}", question)
        question = re.sub(r"\byour\b", whose, re.sub(r"\byourself\b", self, question))
    return question
