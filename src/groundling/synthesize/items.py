"""What the classification recipe is run over: rows that have their label, calls in which a teacher writes texts, rows that it is to label."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from ..choosing import scorer, shown
from ..errors import ConfigError, InputError
from ..records import Passage, Split
from ..seeds import digest, seed_of
from .active import helpful, margins
from .labelled import Fields, Row, check_labels, labelled, sides, unlabelled

Kind = Literal["labelled", "written", "active"]


class Item(NamedTuple):
    """A text, or a call's worth of texts to be written (`count`). `labels` are all there are; `label` is "" where it is to be found out."""

    id: str
    kind: Kind
    labels: tuple[Passage, ...]
    label: str = ""
    text: str = ""
    count: int = 1
    split: Split = "train"
    path: str = ""

    @property
    def title(self) -> str:
        return self.label or self.text[:60]


def items(bench: Any, options: Any) -> list[Item]:
    """The rows of the files, the calls in which the teacher writes, and the rows that it is to label. Raises InputError for files that do not fit."""
    fields = Fields(options.text, options.label, options.skip_lines)
    rows = _short(labelled(bench.path(options.data), fields, bench), bench, options) if options.data else []
    test = _short(labelled(bench.path(options.test), fields, bench), bench, options) if options.test else []
    labels = _labels(rows, options)
    for name, own in ((options.data, rows), (options.test, test)):
        check_labels(own, [p.title for p in labels], name)
    rows = _not_in(rows, test, "a text that is also in the test file", bench)
    _no_empty_class(rows, labels, options)
    of_label = {p.title: [row.id for row in rows if row.label == p.title] for p in labels}
    side = sides(of_label, 0 if test else bench.held_out, bench.seed)
    found = [Item(row.id, "labelled", labels, row.label, row.text, split=side[row.id], path=row.place) for row in rows]
    found += [Item(row.id, "labelled", labels, row.label, row.text, split="held_out", path=row.place) for row in test]
    found += _to_write(found, labels, bench, options)
    return found + (_to_label([*rows, *test], labels, bench, options) if options.active else [])


def _labels(rows: Sequence[Row], options: Any) -> tuple[Passage, ...]:
    """Every label with its meaning: those of the config, else those of the data."""
    found = options.labels or dict.fromkeys(sorted({row.label for row in rows}), "")
    if len(found) < 2:
        raise InputError(f"{options.data} has only the label {', '.join(found)}. A choice needs two at least.")
    return tuple(Passage(id=digest("label", name), title=name, text=meaning) for name, meaning in found.items())


def _short(rows: Sequence[Row], bench: Any, options: Any) -> list[Row]:
    kept = [row for row in rows if len(row.text) <= options.longest]
    for row in rows:
        if len(row.text) > options.longest:
            bench.drop("a text longer than options.longest", {"place": row.place, "characters": len(row.text)})
    if not kept:
        raise InputError(f"Every text is longer than {options.longest} characters. Raise synthesize.options.longest, and train.max_length with it.")
    return kept


def _not_in(rows: Sequence[Row], others: Sequence[Row], why: str, bench: Any) -> list[Row]:
    known = {row.id for row in others}
    for row in rows:
        if row.id in known:
            bench.drop(why, {"place": row.place, "text": row.text})
    return [row for row in rows if row.id not in known]


def _no_empty_class(rows: Sequence[Row], labels: Sequence[Passage], options: Any) -> None:
    have = {row.label for row in rows}
    empty = [p.title for p in labels if p.title not in have]
    if options.data and empty and not options.per_label:
        raise InputError(
            f"{options.data} holds no text with the label {', '.join(empty)}. Give some, let the teacher write them (synthesize.options.per_label), "
            "or take the label out of synthesize.options.labels: what no example shows cannot be learnt."
        )


def _to_write(found: Sequence[Item], labels: tuple[Passage, ...], bench: Any, options: Any) -> list[Item]:
    """Calls for what a label lacks. Where nothing else is held out, of each label a share of the calls is, and so many more are made."""
    have = Counter(item.label for item in found if item.split == "train")
    share = 0 if any(item.split == "held_out" for item in found) else bench.held_out
    made: dict[str, dict[str, int]] = {}
    for p in labels:
        lack = math.ceil(max(0, options.per_label - have[p.title]) / (1 - share))
        counts = [min(options.together, lack - n) for n in range(0, lack, options.together)]
        made[p.title] = {digest("write", p.title, n): count for n, count in enumerate(counts)}
    side = sides({label: list(calls) for label, calls in made.items()}, share, bench.seed)
    return [Item(i, "written", labels, label, count=n, split=side[i], path="(written)") for label, calls in made.items() for i, n in calls.items()]


def _to_label(known: Sequence[Row], labels: tuple[Passage, ...], bench: Any, options: Any) -> list[Item]:
    """The rows without labels that help most, as the student's scores of the labels tell."""
    if bench.student is None or scorer(bench.student) is None:
        raise ConfigError("synthesize.student must be a model of this machine (run:NAME, nano or a folder): only those tell how sure they are.")
    found = _short(unlabelled(bench.path(options.unlabelled), Fields(options.text), bench), bench, options)
    rows = _not_in(found, known, "a text that has its label already", bench)
    rows = sorted(rows, key=lambda row: (seed_of(bench.seed, "candidate", row.id), row.id))[: options.candidates]
    prompts = [shown(labels, bench.seed, row.text) for row in rows]
    chosen = helpful(rows, asyncio.run(margins(bench.student, rows, prompts)), options.active)
    return [Item(row.id, "active", labels, text=row.text, path=row.place) for row in chosen]
