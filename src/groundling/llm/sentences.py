"""A text cut into sentences and lines, and the names that stand in it: what the `template` teacher reads before it asks."""

from __future__ import annotations

import re

_SENTENCE = re.compile(r"(?<=[.!?])[\"”)]?\s+(?=[A-ZА-ЯЁÅÄÖÉ0-9\"“(])|(?<=[。！？])|\n+")
# A point behind these ends no sentence. A single letter is an initial ("J. Smith").
ABBREVIATION = re.compile(
    r"(?<![\w-])(?:e\.\s?g|i\.\s?e|approx|ca|cf|vs|viz|resp|incl|excl|max|min|Dr|Mr|Mrs|Ms|Mx|Prof|Rev|Hon|Capt|Col|Gen|Lt|Sgt|Maj|Gov|Sen|Rep|Pres|Sr|"
    r"Jr|St|Mt|Ave|Blvd|Rd|No|no|Nr|nr|Nos|nos|Inc|Ltd|Co|Corp|Dept|Fig|fig|Art|art|Sec|sec|Ch|ch|Vol|vol|p|pp|ext|Ext|tel|Tel|z\.\s?B|d\.\s?h|"
    r"Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec|(?:[A-Z]\.\s?)*[A-ZА-ЯЁÅÄÖÉ]|г|т|ул|стр|руб)\.$"
)
_INNER = re.compile(r"(?<=[a-zà-öø-ÿ,] )[A-Z][\w'’-]*(?: (?:[A-Z0-9][\w'’-]*|[a-z]+))*")  # a capital within a sentence, and the words behind it


def sentences(text: str) -> list[str]:
    """Sentences and single lines of a text, verbatim, in order."""
    found, start = [], 0
    for gap in _SENTENCE.finditer(text):
        piece = text[start : gap.start()]
        if gap.group().count("\n") < 2 and ABBREVIATION.search(piece):
            continue
        found.append(piece)
        start = gap.end()
    found.append(text[start:])
    return [s.strip() for s in found if s.strip()]


def capitals(text: str) -> frozenset[str]:
    """Words that have a capital within a sentence: they belong to names."""
    return frozenset(found[0].split()[0] for found in _INNER.finditer(text))


def names(text: str, title: str) -> frozenset[str]:
    """What is called something in a text: keys of its tables and lists, headings, and what has a capital within a sentence with the word behind it.

    None of their words is ever replaced in a question, in whatever letters the question writes them.
    """
    found = {part.strip() for part in title.split(" > ")}
    for line in text.splitlines():
        if heading := re.match(r"#{1,6}\s+(.+)", line):
            found.add(heading[1])
        elif line.count("|") > 1:
            found.add(line.strip().strip("|").split("|")[0])
        elif key := re.match(r"[-*• ]*\**([A-Z][^:*]{1,40}?)\**:\**\s", line):
            found.add(key[1])
    said = {name.strip(" *`#.:") for name in found}
    kept = {name for name in said if len(name) > 2 and (" " in name or name not in _headings(text, title))}
    kept |= {" ".join(inner[0].split()[:2]) for inner in _INNER.finditer(text) if len(inner[0].split()) > 1}
    return frozenset(name.lower() for name in kept)


def _headings(text: str, title: str) -> set[str]:
    """Headings of one word are words of their subject rather than names: "Prices"."""
    return {part.strip() for part in [*title.split(" > "), *re.findall(r"(?m)^#{1,6}\s+(.+)$", text)]}
