"""Words that mean the same: exercises made from WordNet, so that a question may use other words than the passage.

A small reader that never saw ordinary language cannot know that a vocalist sings. WordNet (Princeton University; its licence allows use and copying
for any purpose) gives 30,000 common senses, each with its words, a definition and examples. It is read from where Debian's package
`wordnet-base` puts it; only the making of nano needs it.
"""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from ..records import Example, Passage, Quote
from . import drill, reading
from .examples import example

FOLDER = Path("/usr/share/wordnet")
_ABSENT = 0.15  # the share of questions that the passages do not answer


class Sense(NamedTuple):
    """One meaning: the single words that have it, its definition, examples of use, and the senses above it."""

    words: tuple[str, ...]
    definition: str
    examples: tuple[str, ...]
    above: tuple[tuple[str, str], ...]


class Lexicon(NamedTuple):
    """`senses` by part of speech and offset; `first` the commonest sense of each word that was seen in tagged text, by part of speech."""

    senses: dict[tuple[str, str], Sense]
    first: dict[str, list[tuple[str, str]]]


def _sense(line: str) -> Sense:
    fields, _, gloss = line.partition(" | ")
    cells = fields.split()
    count = int(cells[3], 16)
    words = tuple(re.sub(r"\(.*\)", "", w) for w in cells[4 : 4 + 2 * count : 2])
    pointers = cells[5 + 2 * count : 5 + 2 * count + 4 * int(cells[4 + 2 * count])]
    above = tuple((pointers[n + 2], pointers[n + 1]) for n in range(0, len(pointers) - 3, 4) if pointers[n] == "@")
    examples = tuple(re.findall(r'"([^"]{12,120})"', gloss))
    definition = re.sub(r"\([^)]*\)\s*", "", gloss.split('; "')[0].split(";")[0]).strip()
    return Sense(tuple(w for w in words if w.isalpha() and w.islower()), definition, examples, above)


@cache
def lexicon() -> Lexicon:
    """The whole of it. Raises InputError where WordNet is not installed."""
    if not (FOLDER / "data.noun").exists():
        raise InputError(f"WordNet is not in {FOLDER}: the making of nano needs it (`apt-get install wordnet-base`).")
    senses: dict[tuple[str, str], Sense] = {}
    first: dict[str, list[tuple[str, str]]] = {}
    for part, name in (("n", "noun"), ("v", "verb"), ("a", "adj"), ("r", "adv")):
        for line in (FOLDER / f"data.{name}").read_text("utf-8").splitlines():
            if not line.startswith("  "):
                senses[part, line[:8]] = _sense(line)
        for line in (FOLDER / f"index.{name}").read_text("utf-8").splitlines():
            cells = line.split()
            if line.startswith("  ") or not cells[0].isalpha():
                continue
            count, tagged = int(cells[2]), int(cells[-int(cells[2]) - 1])
            if tagged:
                first.setdefault(cells[0], []).append((part, cells[len(cells) - count]))
    return Lexicon(senses, first)


@cache
def _common() -> list[tuple[str, str]]:
    """The senses that are the first of some common word, in a fixed order."""
    return sorted({sense for found in lexicon().first.values() for sense in found})


@cache
def _irregular() -> dict[str, list[str]]:
    """Irregular forms and their base: built, build."""
    pairs = [line.split() for name in ("verb", "noun") for line in (FOLDER / f"{name}.exc").read_text("utf-8").splitlines()]
    return {pair[0]: pair[1:] for pair in pairs}


@cache
def others(word: str) -> tuple[str, ...]:
    """Other words for a word in its commonest senses, and words one step more general; none for a word that is not known."""
    known = lexicon()
    word = word.lower()
    forms = [
        word,
        *_irregular().get(word, ()),
        re.sub(r"(?:es|s|ed|d|ing)$", "", word),
        re.sub(r"(?:ed|ing)$", "e", word),
        re.sub(r"ies$|ied$", "y", word),
    ]
    found: list[str] = []
    for sense in (known.senses[s] for form in dict.fromkeys(forms) for s in known.first.get(form, ())[:2]):
        found += [*sense.words, *(w for up in sense.above for w in known.senses[up].words[:2])]
    return tuple(dict.fromkeys(w for w in found if w not in forms and len(w) > 2))


def _line(sense: Sense, r: random.Random) -> str:
    """A definition or an example as a line of text."""
    text = r.choice(sense.examples) if sense.examples and r.random() < 0.4 else sense.definition
    text = text[:1].upper() + text[1:] if r.random() < 0.7 else text
    return text if text[-1] in ".!?" else text + "."


def definitions(r: random.Random, passages: int, questions: int) -> list[Example]:
    """Lines that define or show words; a question names a word for one of them that stands in none."""
    known = lexicon()
    chosen = []
    for _ in range(passages * r.choice((2, 3, 4))):
        sense = known.senses[r.choice(_common())]
        if 12 <= len(sense.definition) <= 110 and sense.words and sense not in chosen:
            chosen.append(sense)
    lines = [(n % passages, sense, _line(sense, r)) for n, sense in enumerate(chosen)]
    shown = _passages(passages, [(number, line) for number, _, line in lines], r)
    everything = " ".join(line for _, _, line in lines).lower()
    found: list[Example] = []
    if not lines:
        return found
    for _ in range(questions):
        if r.random() < _ABSENT:
            asked = known.senses[r.choice(_common())]
            number, line = None, ""
        else:
            number, asked, line = r.choice(lines)
        words = [w for w in asked.words if w[:5] not in everything]
        if not words or (number is None and asked in chosen) or any(set(words) & set(s.words) for s in chosen if s is not asked):
            continue
        quote = None if number is None else Quote(text=line, passage=number)
        found.append(example(drill.ask(r, words[: r.choice((1, 1, 2))]), shown, quote, line.rstrip(".!?").rsplit(" ", 1)[-1], "en"))
    return found


def swapped(r: random.Random, passages: int, questions: int) -> list[Example]:
    """Sentences of written passages; a question names some of a sentence's words, most of them by another word that means the same."""
    lines = [(n, text) for n in range(passages) for text in reading.sentences(r, r.choice((2, 3, 4)))]
    shown = _passages(passages, lines, r)
    found = []
    for _ in range(questions):
        absent = r.random() < _ABSENT
        number, line = (None, r.choice(reading.sentences(r, 3))) if absent else r.choice(lines)
        words = [w for w in re.findall(r"[A-Za-z]{4,}", line) if w[0].islower() and w not in drill.STOP]
        keys = [(w, r.choice(others(w)) if others(w) and r.random() < 0.7 else w) for w in r.sample(words, min(len(words), r.choice((2, 3, 4))))]
        if len(keys) < 2 or sum(old != new for old, new in keys) == 0:
            continue
        rest = " ".join(text for _, text in lines if text != line).lower()
        if sum(old[:5] in rest or new[:5] in rest for old, new in keys) * 2 > len(keys):
            continue
        quote = None if number is None else Quote(text=line, passage=number)
        answers = [w for w in words if w not in dict(keys)] or words
        found.append(example(drill.ask(r, [new for _, new in keys]), shown, quote, r.choice(answers), "en"))
    return found


def _passages(count: int, lines: list[tuple[int, str]], r: random.Random) -> list[Passage]:
    gap = " " if r.random() < 0.6 else "\n"
    return [Passage(id=str(n), title="", text=gap.join(text for number, text in lines if number == n)) for n in range(count)]
