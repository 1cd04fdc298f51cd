"""Invented documents whose facts are known: passages, and for each fact its question, its answer and the sentence that states it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import yaml

from ..seeds import rng
from . import names, script


class Form(NamedTuple):
    """A relation and the ways to state it and to ask for it. `pair` statements spread the fact over two sentences."""

    kind: str
    relation: str
    value: str
    say: list[str]
    ask: list[str]
    pair: list[str] = []
    language: str = "en"


class Fact(NamedTuple):
    """One stated fact. `quote` stands verbatim in the passage, `answer` verbatim in the quote."""

    form: Form
    entity: str
    answer: str
    quote: str
    passage: int


class World(NamedTuple):
    """Passages (title, text), the facts they state, and forms that could be asked of an entity but are not stated."""

    passages: list[tuple[str, str]]
    facts: list[Fact]
    unstated: list[tuple[Form, str]]


# Openings that bring a second date, number or name into a sentence without changing its fact.
_LEADS = (
    "As of {date}, ", "According to {person}, ", "Note: ", "Since {year}, ", "Following a decision of {date}, ", "In general, ",
    "As stated in section {number}, ", "For the record: ", "Unless agreed otherwise, ", "Today, ", "After the change in {year}, ",
)  # fmt: skip


@cache
def forms(split: str = "train", language: str = "en") -> list[Form]:
    """The fact forms of one split. One in eight (chosen by hash) is `unseen`: kept out of training to measure generality."""
    folder = resources.files(__package__) / "forms"
    found = []
    for file in sorted(folder.iterdir(), key=lambda f: f.name):
        if file.name.endswith(".yaml"):
            found += [Form(**entry) for entry in yaml.load(file.read_text("utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))]
    chosen = [f for f in found if f.language == language]
    unseen = [f for f in chosen if rng(0, "unseen", f.language, f.kind, f.relation).random() < 1 / 8]
    return unseen if split == "unseen" else [f for f in chosen if f not in unseen]


@cache
def by_kind(split: str, language: str) -> dict[str, list[Form]]:
    table: dict[str, list[Form]] = {}
    for form in forms(split, language):
        table.setdefault(form.kind, []).append(form)
    return table


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _fill(template: str, entity: str, answer: str) -> str:
    """A statement with its sentences capitalised. The answer may gain a capital where it opens a sentence."""
    text = _capital(template.replace("{e}", entity).replace("{v}", answer))
    for stop in (". ", "? ", "! "):
        text = stop.join(_capital(s) for s in text.split(stop))
    return text


def sibling(entity: str, r: random.Random) -> str:
    """A look-alike: the same name with one number, year or word changed."""
    for old in ("2024", "2025", "2026"):
        if old in entity:
            return entity.replace(old, str(int(old) - 1))
    digits = [part for part in entity.replace("-", " ").split() if part.isdigit()]
    if digits:
        return entity.replace(digits[-1], str(int(digits[-1]) + r.choice((1, 5, 10, 50, 100))))
    return f"{entity} {r.choice(('II', 'Plus', '2', 'B', 'North', 'Mini'))}"


def sentence(form: Form, entity: str, answer: str, r: random.Random) -> str:
    """One way of stating the fact."""
    if form.pair and r.random() < 0.25:
        return _fill(r.choice(form.pair), entity, answer)
    template = r.choice(form.say)
    text = _fill(template, entity, answer)
    if form.language == "en" and r.random() < 0.12:
        lead = r.choice(_LEADS)
        for kind in ("date", "person", "year", "number"):
            if f"{{{kind}}}" in lead:
                lead = lead.replace(f"{{{kind}}}", names.value(kind, r))
        name_first = template.startswith("{") and template.replace("{e}", entity).replace("{v}", answer)[0].isupper()
        text = lead + (text if name_first else text[0].lower() + text[1:])
    return text


def _label(form: Form) -> str:
    return _capital(form.relation.replace("_", " ").replace("-", " "))


def _joined(title: str, lines: list[str], r: random.Random) -> tuple[str, str]:
    """Sentences as one passage: running text, paragraphs, a list, or what is left of HTML."""
    style = r.random()
    if style < 0.62:
        text = " ".join(lines)
    elif style < 0.76:
        text = "\n\n".join(lines)
    elif style < 0.9:
        text = "\n".join(f"- {line}" for line in lines)
    elif style < 0.95:
        text = "\n".join(f"{n}. {line}" for n, line in enumerate(lines, 1))
    else:
        text = f"## {title}\n\n" + " ".join(lines)
    return title, text


class _Builder:
    """Collects passages and facts; a fact (entity, relation) is stated once in a world."""

    def __init__(self, r: random.Random, split: str, language: str) -> None:
        self.r, self.language = r, language
        self.by_kind = by_kind(split, language)
        self.passages: list[tuple[str, str]] = []
        self.facts: list[Fact] = []
        self.unstated: list[tuple[Form, str]] = []

    def entity(self, kind: str) -> str:
        return script.transcribe(names.entity(kind, self.r), self.language)

    def value(self, kind: str) -> str:
        return script.value(kind, self.r, self.language)

    def profile(self, entities: Sequence[tuple[str, list[Form]]], title: str, filler: Sequence[str]) -> None:
        """A passage with the given forms of the given entities, each in one sentence, with sentences of other matter between."""
        number, lines, facts = len(self.passages), list(filler), []
        for entity, chosen in entities:
            for form in chosen:
                answer = self.value(form.value)
                facts.append((form, entity, answer, sentence(form, entity, answer, self.r)))
        lines += [f[3] for f in facts]
        self.r.shuffle(lines)
        self.passages.append(_joined(title, lines, self.r))
        for form, entity, answer, quote in facts:
            shown = answer if answer in quote else _capital(answer)
            self.facts.append(Fact(form, entity, shown, quote, number))

    def table(self, entities: Sequence[str], chosen: Sequence[Form], title: str) -> None:
        """A table or a `key: value` block. The quote is the whole row or line."""
        number, r = len(self.passages), self.r
        values = {(e, f.relation): self.value(f.value) for e in entities for f in chosen}
        if len(entities) == 1 and r.random() < 0.8:
            style = r.choice(("{}: {}", "- {}: {}", "**{}:** {}", "{} | {}"))
            rows = [(entities[0], f, style.format(_label(f), values[entities[0], f.relation])) for f in chosen]
            title = entities[0] if entities[0] not in title else title
            text = "\n".join(line for _, _, line in rows)
        else:
            edge = ("| ", " | ", " |") if r.random() < 0.7 else ("", " | ", "")
            line = lambda cells: edge[0] + edge[1].join(cells) + edge[2]  # noqa: E731
            head = line(["Name", *(_label(f) for f in chosen)])
            body = {e: line([e, *(values[e, f.relation] for f in chosen)]) for e in entities}
            rule = "|" + "---|" * (len(chosen) + 1)
            text = "\n".join([head, *([rule] if edge[0] else []), *body.values()])
            rows = [(e, f, body[e]) for e in entities for f in chosen]
        self.passages.append((title, text))
        self.facts += [Fact(f, e, values[e, f.relation], line, number) for e, f, line in rows]


def _title(entity: str, kind: str, r: random.Random) -> str:
    style = r.random()
    plain = _capital(entity)
    if style < 0.4:
        return plain
    if style < 0.55:
        return ""
    return r.choice((f"{plain} — overview", f"About {entity}", f"{_capital(kind.replace('_', ' '))}s", f"Notes {names.value('date', r)}",
                     f"{names.name(r)} > {plain}", f"{plain} > Details", f"Chapter {r.randrange(1, 30)}"))  # fmt: skip


def build(r: random.Random, passages: int, filler: Sequence[str] = (), split: str = "train", language: str = "en") -> World:
    """A world of that many passages. Kinds and relations repeat between passages, so that look-alikes abound.

    `filler` are sentences of ordinary text; some are mixed in between the facts.
    """
    b = _Builder(r, split, language)
    # Short contexts are plain, most of the time: choosing a sentence is learnt on them first, and carries over to long ones.
    plain = passages <= 3 and r.random() < 0.75
    if plain:
        filler = ()
    main = r.choice(sorted(b.by_kind))
    shared = r.sample(b.by_kind[main], min(len(b.by_kind[main]), 1 if plain else r.choice((1, 2, 2, 3, 4))))
    last = ""
    for _ in range(passages):
        kind = main if r.random() < 0.7 else r.choice(sorted(b.by_kind))
        pool = b.by_kind[kind]
        entity = sibling(last, r) if last and kind == main and r.random() < 0.3 else b.entity(kind)
        last = entity if kind == main else last
        some = r.sample(pool, min(len(pool), r.choice((1, 2, 2, 3, 3, 4, 5))))
        chosen = shared + [f for f in some if f not in shared][:3] if kind == main else some
        chosen = chosen[:2] if plain else chosen
        b.unstated += [(f, entity) for f in pool if f not in chosen][:3]
        style = r.random()
        if style < 0.1 and language == "en" and len(chosen) > 1:
            others = [entity, *(b.entity(kind) for _ in range(r.randrange(0, 4)))]
            b.table(others, chosen[:4], _title(entity, kind, r))
        else:
            extra = [(b.entity(kind), [r.choice(pool)]) for _ in range(0 if plain else r.choice((0, 0, 0, 1, 2)))]
            fill = [r.choice(filler) for _ in range(r.choice((0, 0, 1, 1, 2, 3, 5, 7)))] if filler else []
            b.profile([(entity, chosen), *extra], _title(entity, kind, r), fill)
    # An entity that no passage names, asked with a relation that one of them states.
    b.unstated += [(f, b.entity(main)) for f in shared[:2]]
    return World(b.passages, b.facts, b.unstated)


def ask(form: Form, entity: str, r: random.Random) -> str:
    """One way of asking for the fact."""
    return _capital(r.choice(form.ask).replace("{e}", entity))
