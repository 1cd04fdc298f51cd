"""Trained models of several runs side by side: each one's scores at the same settings, and a paired test of each against the first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .. import registry
from ..records import Score
from .run import BASE, TUNED
from .scoring import Comparison, Metric, Parts, Row, tested

# The metrics of a table that has to fit into a terminal, where they were scored; the headline comes first whatever it is.
SHOWN = ("precision_answered", "refusal_rate", "f1", "citation_precision", "abstain_recall", "false_refusal_rate", "macro_f1", "bleu")


class Side(NamedTuple):
    """What one run's evaluation left. `headline` is its setting and its metric."""

    label: str
    scores: Sequence[Score]
    rows: Sequence[Row]
    headline: tuple[str, str]


class Line(NamedTuple):
    """One model in one setting: its scores by metric, and each tested against the first run's model; or what a run's model was trained from."""

    label: str
    scores: dict[str, Score]
    tests: dict[str, Comparison]
    base: bool = False


class Table(NamedTuple):
    """All models in one setting. `questions` are those that all of them were asked."""

    setting: str
    metrics: list[str]
    lines: list[Line]
    questions: int


def tables(sides: Sequence[Side], seed: int) -> list[Table]:
    """A table for each setting in which all runs were scored, the first one's headline setting first."""
    settings = [s for s in dict.fromkeys(score.setting for score in sides[0].scores if score.model == TUNED) if all(_has(side, s) for side in sides)]
    settings.sort(key=lambda setting: setting != sides[0].headline[0])
    return [_table(sides, setting, seed) for setting in settings]


def _has(side: Side, setting: str) -> bool:
    return any(score.setting == setting and score.model == TUNED for score in side.scores)


def _table(sides: Sequence[Side], setting: str, seed: int) -> Table:
    first = sides[0]
    scored = {s.metric for s in first.scores if s.setting == setting and s.model == TUNED and s.value is not None}
    metrics = [name for name in dict.fromkeys([first.headline[1], *SHOWN]) if name in scored]
    lines = []
    for side in sides:
        tests = {} if side is first else {name: compared(first, side, setting, name, seed) for name in metrics}
        lines.append(Line(side.label, _scores(side, TUNED, setting, metrics), tests))
    lines = [*_bases(sides, setting, metrics, [line.scores for line in lines]), *lines]
    asked = [{row.id for row in side.rows if row.setting == setting and row.model == TUNED} for side in sides]
    return Table(setting, metrics, lines, len(set.intersection(*asked)))


def _bases(sides: Sequence[Side], setting: str, metrics: Sequence[str], shown: Sequence[dict[str, Score]]) -> list[Line]:
    """What the runs were trained from: one line where that is the same. A later run's base that scored as an earlier run's model is that model."""

    def values(scores: dict[str, Score]) -> tuple[float | None, ...]:
        return tuple(scores[name].value if name in scores else None for name in metrics)

    seen, found = set[tuple[float | None, ...]](), list[Line]()
    for side, trained in zip(sides, shown, strict=True):
        scores = _scores(side, BASE, setting, metrics)
        if scores and values(scores) not in seen:
            found.append(Line(f"{BASE} of {side.label}", scores, {}, base=True))
        seen |= {values(scores), values(trained)}
    return found if len(found) > 1 else [line._replace(label=BASE) for line in found]


def _scores(side: Side, model: str, setting: str, metrics: Sequence[str]) -> dict[str, Score]:
    found = [s for s in side.scores if (s.model, s.setting, s.questions) == (model, setting, "all")]
    return {s.metric: s for s in found if s.metric in metrics}


def compared(first: Side, second: Side, setting: str, name: str, seed: int) -> Comparison:
    """The second run's model against the first's on the questions that both were asked, paired by their ids."""
    metric = Metric(name, registry.load("metric", name))
    before, after = (
        {row.id: _parts(row, name) for row in side.rows if row.setting == setting and row.model == TUNED} for side in (first, second)
    )  # fmt: skip
    both = [(before[i], after[i]) for i in before if i in after and (before[i], after[i]) != (None, None)]
    return tested(metric, setting, both, seed)


def _parts(row: Row, name: str) -> Parts | None:
    value = row.scores.get(name)
    if value is None:
        return None
    return tuple(value) if isinstance(value, list) else (float(value), 1.0)


class Verdict(NamedTuple):
    """Whether a model is better than the one it came from."""

    better: bool
    test: Comparison


def better(parent: Side, child: Side, seed: int) -> Verdict:
    """By the headline, on the questions that both were asked: the higher value wins, and on a tie the parent stays.

    That is a choice between two models, not a claim: the higher value is the likelier one to be better, however small the difference. How sure
    it is says the paired test, which is kept with it.
    """
    setting, metric = parent.headline
    test = compared(parent, child, setting, metric, seed)
    return Verdict(test.difference is not None and test.difference > 0, test)
