"""Written passages: short texts on invented matters, with slots for names and values, and questions that use other words than the text does.

They stand in `written/*.txt`, one sentence a line:

    == The Lighthouse of {place}
    The lighthouse was built in {year} to replace a beacon that had burned down.
    It is {n:20-60} metres tall and painted {c=white|red and white|grey}.
    - Opening hours: {time} to {time2}
    ? 1 | {year} | When was the tower at {place} constructed? | How long has it stood there?
    ? 2 | {n} metres | How high is the lighthouse?
    ! Who was its first keeper? | Who looked after the lamp at first?

`?` gives the number of the sentence that answers, the answer as it stands there, and ways to ask; `!` asks for what the text does not say. A slot
is a kind of value (`{person}`, a second one `{person2}`), a number from a range (`{n:20-60}`) or one of some words (`{c=white|grey}`).
`python -m groundling.nano.articles FILE…` checks files.
"""

from __future__ import annotations

import random
import re
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from . import names

_SLOT = re.compile(r"\{([a-z_]+)(\d*)(?::(\d+)-(\d+)|=([^{}]+))?\}")
_BAR = re.compile(r"\s*\|\s*(?![^{}]*\})")
BULLET = ("- ", "| ", "* ", "#")  # lines that stand alone


class Ask(NamedTuple):
    """Ways to ask for what `sentence` (from 0) says; `sentence` is None where the text does not say it."""

    sentence: int | None
    answer: str
    ways: tuple[str, ...]


class Article(NamedTuple):
    """One written passage, slots not filled. `topic` is its file."""

    topic: str
    title: str
    sentences: tuple[str, ...]
    asks: tuple[Ask, ...]


def parse(text: str, topic: str) -> tuple[list[Article], list[str]]:
    """The articles of one file, and a sentence for each thing that is wrong in it."""
    found, wrong = [], []
    for block in re.split(r"^== *", text, flags=re.M)[1:]:
        title, *rest = block.rstrip().split("\n")
        sentences = tuple(line.strip() for line in rest if line.strip() and line[0] not in "?!")
        asks = []
        for line in rest:
            if line[:1] not in ("?", "!"):
                continue
            try:
                asks.append(_ask(line, sentences))
            except ValueError as error:
                wrong.append(f"{topic}: {title}: {error}: {line}")
        article = Article(topic, title.strip(), sentences, tuple(asks))
        wrong += [f"{topic}: {title}: {problem}" for problem in _problems(article)]
        found.append(article)
    return found, wrong


def _ask(line: str, sentences: tuple[str, ...]) -> Ask:
    parts = _BAR.split(line[1:].strip())
    if line[0] == "!":
        return Ask(None, "", tuple(p for p in parts if p))
    if len(parts) < 3 or not parts[0].isdigit():
        raise ValueError("a question is `? number | answer | way to ask | …`")
    number = int(parts[0]) - 1
    if not 0 <= number < len(sentences):
        raise ValueError(f"there is no sentence {number + 1}")
    if _bare(parts[1]) not in _bare(sentences[number]):
        raise ValueError(f"the answer does not stand in sentence {number + 1}")
    return Ask(number, parts[1], tuple(p for p in parts[2:] if p))


def _bare(text: str) -> str:
    """Slots without their definitions, so that `{n:2-9}` equals `{n}`."""
    return _SLOT.sub(lambda m: f"{{{m[1]}{m[2]}}}", text)


def _problems(article: Article) -> list[str]:
    text = "\n".join((article.title, *article.sentences))
    defined = {m[1] + m[2] for m in _SLOT.finditer(text) if m[3] or m[5]}
    wrong = []
    if not article.sentences or not article.asks:
        wrong.append("it needs sentences and questions")
    for m in _SLOT.finditer("\n".join((text, *(w for a in article.asks for w in (a.answer, *a.ways))))):
        if m[1] + m[2] not in defined and m[1] not in KINDS:
            wrong.append(f"unknown slot {m[0]}")
        if m[3] and int(m[3]) >= int(m[4]):
            wrong.append(f"empty range {m[0]}")
    if re.search(r"[{}]", _SLOT.sub("", text + "".join(w for a in article.asks for w in (a.answer, *a.ways)))):
        wrong.append("a brace that is no slot")
    for ask in article.asks:
        named = {m[1] + m[2] for way in ask.ways for m in _SLOT.finditer(way)}
        if ask.sentence is not None and (missing := named - {m[1] + m[2] for m in _SLOT.finditer(text)}):
            wrong.append(f"the question names {sorted(missing)}, which the text does not")
    return wrong


KINDS = {
    *names.VALUE_TYPES, *names.KINDS, "name", "word", "surname", "first",
}  # fmt: skip


def _value(kind: str, r: random.Random) -> str:
    if kind == "name":
        return names.name(r)
    if kind == "word":
        return names.word(r)
    if kind == "surname":
        return names.person(r).rsplit(" ", 1)[-1]
    if kind == "first":
        return names.person(r).split(" ")[0]
    return names.value(kind, r) if kind in names.VALUE_TYPES else names.entity(kind, r)


class Filler:
    """Fills slots: the same slot gets the same value wherever it stands, and no two slots the same."""

    def __init__(self, article: Article, r: random.Random) -> None:
        self.values: dict[str, str] = {}
        for text in (article.title, *article.sentences, *(w for a in article.asks for w in (a.answer, *a.ways))):
            for m in _SLOT.finditer(text):
                if m[3] or m[5]:
                    self._draw(m, r)
        for text in (article.title, *article.sentences, *(w for a in article.asks for w in (a.answer, *a.ways))):
            for m in _SLOT.finditer(text):
                self._draw(m, r)

    def _draw(self, m: re.Match[str], r: random.Random) -> None:
        key = m[1] + m[2]
        if key in self.values:
            return
        for _ in range(9):
            if m[3]:
                value = str(r.randrange(int(m[3]), int(m[4]) + 1))
            elif m[5]:
                value = r.choice(m[5].split("|"))
            else:
                value = _value(m[1], r)
            if value not in self.values.values():
                break
        self.values[key] = value

    def __call__(self, text: str) -> str:
        """The text with its slots filled, beginning with a capital where it begins with a letter."""
        filled = _SLOT.sub(lambda m: self.values[m[1] + m[2]], text)
        return filled[:1].upper() + filled[1:] if text.startswith("{") else filled


@cache
def articles(split: str = "train") -> list[Article]:
    """The written passages of one split. Every tenth file of a topic (its number ends in 9) is `unseen`: kept out of training."""
    found = []
    for file in sorted((resources.files(__package__) / "written").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".txt") and file.name.endswith("9.txt") is (split == "unseen"):
            found += parse(file.read_text("utf-8"), file.name.split("-")[0])[0]
    return found


def main(paths: list[str]) -> int:
    """Check files and show one filled passage of each; returns how many things are wrong."""
    count = 0
    for path in paths:
        found, wrong = parse(Path(path).read_text("utf-8"), Path(path).stem)
        count += len(wrong)
        print(f"{path}: {len(found)} passages, {sum(len(a.asks) for a in found)} questions, {sum(len(k.ways) for a in found for k in a.asks)} ways")
        print("\n".join(wrong))
        if found and not wrong:
            article = random.choice(found)
            fill = Filler(article, random.Random())
            print("  " + fill(article.title), *(f"  {fill(s)}" for s in article.sentences), sep="\n")
            print(*(f"  ? {fill(a.ways[-1])} -> {fill(a.answer)}" for a in article.asks), sep="\n")
    return count


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
