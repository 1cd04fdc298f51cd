"""Answers to numbers: each metric over each set of questions with its interval, and the tuned model tested against the base model."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from .. import registry, stats
from ..errors import ConfigError
from ..records import Answer, Passage, Quote, Record, Score
from ..sections import GROUNDED
from ..seeds import seed_of
from .cases import Case

if TYPE_CHECKING:
    from numpy import ndarray

HEADLINE = "correct"
HEADLINES = {"labels": "accuracy", "backward": "rouge_l", "instruct": "rouge_l", "step": "f1"}  # of formats that are not grounded
Parts = tuple[float, ...]


class Row(Record):
    """One question in one setting, answered by one model: everything that the scores were made from.

    `scores` holds what each metric says of this question (None: it is not in the metric's denominator; a list: the parts of a ratio).
    `cut`: the reply reached `max_tokens`.
    """

    model: str
    setting: str
    id: str
    question: str
    gold: list[str]
    answerable: bool
    seen: bool | None
    passages: list[Passage]
    relevant: list[int] | None
    turns: list[str]
    answer: str
    abstained: bool
    quotes: list[Quote]
    citations: list[int]
    invalid: list[str]
    cut: bool
    correct: bool
    scores: dict[str, float | list[float] | None]
    document: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0


class Comparison(Record):
    """The tuned model against the base model on the same questions. `low`…`high` is the 95 % interval of the difference."""

    setting: str
    metric: str
    base: float | None
    tuned: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    method: str


class Replied(NamedTuple):
    """A case with its answer; None where no reply came."""

    case: Case
    answer: Answer | None
    cut: bool = False


class Metric(NamedTuple):
    """A metric's file, loaded."""

    name: str
    module: ModuleType

    @property
    def is_mean(self) -> bool:
        return not hasattr(self.module, "summarise")

    @property
    def combine(self) -> stats.Combine:
        return stats.mean if self.is_mean else self.module.summarise

    def score(self, case: Case, answer: Answer) -> float | Parts | None:
        """What the metric says of one question."""
        return self.module.score(case, answer)

    def parts(self, one: Replied) -> Parts | None:
        """What one question adds to the sums; None where it is outside the denominator, or unscored."""
        value = self.score(one.case, one.answer) if one.answer is not None else None
        if value is None:
            return None
        return tuple(value) if isinstance(value, tuple) else (float(value), 1.0)

    def unscored(self, replied: Sequence[Replied]) -> int:
        """Questions of the denominator without a reply. An empty answer is put to the metric only to learn whether they belong to it."""
        return sum(r.answer is None and self.score(r.case, _empty(r.case)) is not None for r in replied)


def headline(fmt: str) -> str:
    """The metric that speaks for a format."""
    return HEADLINES.get(fmt, HEADLINE)


def metrics(names: Sequence[str], fmt: str = GROUNDED[0]) -> list[Metric]:
    """The metrics of these names (none: all that measure the format), its headline first and each once.

    Raises ConfigError for an unknown one, and for one that says nothing of the format.
    """
    fit = [name for name in registry.names("metric") if fmt in getattr(registry.load("metric", name), "FORMATS", GROUNDED)]
    for name in names:
        if registry.load("metric", name) and name not in fit:
            raise ConfigError(f"evaluate.metrics: {name} says nothing of models in the format {fmt}. Those that do: {', '.join(fit)}.")
    return [Metric(name, registry.load("metric", name)) for name in dict.fromkeys([headline(fmt), *(names or fit)])]


def _empty(case: Case) -> Answer:
    return Answer(question=case.asked.question, passages=case.asked.passages, turns=[""], text="", abstained=False, quotes=[], citations=[])


def _matrix(rows: Sequence[Parts]) -> ndarray:
    import numpy as np

    return np.asarray(rows, dtype=float).reshape(len(rows), -1)


def _shares(rows: Sequence[Parts]) -> bool:
    return all(len(r) == 2 and r[1] == 1 and r[0] in (0, 1) for r in rows)


def score(metric: Metric, replied: Sequence[Replied], where: tuple[str, str, str], seed: int) -> Score:
    """One metric over some questions. `where`: model, setting, and which questions they are (all, seen, unseen)."""
    model, setting, questions = where
    rows = [p for r in replied if (p := metric.parts(r)) is not None]
    value = stats.combined(_matrix(rows), metric.combine) if rows else None
    low = high = None
    if metric.is_mean and _shares(rows):
        low, high = stats.wilson(sum(r[0] for r in rows), len(rows))
    elif value is not None:
        low, high = stats.bootstrap(_matrix(rows), metric.combine, seed_of(seed, "interval", metric.name, *where))
        if low == high and value in (0, 1):  # every draw is the same: the bootstrap would claim certainty from a few questions
            low, high = stats.wilson(value * len(rows), len(rows))
    return Score(
        model=model, setting=setting, metric=metric.name, value=value, low=low, high=high, n=len(rows),
        unscored=metric.unscored(replied), questions=questions,
    )  # fmt: skip


def groups(replied: Sequence[Replied]) -> dict[str, list[Replied]]:
    """All questions, those on documents that were trained on, and those on documents that were not."""
    seen = {"seen": True, "unseen": False}
    parts = {name: [r for r in replied if r.case.seen is value] for name, value in seen.items()}
    return {"all": list(replied), **{name: found for name, found in parts.items() if found}}


def compare(metric: Metric, base: Sequence[Replied], tuned: Sequence[Replied], seed: int) -> Comparison:
    """The two models on the questions that both replied to and that are in the denominator of at least one."""
    setting = tuned[0].case.setting
    pairs = [(b, t) for b, t in zip(base, tuned, strict=True) if b.answer is not None and t.answer is not None]
    both = [(p, q) for b, t in pairs if ((p := metric.parts(b)), (q := metric.parts(t))) != (None, None)]
    return tested(metric, setting, both, seed)


def tested(metric: Metric, setting: str, both: Sequence[tuple[Parts | None, Parts | None]], seed: int) -> Comparison:
    """Two models on the same questions, each with what the metric says of both; None where a question is outside a model's denominator."""
    common = {"setting": setting, "metric": metric.name, "n": len(both)}
    if not both:
        return Comparison(base=None, tuned=None, difference=None, low=None, high=None, p=None, method="none", **common)
    width = max(len(p or q or ()) for p, q in both)
    first, second = (_matrix([pair[n] or (0.0,) * width for pair in both]) for n in (0, 1))
    a, b = stats.combined(first, metric.combine), stats.combined(second, metric.combine)
    if a is None or b is None:
        return Comparison(base=a, tuned=b, difference=None, low=None, high=None, p=None, method="none", **common)
    low, high = stats.difference_interval(first, second, metric.combine, seed_of(seed, "difference", setting, metric.name))
    p, method = _test(metric, first, second, seed_of(seed, "test", setting, metric.name))
    return Comparison(base=a, tuned=b, difference=b - a, low=low, high=high, p=p, method=method, **common)


def _test(metric: Metric, first: ndarray, second: ndarray, seed: int) -> tuple[float | None, str]:
    same = metric.is_mean and bool((first[:, 1] == 1).all() and (second[:, 1] == 1).all())
    if same and _shares([tuple(r) for r in [*first, *second]]):
        gap = second[:, 0] - first[:, 0]
        return stats.mcnemar(int((gap < 0).sum()), int((gap > 0).sum())), "exact McNemar"
    return stats.swap_test(first, second, metric.combine, seed), "sign-flip permutation" if same else "swap permutation"


def row(model: str, one: Replied, used: Sequence[Metric]) -> Row:
    """What is kept of an answered question."""
    case, answer = one.case, one.answer
    assert answer is not None
    scores = {m.name: list(v) if isinstance(v := m.score(case, answer), tuple) else v for m in used}
    return Row(
        model=model, setting=case.setting, id=case.question.id, question=case.question.question, gold=case.question.answers,
        answerable=case.question.answerable, document=case.question.document, seen=case.seen, passages=answer.passages,
        relevant=case.relevant, turns=answer.turns, answer=answer.text, abstained=answer.abstained, quotes=answer.quotes,
        citations=answer.citations, invalid=answer.invalid, cut=one.cut, correct=scores[used[0].name] == 1, scores=scores,
        tokens_in=answer.tokens_in, tokens_out=answer.tokens_out,
    )  # fmt: skip
