"""Rules that find stated facts in text and ask about them: what the `template` teacher knows. No model.

A fact is a span of a sentence (an amount, a date, a name, a definition) or a cell of a table. Its question is made from the same sentence
with the span asked for, fronted where the grammar is simple enough; the answer is the span; the quote is the whole sentence or table row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ...seeds import rng
from ..sentences import capitals, names, sentences
from . import asking, english, often, places, tables
from .otherwords import reworded
from .rephrasing import rephrased
from .shortening import shortened


class Fact(NamedTuple):
    """`quote` stands verbatim in the text, `answer` verbatim in the quote. `way` is how a person would put the question, around it.

    `names` (small letters) are what is called something in the text: no word of them is replaced.
    """

    question: str
    answer: str
    quote: str
    way: str = "{}"
    names: frozenset[str] = frozenset()

    @property
    def asked(self) -> str:
        """The question as a person would put it, often shorter, turned another way, or in other words."""
        r = rng(0, "other words", self.quote, self.question)
        other = reworded(rephrased(shortened(self.question, r), r), r, self.names)
        typed = not self.question.endswith(("?", "？"))  # into a search field: nothing goes around it
        return ("{}" if typed else self.way).format(self.question if self.answer in other else other)


class _Kind(NamedTuple):
    """A sort of span: its pattern, its name (see `asking`), and the words that ask for it: in place, and at the front of a question."""

    pattern: re.Pattern[str]
    name: str
    inside: str
    front: str


_NUMBER = r"\d[\d,.\u00a0]*\d|\d"
_SMALL_NUMBERS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|sixty|ninety"
_TIME_UNITS = "seconds?|minutes?|hours?|days?|working days?|business days?|calendar days?|weeks?|months?|years?|nights?"
_UNITS = (
    r"°C|°F|kg|g|mg|km|m|cm|mm|l|ml|W|kW|kWh|V|A|mA|mAh|Hz|kHz|MHz|GHz|GB|MB|kB|bytes?|bits?|litres?|liters?|hectolitres?|metres?|meters?|bar|degrees?|tonnes?|people|employees|"
    r"characters?|points?|items?|pages?|times|units?|seats|users?|questions|steps?|lines?|arguments?|staff|customers?|devices?|members"
)
_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_NAME = r"[A-Z][a-zà-öø-ÿ]+(?:[ -](?:of |de |von )?[A-Z][a-zà-öø-ÿ]+)+"

_KINDS: list[_Kind] = [
    _Kind(often.FREQUENCY, "often", "how often", "How often"),  # before the lengths and counts that it holds
    _Kind(re.compile(r"[\w.+-]+@[\w-]+\.[\w.]+\w"), "address", "which e-mail address", "What is the e-mail address"),
    _Kind(re.compile(r"\+\d[\d ()-]{6,}\d"), "phone", "which phone number", "What is the phone number"),
    _Kind(
        re.compile(rf"(?:[€$£]\s?(?:{_NUMBER})|(?:{_NUMBER})\s?(?:EUR|USD|SEK|NOK|DKK|GBP|CHF|JPY|euros?|dollars?|pounds?|kronor|kr|€))"),
        "money",
        "how much",
        "How much",
    ),
    _Kind(re.compile(rf"(?:{_NUMBER})\s?(?:%|percent|per cent)"), "percent", "what percentage", "What percentage"),
    _Kind(
        re.compile(rf"\b(?:\d{{1,2}}\.? (?:{_MONTH})(?: \d{{4}})?|(?:{_MONTH}) \d{{1,2}}(?:, \d{{4}})?|\d{{4}}-\d\d-\d\d|(?:{_MONTH}) \d{{4}})\b"),
        "date",
        "what date",
        "When",
    ),
    _Kind(re.compile(r"(?<![\d:])\d{1,2}:\d\d(?:\s?(?:a\.m\.|p\.m\.|am|pm))?(?=[\s,.;)]|$)"), "time", "what time", "At what time"),
    _Kind(re.compile(rf"\b(?:{_NUMBER}|{_SMALL_NUMBERS})[\s-](?:{_TIME_UNITS})\b", re.I), "long", "how long", "How long"),
    _Kind(re.compile(rf"\b(?:{_NUMBER}|{_SMALL_NUMBERS})\s(?:{_UNITS})(?![\w/])"), "many", "how many", "How many"),
    _Kind(re.compile(rf"(?<![\w.-])(?:{_NUMBER})\s?(?:°C|°F|kg|km|cm|mm|kW|kWh|W|V|mAh|GB|MB)(?![\w/])"), "many", "how much", "How much"),
    _Kind(re.compile(r"(?<=\b[Ii]n )(?:1[5-9]|20)\d\d\b"), "year", "which year", "In which year"),
    _Kind(re.compile(r"(?<![-.\w])[A-Z]{1,4}-?\d{1,5}\b(?!-\w)"), "code", "which code", "Which code"),
    _Kind(re.compile(r"\b[vV]?\d+\.\d+(?:\.\d+)+\b"), "version", "which version", "Which version"),
    _Kind(re.compile(rf"(?<=\bby ){_NAME}|^{_NAME}(?= (?:leads?|agreed|presented|wrote)\b)"), "whom", "whom", "Who"),
    _Kind(re.compile(rf"^{_NAME}(?= (?:is|was|has|will|takes)\b)"), "name", "whom or what", "Who or what"),
    _Kind(re.compile(rf"(?<=[a-z] ){_NAME}(?! [A-Z])"), "name", "whom or what", "Who or what"),
    _Kind(re.compile(r"(?<=[\s(])(?:\"[^\"\n]{2,40}\"|“[^”\n]{2,40}”|'[^'\n]{2,40}'|`[^`\n]{2,40}`)"), "quoted", "what", "What"),
    _Kind(re.compile(rf"(?<![\d+.:/-])(?<!\d )\b(?:{_NUMBER}) [a-z]{{3,}}s\b"), "many", "how many", "How many"),
]
_DEFINITION = re.compile(
    r"^((?:The |An? )?[^,.:;()]{3,60}?) (is|are|was|were|means) ((?:an?|the(?! (?:same|case|exception|only|first|last|next|following)\b)|used (?:for|as)|made (?:for|of|from)|responsible for)\b[^.;:]{6,140})[.;:]?$"
)


# People wrap what they ask in words that stand in no document. Without them a student learns that every word of a question must be found.
_WRAPPED = (
    "Quick question: {}", "A customer would like to know: {}", "I could not find it myself. {}", "Please look this up for me: {}",
    "My colleague and I disagree here. {}", "For the meeting tomorrow: {}", "Somebody just called about it. {}", "Before I reply to them: {}",
    "I am new and have no idea. {}", "Can you help? {}", "Just to be sure – {}", "We were wondering: {}",
)  # fmt: skip
_WRAP = 0.4


def _asked(kind: _Kind, span: str, post: str) -> tuple[asking.Asked, str]:
    """What is asked for, with what is counted; and what is left behind the span."""
    if kind.name == "often":
        return asking.Asked(kind.name, kind.inside, kind.front), often.without_hour(post)
    unit = re.sub(rf"^(?:{_NUMBER}|{_SMALL_NUMBERS})[\s-]*", "", span, flags=re.I)
    if kind.name not in ("long", "many"):
        return asking.Asked(kind.name, kind.inside, kind.front), post
    return asking.Asked(kind.name, kind.inside, kind.front, english.counted(unit)), post


def _way(r) -> str:
    return r.choice(_WRAPPED) if r.random() < _WRAP else "{}"


def _latin(sentence: str, title: str) -> Iterator[Fact]:
    r = rng(0, "facts", title, sentence)
    taken: list[tuple[int, int]] = []
    for kind in _KINDS:
        for found in kind.pattern.finditer(sentence):
            start, end = found.span()
            if any(start < e and s < end for s, e in taken):
                continue
            taken.append((start, end))
            answer = found.group().strip(".,`\"“”'")
            if kind.name in ("name", "whom") and answer.split()[0].lower() in english.NOT_SUBJECT | english.PREPOSITIONS:
                continue  # "When Saimi is away": a sentence's first word has a capital too
            bare = re.sub(r"^(?:[-*•#> ]+|\d{1,2}[.)] )+", "", sentence[:start])
            if len(re.findall(r"[^\W\d_]{3,}", bare + sentence[end:])) < (2 if kind.name == "often" else 3):
                continue  # too little is said to ask about
            if kind.name == "often" and not often.stands(answer, bare, sentence[end:]):
                continue
            wanted, behind = _asked(kind, answer, sentence[end:])
            if question := asking.question(wanted, bare, behind, title, r):
                yield Fact(question, answer, sentence, _way(r))
    if not taken and (placed := places.place(sentence, title, r)):
        yield Fact(*placed, sentence, _way(r))
    found = _DEFINITION.match(sentence)
    if found and english.noun_phrase(found[1]) and found[1].split()[0] not in ("It", "They"):
        about = f"{found[2] if found[2] != 'means' else 'is'} {english.lower(found[1])}".replace("*", "")
        said = found[3].split()[:2]
        behind = f" {said[0]} {said[1]}" if said[0] in ("made", "used", "responsible") else ""
        yield Fact(f"What {about}{behind}?", found[3].strip(), sentence)


_OTHER = {
    "ja": [
        (re.compile(r"\d{4}年\d{1,2}月\d{1,2}日"), "いつ"),
        (re.compile(r"[\d,]+(円|日間?|年間?|か月|ヶ月|時間|分間?|人|個|台|回|℃|%|kg|cm|mm|W|歳|週間)"), "何{0}"),
        (re.compile(r"[\d.,]+\s?(kg|g|cm|mm|m|km|W|V|°C|℃|%|GB|MB)"), "何{0}"),
    ],
    "ru": [
        (re.compile(r"\b\d{1,2} (?:января|февраля|марта|апреля|мая|июня|июля|августа|сентября|октября|ноября|декабря)(?: \d{4} года?)?"), "когда"),
        (re.compile(r"\d[\d ,.]*\s?(лет|года?|дней|дня|месяц\w+|час\w*|минут\w*|недел\w+|рубл\w+|евро|градус\w*|метр\w*|человек|процент\w*|°C|кг|см|мм|м|Вт|%|ГБ)"), "сколько {0}"),
    ],
}  # fmt: skip


def _other(sentence: str, script: str) -> Iterator[Fact]:
    """Japanese and Russian: the amount is asked for in place."""
    taken: list[tuple[int, int]] = []
    for pattern, asked in _OTHER[script]:
        for found in pattern.finditer(sentence):
            if any(found.start() < e and s < found.end() for s, e in taken):
                continue
            taken.append(found.span())
            unit = found.group(1) if found.groups() else ""
            text = sentence[: found.start()] + asked.format(unit) + sentence[found.end() :]
            text = text.lstrip("-*•# >").rstrip("。. ")
            yield Fact(f"{text}か？" if script == "ja" else f"{text}?", found.group().strip(), sentence)


_KEY_VALUE = re.compile(r"^[-*• ]*\**([A-Z][\w /()-]{2,40}?)\**:\**\s+(\S.{0,100})$")


def facts(text: str, title: str = "") -> list[Fact]:
    """Every fact that the rules find in a text, in the order of the text; the same text gives the same facts."""
    text = tables.whole(text)
    lines = [line.strip() for line in text.splitlines()]
    found = [Fact(question, cell, row) for question, cell, row in tables.cells(lines, title)]
    within = capitals(text)
    for sentence in sentences(text):
        if sentence.startswith("#") or sentence.count("|") > 1 or not 12 <= len(sentence) <= 400:
            continue
        key = _KEY_VALUE.match(sentence)
        if re.search(r"[\u3040-\u30ff]", sentence):
            found += _other(sentence, "ja")
        elif re.search(r"[\u0400-\u04ff]", sentence):
            found += _other(sentence, "ru")
        elif key and len(key[2].split()) <= 8 and english.names(key[1].strip()):
            if asked := tables.of_key(key[1].strip(), key[2], title):
                found.append(Fact(asked, key[2].strip(" .*"), sentence))
        elif len(sentence) >= 20:
            found += (fact._replace(question=_small(fact.question, sentence, text, within)) for fact in _latin(sentence, title))
    called = names(text, title)
    seen: set[str] = set()
    told = [f for f in found if f.answer and f.answer in f.quote and f.answer not in f.question and not (f.question in seen or seen.add(f.question))]
    first: dict[str, Fact] = {}
    for fact in (fact._replace(names=called) for fact in told):
        first.setdefault(fact.asked, fact)
    return list(first.values())


def _small(question: str, sentence: str, text: str, within: frozenset[str]) -> str:
    """The question with what began the sentence, or stood behind its label, in small letters, where that stands inside now and is no name."""
    for first in re.findall(r"(?:^[\W\d_]*|[.:]\**\s+)([A-Z][\w'’-]*)", sentence):
        small = first.lower()
        common = small.split("-")[0] in english.everyday() or re.search(rf"(?<![.!?#:|] ){re.escape(small)}\b", text)
        if common and first not in within and first[1:].islower():
            question = re.sub(rf"(?<=[a-z,\d] ){re.escape(first)}\b(?! [A-Z])", small, question)
    return question
