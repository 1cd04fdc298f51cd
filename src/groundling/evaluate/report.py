"""report.html: what came out, how sure that is, and the answers to read. One file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..records import Score
from ..workspace import write_atomic
from . import charts, curves, view
from .beside import Table
from .scoring import HEADLINE, Comparison, Row


class ReportData(NamedTuple):
    """All that the report shows.

    `notes` are evaluate's own (record.json of 7-scores); `records` the record.json of each stage, `failed` the lines of its
    failed.jsonl, by stage; `trainings` how its training and those of the rounds before went; `origin` says in a sentence how the
    questions came about; `models`
    describes base and tuned; `search` is the table of trials of a search over settings, empty where there was none; `beside` are the rounds
    up to this one, `replaced` which model was taken after each that could replace its parent. `headline`: where not the scores tell what came out.
    `advice`: a setting that the scores speak against.
    """

    name: str
    scores: Sequence[Score]
    tests: Sequence[Comparison]
    rows: Sequence[Row]
    notes: Mapping[str, Any]
    origin: str = ""
    records: Mapping[str, Mapping[str, Any]] = {}
    failed: Mapping[str, Sequence[Mapping[str, Any]]] = {}
    trainings: Sequence[curves.Training] = ()
    models: Mapping[str, str] = {}
    beside: Sequence[Table] = ()
    replaced: Sequence[str] = ()
    headline: str = ""
    advice: str = ""
    search: Mapping[str, Any] = {}


def _plots(data: ReportData, order: list[str]) -> list[dict[str, str]]:
    wanted = {
        HEADLINE: ("Right outcome", "of all questions"),
        "abstain_recall": ("Abstains when it should", "of the unanswerable questions"),
        "false_refusal_rate": ("Refuses when it should not", "of the answerable ones; lower is better"),
    }
    found = []
    for metric, (title, note) in wanted.items():
        points = [
            charts.Point(s.model, s.setting, s.value, s.low, s.high)
            for s in data.scores
            if s.metric == metric and s.questions == "all" and s.value is not None
        ]
        if points:
            shown = [o for o in order if any(p.where == o for p in points)]
            found.append({"title": title, "note": note, "svg": charts.shares(points, shown, f"{title}, by setting, with 95 % intervals")})
    return found


def render(data: ReportData) -> str:
    """The page as a string."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    env = Environment(loader=PackageLoader("groundling.evaluate", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                      lstrip_blocks=True)  # fmt: skip
    env.filters |= {
        "pct": view.percent,
        "span": view.interval,
        "p": view.p_value,
        "seconds": view.seconds,
        "signed": view.signed,
        "name": view.name,
    }
    order = view.order(data.scores)
    grounded = view.is_grounded(data.notes)
    plots = [{**p, "svg": Markup(p["svg"])} for p in _plots(data, order)] if grounded else []
    trained = [(one, [{**p, "svg": Markup(p["svg"])} for p in found]) for one in data.trainings if (found := curves.plots(one))]
    return env.get_template("report.html.jinja").render(
        data=data, headline=data.headline or view.headline(data.scores, data.tests, data.notes),
        tables=view.tables(data.scores, data.tests, data.notes),
        main=view.main(data.scores, data.tests, data.notes),
        plots=plots, groups=view.seen(data.scores, data.notes), retrieval=view.retrieval(data.scores), trained=trained,
        stages=view.stages(data.records, data.failed), worst=view.worst(data.rows, data.notes), prompt=data.notes.get("prompt"),
        labels=view.labels(data.scores), grounded=grounded, confusion=data.notes.get("confusion"),
    )  # fmt: skip


def write_report(path: Path, data: ReportData) -> None:
    """Write report.html in one piece. Raises MachineError where it cannot be written."""
    write_atomic(path, render(data).encode())
