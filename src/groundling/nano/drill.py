"""Exercises in finding: which line holds the words that were asked for? They come first in nano's training, before facts.

Choosing a sentence is what a small reader learns last: of forty tokens of an answer one carries it, and no simpler habit leads there. Here it
is asked alone, in steps: the key is the line's first word; then it is among the first three; then it is anywhere, or two words of several.
The keys are ordinary and invented words, so that no meaning helps; some lines share a word.
"""

from __future__ import annotations

import random
import re
from functools import cache

from ..records import Example, Passage, Quote
from . import names, text
from .examples import example

_ASK = (
    "What about {}?", "{}?", "Which line has {}?", "What is said of {}?", "Where is {}?", "Tell me about {}.", "How is {} described?",
    "What does it say on {}?",
)  # fmt: skip
STOP = frozenset(
    "the and for that this with from are not which can has have will may its was been when where than then also such used any other only "
    "all but one two use".split()
)


@cache
def ordinary() -> list[str]:
    """The words that ordinary prose uses more than twice."""
    count: dict[str, int] = {}
    for sentence in text.plain_sentences():
        for word in re.findall(r"\b[a-z]{3,12}\b", sentence):
            count[word] = count.get(word, 0) + 1
    return [word for word, times in count.items() if times >= 3]


def _words(r: random.Random, invented: float = 0.3) -> list[str]:
    return [names.word(r) if r.random() < invented else r.choice(ordinary()) for _ in range(r.randrange(3, 8))]


def ask(r: random.Random, keys: list[str]) -> str:
    """A question that names these words."""
    return r.choice(_ASK).format((" " if r.random() < 0.6 else " and ").join(keys))  # a key keeps its small letter


def lines(r: random.Random, passages: int, questions: int, reach: int = 0) -> list[Example]:
    """Lines of random words; a question names one to three of a line's words, all within the first `reach` (0: anywhere)."""
    known: list[tuple[int, list[str], str]] = []
    shown = []
    for number in range(passages):
        for _ in range(r.choice((1, 1, 2, 3))):
            words = _words(r)
            if known and r.random() < 0.3:
                words[r.randrange(len(words))] = r.choice(r.choice(known)[1])
            line = " ".join(words) + "."
            known.append((number, words, line[0].upper() + line[1:] if r.random() < 0.15 else line))
        mine = [line for n, _, line in known if n == number]
        shown.append(Passage(id=str(number), title="", text=(" " if r.random() < 0.7 else "\n").join(mine)))
    found = []
    for _ in range(questions):
        if r.random() < 0.2:
            keys = r.sample(_words(r), r.choice((1, 2, 3)))
            if not any(key in words for key in keys for _, words, _ in known):
                found.append(example(ask(r, keys), shown, None, "", "en"))
            continue
        number, words, line = r.choice(known)
        keys = _keys(r, words, reach)
        if sum(all(key in other for key in keys) for _, other, _ in known) == 1:
            found.append(example(ask(r, keys), shown, Quote(text=line, passage=number), words[-1], "en"))
    return found


def _keys(r: random.Random, words: list[str], reach: int) -> list[str]:
    count = r.choice((1, 2, 2, 3))
    if reach:
        at = r.randrange(reach)
        return words[at : at + r.choice((1, 1, 2))]
    at = r.randrange(len(words) - count + 1)
    return words[at : at + count] if r.random() < 0.5 else r.sample(words, count)


def prose(r: random.Random, passages: int, questions: int) -> list[Example]:
    """Sentences of ordinary prose, neighbours among them; a question names two to four of a sentence's words."""
    pool = text.plain_sentences()
    at = r.randrange(len(pool) - 40)
    chosen = [r.choice(pool[at : at + 40]) if r.random() < 0.5 else r.choice(pool) for _ in range(passages * 2)]
    known = [(n % passages, s) for n, s in enumerate(dict.fromkeys(chosen))]
    shown = [Passage(id=str(n), title="", text=" ".join(s for m, s in known if m == n)) for n in range(passages)]
    found = []
    for _ in range(questions):
        number, sentence = (None, r.choice(pool)) if r.random() < 0.2 else r.choice(known)
        words = [w for w in re.findall(r"[A-Za-z]{3,}", sentence) if w.lower() not in STOP]
        if len(words) < 3:
            continue
        keys = r.sample(words, min(len(words) - 1, r.choice((2, 3, 4))))
        if r.random() < 0.6:
            keys.sort(key=sentence.find)
        if max((sum(k.lower() in s.lower() for k in keys) for _, s in known if s != sentence), default=0) * 2 > len(keys):
            continue
        quote = None if number is None else Quote(text=sentence, passage=number)
        found.append(example(ask(r, [k.lower() for k in keys]), shown, quote, r.choice([w for w in words if w not in keys] or words), "en"))
    return found
