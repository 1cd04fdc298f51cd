"""Conversations on written passages: several of them filled, shortened and set side by side, with questions in other words."""

from __future__ import annotations

import random
import re
from functools import cache
from typing import NamedTuple

from ..records import Example, Passage, Quote
from .articles import BULLET, Article, Ask, Filler, articles
from .examples import example

_ABSENT = 0.18  # the share of questions that the passages do not answer
_STOP = frozenset(
    "about after also another been before being could does down during each from give given have hold into kind long made make many more most much "
    "name other over people should some stand state than that their them then there these they thing this those through time under used were what "
    "when where which while whom whose will with would".split()
)


class _Shown(NamedTuple):
    """One passage of a context: an article with its slots filled, and the lines that are shown."""

    article: Article
    fill: Filler
    lines: tuple[tuple[int, str], ...]  # number of the sentence in the article, text
    passage: Passage


@cache
def _topics(split: str) -> dict[str, list[Article]]:
    found: dict[str, list[Article]] = {}
    for article in articles(split):
        found.setdefault(article.topic, []).append(article)
    return found


def _stems(text: str) -> set[str]:
    """What tells a text from another: names, numbers and the beginnings of longer words."""
    return {w[:5].lower() for w in re.findall(r"\w{4,}", text) if w.lower() not in _STOP}


def _joined(lines: list[str], r: random.Random) -> str:
    """Running text, in paragraphs now and then; list items and headings on lines of their own."""
    text = ""
    paragraphs = r.random() < 0.2
    for line in lines:
        alone = line.startswith(BULLET) or text.rsplit("\n", 1)[-1].startswith(BULLET)
        gap = "" if not text else "\n" if alone else "\n\n" if paragraphs and r.random() < 0.4 else " "
        text += gap + line
    return text


def _show(article: Article, number: int, r: random.Random) -> _Shown:
    """The article with its slots filled; half of the time some sentences are missing, or it begins or ends in its midst."""
    fill = Filler(article, r)
    kept = list(range(len(article.sentences)))
    style = r.random()
    if style < 0.25:
        kept = [n for n in kept if r.random() > 0.3] or kept
    elif style < 0.45:
        start = r.randrange(max(1, len(kept) - 3))
        kept = kept[start : start + r.randrange(2, 6)]
    lines = tuple((n, fill(article.sentences[n])) for n in kept)
    title = "" if r.random() < 0.1 else fill(article.title)
    return _Shown(article, fill, lines, Passage(id=str(number), title=title, text=_joined([text for _, text in lines], r)))


def _way(shown: _Shown, ask: Ask, others: list[_Shown], r: random.Random) -> str | None:
    """A way to ask that tells which passage is meant: by a word that it shares, or by a name that a twin does not have."""
    question = shown.fill(r.choice(ask.ways))
    if not others:
        return question
    mine = _stems(f"{shown.passage.title} {shown.passage.text}")
    if any(o.article is shown.article for o in others):
        mine -= set.union(*(_stems(f"{o.passage.title} {o.passage.text}") for o in others))
        return question if _stems(question) & mine else None
    if _stems(question) & mine and r.random() < 0.9:
        return question
    if not shown.passage.title:
        return None
    style = r.choice(("{t}: {q}", "{q} ({t})", "About {t}: {q}", "Regarding {t}, {l}"))
    return style.format(t=shown.passage.title, q=question, l=question[0].lower() + question[1:])


def _context(r: random.Random, count: int, split: str) -> list[_Shown]:
    main = r.choice(articles(split))
    chosen = [main]
    while len(chosen) < count:
        near = r.random()
        pool = [main] if near < 0.08 else _topics(split)[main.topic] if near < 0.65 else articles(split)
        other = r.choice(pool)
        if other not in chosen or near < 0.08:
            chosen.append(other)
    r.shuffle(chosen)
    return [_show(a, n, r) for n, a in enumerate(chosen)]


def sentences(r: random.Random, count: int, split: str = "train") -> list[str]:
    """Up to `count` sentences of one written passage, slots filled."""
    lines: list[str] = []
    while not lines:
        lines = [text for _, text in _show(r.choice(articles(split)), 0, r).lines if not text.startswith(BULLET)]
    return r.sample(lines, min(count, len(lines)))


def short(r: random.Random, questions: int, split: str = "train") -> list[Example]:
    """Up to `questions` examples on one to three neighbouring sentences: what is to be learnt there is which words of a sentence answer.

    A question of a whole context costs four times as many tokens, and teaches the choice of the sentence much and the choice of the words little.
    """
    article = r.choice(articles(split))
    start = r.randrange(len(article.sentences))
    fill = Filler(article, r)
    lines = {n: fill(article.sentences[n]) for n in range(start, min(start + r.choice((1, 1, 2, 3)), len(article.sentences)))}
    shown = [Passage(id="0", title=fill(article.title) if r.random() < 0.5 else "", text=_joined(list(lines.values()), r))]
    here = [a for a in article.asks if a.sentence in lines]
    away = [a for a in article.asks if a.sentence not in lines and (a.sentence is None or fill(a.answer) not in shown[0].text)]
    found: list[Example] = []
    for pool in ((away if r.random() < _ABSENT else here) for _ in range(questions)):
        if not pool:
            continue
        one = pool.pop(r.randrange(len(pool)))
        question, answer = fill(r.choice(one.ways)), fill(one.answer)
        line = lines.get(one.sentence) if one.sentence is not None else None
        if line is None:
            found.append(example(question, shown, None, "", "en"))
            continue
        answer = answer if answer in line else answer[:1].lower() + answer[1:]
        if answer in line and shown[0].text.count(line) == 1:
            found.append(example(question, shown, Quote(text=line, passage=0), answer, "en"))
    return found


def ask(r: random.Random, passages: int, questions: int, split: str = "train") -> list[Example]:
    """Up to `questions` examples on one context of written passages; fewer where a question would not be clear."""
    context = _context(r, passages, split)
    shown = [s.passage for s in context]
    everything = "\n".join(f"{p.title}\n{p.text}" for p in shown)
    found: list[Example] = []
    asked: set[str] = set()
    for _ in range(questions * 3):
        if len(found) == questions:
            break
        absent = r.random() < _ABSENT
        one = r.choice(context)
        if absent and r.random() < 0.3:
            one = _show(r.choice(articles(split)), 0, r)  # a passage that is not there
            one = one if all(one.article is not s.article for s in context) else r.choice(context)
        ways = r.choice(one.article.asks)
        question = _way(one, ways, [s for s in context if s is not one], r)
        line = dict(one.lines).get(ways.sentence) if ways.sentence is not None and one in context else None
        if question is None or question in asked or absent is not (line is None):
            continue
        answer = one.fill(ways.answer)
        if line is None and ways.sentence is not None and answer in everything:
            continue
        if line is not None:
            answer = answer if answer in line else answer[:1].lower() + answer[1:]
            if answer not in line or everything.count(line) > 1:
                continue
        asked.add(question)
        quote = Quote(text=line, passage=context.index(one)) if line is not None else None
        found.append(example(question, shown, quote, answer, "en"))
    return found
