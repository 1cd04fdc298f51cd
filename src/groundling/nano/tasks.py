"""nano's training conversations: worlds and ordinary text turned into every task it knows, all rendered by `grounding`."""

from __future__ import annotations

import random

from ..grounding import FORMATS, Message
from ..llm.rules.facts import facts as stated
from ..records import Example, Passage, Quote
from . import drill, lexicon, names, parallel, reading, text, world
from .examples import example

_raft = FORMATS["raft"]


def from_world(r: random.Random, passages: int, language: str = "en", split: str = "train", questions: int = 1) -> list[Example]:
    """Questions on one invented world; about one in five is not answered by its passages."""
    filler = text.plain_sentences() if language == "en" and r.random() < 0.5 else ()
    w = world.build(r, passages, filler, split, language)
    shown = [Passage(id=str(n), title=t, text=x) for n, (t, x) in enumerate(w.passages)]
    found = []
    for _ in range(questions):
        if r.random() < 0.2 and w.unstated:
            form, entity = r.choice(w.unstated)
            if not any(f.form.relation == form.relation and f.entity == entity for f in w.facts):
                found.append(example(world.ask(form, entity, r), shown, None, "", language))
                continue
        fact = r.choice(w.facts)
        quote = Quote(text=fact.quote, passage=fact.passage)
        found.append(example(world.ask(fact.form, fact.entity, r), shown, quote, fact.answer, language))
    return found


def from_text(r: random.Random, passages: int, questions: int = 1) -> list[Example]:
    """Questions on ordinary prose, made by the rules of the template teacher; neighbours in the source are the distractors."""
    pool = text.paragraphs()
    at = r.randrange(len(pool) - 12)
    chosen = r.sample(pool[at : at + 12], passages) if r.random() < 0.6 else r.sample(pool, passages)
    shown = [Passage(id=str(n), title=p.title, text=p.text) for n, p in enumerate(chosen)]
    known = [(n, f) for n, p in enumerate(shown) for f in stated(p.text, p.title) if len(f.quote) <= 240]
    found = []
    for n, fact in r.sample(known, min(questions, len(known))):
        if r.random() < 0.2:
            # The same question with its passage taken out (another one stands in its place).
            other = r.choice(pool)
            rest = [p if p.id != str(n) else Passage(id=str(n), title=other.title, text=other.text) for p in shown]
            if not any(fact.quote in p.text for p in rest):
                found.append(example(fact.question, rest, None, "", "en"))
                break
        found.append(example(fact.question, shown, Quote(text=fact.quote, passage=n), fact.answer, "en"))
    return [e for e in found if e.passages == found[0].passages]


def conversation(examples: list[Example], fmt: str = "raft") -> list[Message]:
    """One conversation over shared passages: the first question is asked in full, later ones stand alone."""
    f = FORMATS[fmt]
    messages: list[Message] = []
    for n, e in enumerate(examples):
        messages += f.prompt(e.question, e.passages, True) if n == 0 else [{"role": "user", "content": f"Question: {e.question}"}]
        messages += [{"role": "assistant", "content": turn} for turn in f.target(e)]
    return messages


def _labels(r: random.Random) -> list[Message]:
    """Choose the kind of thing that a text is about, out of a few kinds."""
    kinds = r.sample(sorted(world.by_kind("train", "en")), r.randrange(2, 7))
    right = r.choice(kinds)
    form = r.choice(world.by_kind("train", "en")[right])
    sentence = world.sentence(form, names.entity(right, r), names.value(form.value, r), r)
    labels = [Passage(id=k, title=k.replace("_", " "), text="") for k in kinds]
    return conversation([example(sentence, labels, Quote(text="", passage=0), right.replace("_", " "), "en")], "labels")


def _drill(r: random.Random, passages: int, questions: int, reach: int) -> list[Message]:
    while True:
        found = drill.lines(r, passages, questions, reach) if reach >= 0 else drill.prose(r, passages, questions)
        if found:
            return conversation(found)


