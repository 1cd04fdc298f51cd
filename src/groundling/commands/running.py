"""The whole way: run the stages, write the report, and show the model at work."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from .. import pipeline
from ..runs import Run, service
from ..sections import GROUNDED
from ..workspace import read_json, write_atomic
from .passages import fewer
from .reporting import write_report
from .verdict import not_better

if TYPE_CHECKING:
    from ..evaluate.scoring import Row


def effective(run: Run) -> str:
    """The whole config as it would be used."""
    data = run.config.model_dump(mode="json")
    return yaml.safe_dump(data, allow_unicode=True, sort_keys=False).rstrip()


def run_stage(run: Run, name: str, redo: bool) -> None:
    """One stage. Under torchrun the first process runs it, and the others take part in its training."""
    from ..train.launch import led

    with led(name) as leads:
        if leads:
            pipeline.run_stages(run, name, name, [name] if redo else [])


def run_all(run: Run, first: str, last: str, redo: list[str]) -> None:
    """Run the stages, write the report, and show the model at work."""
    from ..train.launch import led

    with led("run"):
        pipeline.run_stages(run, first, last, redo)
    if run.mute and pipeline.NAMES.index(last) >= pipeline.NAMES.index("evaluate"):
        run.say(f"\nReport: {write_report(run)}")
    if pipeline.NAMES.index(last) >= pipeline.NAMES.index("evaluate") and not run.mute:
        after_evaluate(run, None)
        where = run.space.root
        if run.config.train.format in GROUNDED:
            show_answers(run)
            run.say(f"\nReport: {where / 'report.html'}\nAsk:    groundling chat {where}\nServe:  groundling serve {where}")
        else:
            run.say(f'\nReport: {where / "report.html"}\nAsk:    groundling predict {where} "some text"')


def after_evaluate(run: Run, json_out: Path | None) -> None:
    """The report, the headline in the terminal, and the scores where they are wanted."""
    write_report(run)
    scores = read_json(run.space.folder("evaluate") / "scores.json")
    if json_out:
        write_atomic(json_out, json.dumps(scores, indent=1).encode())
    run.say(score_table(scores))
    for said in (not_better(run, scores), fewer(run)):
        if said:
            run.say(said)


def score_table(scores: list[dict[str, Any]]) -> str:
    """The main metrics of every model and setting as a small table."""
    shown = ("correct", "f1", "precision_answered", "citation_precision", "abstain_recall", "false_refusal_rate")
    if "correct" not in (measured := [s["metric"] for s in scores]):
        shown = tuple(dict.fromkeys(measured))
    rows = [s for s in scores if s["questions"] == "all" and s["metric"] in shown]
    lines = [f"\n{'model':10s} {'setting':8s} " + " ".join(f"{m[:18]:>18s}" for m in shown)]
    for model, setting in dict.fromkeys((s["model"], s["setting"]) for s in rows):
        cells = {s["metric"]: s for s in rows if (s["model"], s["setting"]) == (model, setting)}
        texts = [_cell(cells.get(m)) for m in shown]
        lines.append(f"{model:10s} {setting:8s} " + " ".join(f"{t:>18s}" for t in texts))
    return "\n".join(lines)


def _cell(score: dict[str, Any] | None) -> str:
    if not score or score["value"] is None:
        return "-"
    span = "" if score["low"] is None else f" [{score['low']:.0%}, {score['high']:.0%}]"
    return f"{score['value']:.0%}{span}"


def show_answers(run: Run) -> None:
    """Answer three questions and abstain on a fourth, as the report's model does: taken from its rows, chosen by what they show."""
    from rich.console import Console

    from ..serve.chat import show
    from ..serve.service import ask

    asked = service(run)
    console = Console()
    chosen = _to_show(run)
    run.say(f"\nSome of its questions ({len(chosen)}), chosen to show citing and abstaining; how often it is right, the scores above say:")
    for row in chosen:
        told = asyncio.run(ask(asked, row.question))
        expected = f"expected: {row.gold[0]}" if row.answerable else "not answered by the documents"
        console.print(f"\n? {row.question}    ({'right' if row.correct else 'wrong'}; {expected})", markup=False, highlight=False)
        show(told.answer, told.sources, console, told.finish)


def _to_show(run: Run) -> list[Row]:
    """Three answerable questions that the tuned model got right with a citation, and one it rightly refused; any of the kind where none was."""
    from ..evaluate.scoring import Row

    setting = f"k={run.config.serve.k}"
    rows = [r for r in run.space.read("evaluate", Row) if r.model == "tuned"]
    rows = [r for r in rows if r.setting == setting] or rows
    answered = sorted(
        (r for r in rows if r.answerable), key=lambda r: (not (r.correct and r.citations and not r.abstained), not r.scores.get("exact_match"))
    )
    refused = sorted((r for r in rows if not r.answerable), key=lambda r: not r.abstained)
    distinct = list({r.document: r for r in reversed(answered[:30])}.values())[::-1]
    return [*distinct[:3], *refused[:1]]
