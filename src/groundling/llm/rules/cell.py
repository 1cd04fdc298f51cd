"""A cell of a table with what is known of its place: what its column is called, what its row is about. For the `template` teacher."""

from __future__ import annotations

import re
from typing import NamedTuple

from .english import DETERMINERS, noun_phrase
from .otherwords import nouns
from .rows import DAY, Row

MONEY = re.compile(r"[€$£]|\b(?:EUR|USD|SEK|NOK|DKK|GBP|CHF|JPY|euros?|dollars?|pounds?|kronor|kr)\b")
_CLOCK = r"\d{1,2}(?:[:.]\d\d)?(?:\s?(?:a\.m\.|p\.m\.|am|pm))?"
HOURS = re.compile(rf"{_CLOCK}\s?(?:–|-|to)\s?{_CLOCK}(?:\s?(?:h|o'clock))?")
_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
DATE = re.compile(rf"(?:(?:{DAY.pattern}),? )?(?:\d{{1,2}}\.? )?(?:{_MONTH})(?: \d{{1,2}},?)?(?: \d{{4}})?|\d{{4}}-\d\d-\d\d", re.I)
DURATION = re.compile(
    r"(?:about |up to |at least )?[\d.,]+(?: ?[–-] ?\d+)? (?:(?:working|calendar|business) )?"
    r"(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?)"
)
PERCENT = re.compile(r"\d[\d.,]* ?%")
VALUE = re.compile(r"(?:value|detail|details|data|specification|setting|figure|content)", re.I)
NAMED = re.compile(r"[A-Z][a-zäöü-]+(?: [a-zäöü-]+){0,4}")
CALLED = {"phone": "phone number", "telephone": "phone number", "tel": "phone number", "mobile": "mobile number", "ext": "extension",
          "e-mail": "e-mail address", "email": "email address", "mail": "e-mail address", "web": "website", "extension": "extension"}  # fmt: skip
# What a thing simply has one of: it is asked for by its name.
HAS = re.compile(
    r"\b(?:address|number|code|price|fee|date|time|deadline|password|size|weight|length|width|height|depth|limit|temperature|amount|rate|version|name|"
    r"title|language|currency|budget|capacity|power|speed|distance|duration|period|age|cost|value|accuracy|pressure|voltage|volume|warranty|meeting|"
    r"purpose|goal|colour|color|phone|e-mail|email|website|venue|topic|subject|status|material|deposit|salary|result|class|life|allowance|load|range|"
    r"frequency|consumption|resolution|diameter|thickness|area|population|role|extension|type|model|level|maximum|minimum|ceiling|term|"
    r"refrigerant|dimensions|discount|area|humidity|network|surface|pitch|interval|thread|voltage|current|brand|manufacturer|serial)$",
    re.I,
)
Ways = list[str]


class Cell(NamedTuple):
    """A cell with what is known of its place. `column` is without what stands in brackets or behind a comma; `small` the same in small letters."""

    value: str
    column: str
    small: str
    row: Row
    header: str
    title: str

    @property
    def plain(self) -> bool:
        """Whether the column is called by a common noun that one can ask for: "Yearly fee", "Price per piece"."""
        head = self.small.split(" per ")[0].split()[-1]
        named = bool(NAMED.fullmatch(self.column)) and noun_phrase(self.column)
        named = named and self.small.split()[0] not in DETERMINERS
        return named and (head in nouns() or bool(HAS.search(head))) and not re.search(r"\b(?:from|in|of|to|for|with|at|and|or)\b", self.small)

    @property
    def has(self) -> bool:
        return self.plain and bool(HAS.search(self.small.split(" per ")[0]))