def _words(r: random.Random, passages: int) -> list[Message]:
    """Exercises in words that mean the same."""
    while True:
        found = r.choice((lexicon.definitions, lexicon.swapped))(r, min(passages, 3), _count(r))
        if found:
            return conversation(found)


def _count(r: random.Random) -> int:
    """How many questions on one context: mostly one, as users ask; several teach more for the same number of tokens."""
    return r.choice((1, 1, 1, 1, 2, 4, 6))


def draw(r: random.Random, longest: int = 5, stage: int = 4) -> list[Message]:
    """One training conversation, with up to `longest` passages.

    Stage 1 is mostly finding a line by its words; stage 2 that, facts and written passages; stage 3 adds words that mean the same; stage 4 is the
    whole mixture.
    """
    questions = _count(r)
    if stage == 1:
        if r.random() < 0.25:
            return conversation(reading.ask(r, 1, questions)) or draw(r, longest, stage)
        return _drill(r, r.randrange(1, longest + 1), r.choice((1, 1, 6)), r.choice((1, 3, 0)))
    if stage == 4:
        return _mixture(r, longest, questions)
    count = r.randrange(1, longest + 1)
    drills, words, facts = (0.3, 0.3, 0.6) if stage == 2 else (0.05, 0.35, 0.6)
    kind = r.random()
    if kind < drills:
        return _drill(r, count, questions, r.choice((1, 3, 0, 0, -1)))
    if kind < words:
        return _words(r, count)
    if kind < facts:
        return conversation(from_world(r, count, questions=questions))
    found = reading.ask(r, count, questions) if r.random() < 0.5 else reading.short(r, min(questions, 3))
    return conversation(found) or draw(r, longest, stage)


# The whole mixture: the share of each kind of conversation.
_SHARES = {
    "written": 0.26, "short": 0.18, "parallel": 0.11, "world": 0.12, "words": 0.06, "text": 0.08, "other": 0.05, "drill": 0.03, "two-turn": 0.05,
    "backward": 0.03, "labels": 0.02, "bare": 0.01,
}  # fmt: skip


def plain(r: random.Random, longest: int = 5) -> list[Message]:
    """A conversation of the whole mixture without the exercises that need WordNet."""
    return _mixture(r, longest, _count(r), {k: v for k, v in _SHARES.items() if k != "words"})


def _mixture(r: random.Random, longest: int, questions: int, shares: dict[str, float] = _SHARES) -> list[Message]:
    kind = r.choices(list(shares), list(shares.values()))[0]
    # A context of one passage costs a third of the tokens of four, and the choice of the sentence is learnt as well on it.
    count = min(longest, r.choices((1, 2, 3, 4, 5), (5, 2, 2, 2, 1))[0])
    if kind == "drill":
        return _drill(r, min(count, 4), questions, r.choice((0, -1)))
    if kind == "words":
        return _words(r, count)
    if kind == "parallel":
        return conversation(parallel.ask(r, r.choice((1, 1, 2, 3)), questions))
    if kind == "world":
        return conversation(from_world(r, count, questions=questions))
    if kind == "bare":
        bare = from_world(r, 1)[0]
        return conversation([example(bare.question, [], None, "", "en")])
    if kind == "labels":
        return _labels(r)
    if kind == "other":
        language = r.choice(("ja", "ru"))
        fmt = "ja" if language == "ja" and r.random() < 0.4 else "raft"
        return conversation(from_world(r, count, language, questions=1 if fmt == "ja" else questions), fmt)
    some = reading.ask if r.random() < 0.6 else from_world
    found: list[Example] = []
    if kind == "written":
        found = reading.ask(r, count, questions)
    elif kind == "short":
        found = reading.short(r, min(questions, 3))
    elif kind == "text":
        found = from_text(r, min(count, 4), questions)
    elif kind == "two-turn":
        return conversation(some(r, count, questions=1), "two-turn") or _mixture(r, longest, questions, shares)
    elif kind == "backward":
        cited = next((e for e in some(r, 1, questions=1) if e.oracle is not None), None)
        return conversation([cited], "backward") if cited else _mixture(r, longest, questions, shares)
    return conversation(found) if found else _mixture(r, longest, questions, shares)
