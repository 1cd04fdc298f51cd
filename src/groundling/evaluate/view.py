"""Scores, tests and rows as what the report's page shows: sentences, tables, marked passages. No HTML here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .. import registry
from ..answer import find
from ..records import Score
from ..sections import GROUNDED
from .scoring import HEADLINE, Comparison, Row

WORST = 20
# Headlines that count right and wrong, in words; of others no answer is plainly wrong.
_DID = {HEADLINE: ("did the right thing on", "on", "questions"), "accuracy": ("chose the right label for", "for", "texts")}
_MAIN = ("correct", "precision_answered", "citation_precision", "abstain_recall", "false_refusal_rate", "accuracy", "macro_f1")
LISTED = 200  # failures of a stage that are listed; the rest is counted
Notes = Mapping[str, Any]


class Span(NamedTuple):
    """A piece of a passage, quoted by the answer or not."""

    text: str
    quoted: bool


class Cell(NamedTuple):
    """A metric of one setting (or one group of questions): base, tuned, and the test between them."""

    metric: str
    meaning: str
    base: Score | None
    tuned: Score | None
    test: Comparison | None


def percent(value: float | None) -> str:
    """`78.0 %`, or a dash where there is no value."""
    return "–" if value is None else f"{100 * value:.1f} %"


def interval(low: float | None, high: float | None) -> str:
    """`69.2–85.0`, empty where there is no interval."""
    return "" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f}"


def signed(value: float | None) -> str:
    """A difference of shares in points, with its sign: `+9.4`, `−1.0`."""
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def name(metric: str) -> str:
    """A metric's name for a reader."""
    words = {"f1": "token F1", "rouge_l": "ROUGE-L", "citation_f1": "citation F1", "macro_f1": "macro F1", "bleu": "BLEU"}
    return words.get(metric, metric.replace("_", " "))


def p_value(p: float | None) -> str:
    """`p = 0.031`, `p < 0.001`, or a dash."""
    return "–" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def seconds(value: float | None) -> str:
    """A duration for a reader."""
    if value is None:
        return "–"
    return f"{value:.1f} s" if value < 60 else f"{int(value // 60)} min {int(value % 60)} s" if value < 3600 else f"{value / 3600:.1f} h"


def order(scores: Sequence[Score]) -> list[str]:
    """The settings in the order in which they were asked."""
    return list(dict.fromkeys(s.setting for s in scores if s.model != "retrieval")) or list(dict.fromkeys(s.setting for s in scores))


def labels(scores: Sequence[Score]) -> list[str]:
    """The models that were scored, base first."""
    found = {s.model for s in scores}
    return [m for m in ("base", "tuned") if m in found]


