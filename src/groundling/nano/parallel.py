"""Sentences that hold two or three answers, of which a question wants one: "A costs 12 euros, and B 15 euros. What does B cost?"

Read from wrong answers on real documents: in nearly half of the cases in which the right sentence is quoted, another amount, name or date of that
sentence is given as the answer. The invented worlds state one fact a sentence, so there the nearest value of the right sort is always right.
"""

from __future__ import annotations

import random

from ..records import Example, Passage, Quote
from . import names, world
from .examples import example

_BETWEEN = ("; ", ", and ", ", while ", ", but ", ", whereas ", " and ")
_CUT = (". ", "? ", "! ", "\n", "; ")


def _clause(form: world.Form, entity: str, answer: str, r: random.Random) -> str:
    """A statement of the fact that is one clause, without its full stop."""
    template = r.choice([s for s in form.say if s.endswith(".") and not any(mark in s for mark in _CUT)])
    template = template if template.startswith("{") else template[0].lower() + template[1:]
    return template[:-1].replace("{e}", entity).replace("{v}", answer)


def line(r: random.Random, split: str = "train") -> tuple[str, list[tuple[str, str]]]:
    """One sentence and the (question, answer) pairs that it answers: one relation of two look-alikes, or two or three relations of one thing."""
    kinds = world.by_kind(split, "en")
    usable = {k: [f for f in forms if any(s.endswith(".") and not any(m in s for m in _CUT) for s in f.say)] for k, forms in kinds.items()}
    kind = r.choice(sorted(k for k, forms in usable.items() if forms))
    entity = names.entity(kind, r)
    if r.random() < 0.6 or len(usable[kind]) == 1:
        form = r.choice(usable[kind])
        other = world.sibling(entity, r) if r.random() < 0.5 else names.entity(kind, r)
        facts = [(form, e, names.value(form.value, r)) for e in (entity, other)]
    else:
        chosen = r.sample(usable[kind], min(len(usable[kind]), r.choice((2, 2, 3))))
        facts = [(form, entity, names.value(form.value, r)) for form in chosen]
    if len({answer for _, _, answer in facts}) < len(facts) or len({(f.relation, e) for f, e, _ in facts}) < len(facts):
        return line(r, split)
    clauses = [_clause(form, e, answer, r) for form, e, answer in facts]
    text = clauses[0] + "".join(r.choice(_BETWEEN) + c for c in clauses[1:]) + "."
    text = text[:1].upper() + text[1:]
    asks = [(world.ask(form, e, r), answer) for form, e, answer in facts]
    if any(text.count(answer) != 1 for _, answer in asks):  # an answer must stand in one place, and as it is
        return line(r, split)
    return text, asks


def ask(r: random.Random, passages: int, questions: int, split: str = "train") -> list[Example]:
    """Up to `questions` examples on passages of one to three such sentences; about one in six is not answered."""
    known: list[tuple[int, str, list[tuple[str, str]]]] = []
    for number in range(passages):
        known += [(number, *line(r, split)) for _ in range(r.choice((1, 1, 2, 3)))]
    shown = [Passage(id=str(n), title="", text=r.choice((" ", "\n")).join(text for m, text, _ in known if m == n)) for n in range(passages)]
    found = []
    for _ in range(questions):
        if r.random() < 0.16:
            found.append(example(r.choice(line(r, split)[1])[0], shown, None, "", "en"))
            continue
        number, text, asks = r.choice(known)
        question, answer = r.choice(asks)
        found.append(example(question, shown, Quote(text=text, passage=number), answer, "en"))
    return found