def _middle(notes: Notes, scores: Sequence[Score]) -> str:
    named = (notes.get("headline") or {}).get("setting")
    settings = order(scores)
    return named or (settings[len(settings) // 2] if settings else "")


def _one(scores: Sequence[Score], model: str, setting: str, metric: str, questions: str = "all") -> Score | None:
    return next((s for s in scores if (s.model, s.setting, s.metric, s.questions) == (model, setting, metric, questions)), None)


def is_grounded(notes: Notes) -> bool:
    """Whether the models answer from passages, which may be right or wrong ones, and may abstain."""
    return (notes.get("headline") or {}).get("format", GROUNDED[0]) in GROUNDED


def asked_with(setting: str, notes: Notes | None = None) -> str:
    """A setting in words."""
    if notes and not is_grounded(notes):
        return "with all labels in the prompt" if notes["headline"]["format"] == "labels" else "on the held-out examples"
    if setting == "none":
        return "without any passage"
    if setting == "given":
        return "with the right passage given"
    k = setting.removeprefix("k=")
    return f"with {k} retrieved passage{'' if k == '1' else 's'}"


def headline(scores: Sequence[Score], tests: Sequence[Comparison], notes: Notes) -> str:
    """What came out, in a sentence or two: both models, their intervals, the difference and its p."""
    setting, metric = _middle(notes, scores), (notes.get("headline") or {}).get("metric", HEADLINE)
    tuned, base = (_one(scores, m, setting, metric) for m in ("tuned", "base"))
    if tuned is None or tuned.value is None:
        return "The tuned model was not scored."
    did, to, what = _DID.get(metric, (f"reached a {name(metric)} of", "a", "examples"))
    of = "of" if metric in _DID else "over"
    said = f"{asked_with(setting, notes).capitalize()}, the tuned model {did} {percent(tuned.value)} {of} {tuned.n} {what}"
    said += f" (95 % interval {interval(tuned.low, tuned.high)} %)"
    if base is None or base.value is None:
        return f"{said}. No base model was scored beside it."
    said += f", the base model {to} {percent(base.value)} ({interval(base.low, base.high)} %)"
    test = next((t for t in tests if (t.setting, t.metric) == (setting, metric)), None)
    if test is None or test.p is None or test.difference is None:
        return f"{said}. The two were not tested against each other."
    gap = f"{signed(test.difference)} points ({signed(test.low)} to {signed(test.high)}), {p_value(test.p)}"
    if test.p >= 0.05:
        return f"{said}. On these {what} the two cannot be told apart: {gap}."
    return f"{said}: a difference of {gap}."


def meaning(metric: str) -> str:
    """What a metric measures: the first paragraph of its file."""
    return registry.summary("metric", metric) if metric in registry.names("metric") else ""


def _cells(scores: Sequence[Score], tests: Sequence[Comparison], setting: str, group: str) -> list[Cell]:
    metrics = dict.fromkeys(s.metric for s in scores if s.setting == setting and s.model != "retrieval")
    by_metric = {t.metric: t for t in tests if t.setting == setting} if group == "all" else {}
    both = {m: [_one(scores, model, setting, m, group) for model in ("base", "tuned")] for m in metrics}
    return [Cell(m, meaning(m), base, tuned, by_metric.get(m)) for m, (base, tuned) in both.items()]


def tables(scores: Sequence[Score], tests: Sequence[Comparison], notes: Notes) -> list[dict[str, Any]]:
    """A table for each setting, the headline's first."""
    first = _middle(notes, scores)
    settings = sorted(order(scores), key=lambda s: s != first)
    return [{"setting": s, "words": asked_with(s, notes), "cells": _cells(scores, tests, s, "all")} for s in settings]


def main(scores: Sequence[Score], tests: Sequence[Comparison], notes: Notes) -> dict[str, Any]:
    """The few numbers to read first, in the headline's setting; empty where nothing was scored."""
    setting, first = _middle(notes, scores), (notes.get("headline") or {}).get("metric", HEADLINE)
    cells = [c for c in _cells(scores, tests, setting, "all") if c.metric in (first, *_MAIN)]
    return {"words": asked_with(setting, notes), "cells": cells} if cells else {}


def seen(scores: Sequence[Score], notes: Notes) -> list[dict[str, Any]]:
    """The headline's setting for questions on documents that were trained on, and on ones that were not. Empty where neither is known."""
    setting = _middle(notes, scores)
    found = []
    for group, title in (("seen", "Documents it was trained on"), ("unseen", "Documents it has never seen")):
        cells = [c for c in _cells(scores, (), setting, group) if c.tuned and c.tuned.n]
        if cells:
            found.append({"title": title, "words": asked_with(setting, notes), "cells": cells})
    return found


def retrieval(scores: Sequence[Score]) -> list[Score]:
    """The hit rate of each k."""
    return [s for s in scores if s.model == "retrieval" and s.questions == "all"]


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Notes as pairs of a name and a short text."""
    if isinstance(value, Mapping):
        return [pair for key, inner in value.items() for pair in _flat(inner, f"{name} · {key}" if name else str(key))]
    if isinstance(value, float):
        return [(name, f"{value:.4g}")]
    if isinstance(value, list):
        plain = 0 < len(value) <= 12 and not any(isinstance(item, Mapping | list) for item in value)
        return [(name, ", ".join(map(str, value)))] if plain else []
    return [] if value in (None, "") else [(name, _word(value))]


def _word(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def stages(records: Mapping[str, Mapping[str, Any]], failed: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Each stage: in = kept + dropped + failed with the reasons, what was noted, how long it took, what failed."""
    found = []
    for name, record in records.items():
        counts = record.get("counts") or {}
        notes = {k: v for k, v in (record.get("notes") or {}).items() if k not in ("prompt", "headline", "losses", "confusion")}
        found.append({
            "name": name, "in": counts.get("in", 0), "kept": counts.get("kept", 0), "counted": bool(counts.get("in")),
            "dropped": counts.get("dropped") or {},
            "failed": counts.get("failed") or {}, "seconds": record.get("seconds"), "notes": _flat(notes),
            "more": max(0, len(failed.get(name, ())) - LISTED),
            "failures": [_failure(line) for line in failed.get(name, ())[:LISTED]],
        })  # fmt: skip
    return found


def _failure(line: Mapping[str, Any]) -> dict[str, str]:
    return {"what": _short(line.get("what")), "reason": line.get("reason", ""), "detail": line.get("detail", "")}


def _short(what: Any) -> str:
    text = ", ".join(f"{k} {v}" for k, v in what.items()) if isinstance(what, Mapping) else str(what)
    return text if len(text) <= 200 else f"{text[:200]} …"


def marked(text: str, quotes: Sequence[str]) -> list[Span]:
    """A passage cut where quotes begin and end. A quote that is not in the passage marks nothing."""
    inside = [False] * len(text)
    for span in (find(q, text) for q in quotes):
        if span:
            inside[span[0] : span[1]] = [True] * (span[1] - span[0])
    edges = [0, *(n for n in range(1, len(text)) if inside[n] != inside[n - 1]), len(text)]
    return [Span(text[a:b], inside[a]) for a, b in zip(edges, edges[1:], strict=False) if a < b]


def _fault(row: Row) -> tuple[int, str]:
    """How bad a wrong outcome is, worst first, and its name."""
    if not row.answerable:
        return 0, "answered although nothing answers it"
    if not row.abstained:
        return 1, "wrong answer"
    if row.relevant is None:
        return 4, "refused; which passage is right is unknown"
    return (2, "refused although the passage was shown") if row.relevant else (3, "refused; the right passage was not shown")


def worst(rows: Sequence[Row], notes: Notes) -> dict[str, Any]:
    """At most twenty wrong outcomes of the tuned model in the headline's setting, the worst kind first, and the count of each kind.

    Empty where the headline does not tell right from wrong.
    """
    if (notes.get("headline") or {}).get("metric", HEADLINE) not in _DID:
        return {}
    setting = (notes.get("headline") or {}).get("setting") or next((r.setting for r in rows), "")
    wrong = sorted((r for r in rows if r.model == "tuned" and r.setting == setting and not r.correct), key=lambda r: _fault(r)[0])
    kinds: dict[str, int] = {}
    for row in wrong:
        kinds[_fault(row)[1]] = kinds.get(_fault(row)[1], 0) + 1
    return {"total": len(wrong), "kinds": kinds, "shown": [_read(r) for r in _spread(wrong)], "words": asked_with(setting, notes)}


def _spread(wrong: Sequence[Row]) -> list[Row]:
    """Some of every kind: a kind that fills the list would hide the others."""
    kinds = [[r for r in wrong if _fault(r)[0] == kind] for kind in range(5)]
    turns = [kind[n] for n in range(WORST) for kind in kinds if n < len(kind)][:WORST]
    return sorted(turns, key=lambda r: _fault(r)[0])


def _read(row: Row) -> dict[str, Any]:
    passages = [
        {
            "number": n, "title": p.title, "relevant": n in (row.relevant or []), "cited": n in row.citations,
            "spans": marked(p.text, [q.text for q in row.quotes if q.passage == n]),
        }
        for n, p in enumerate(row.passages)
    ]  # fmt: skip
    return {"row": row, "fault": _fault(row)[1], "reply": "\n⁂\n".join(row.turns), "passages": passages}
