"""Trained models of several runs side by side: the terminal's table, and what the report of a round shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import rounds
from ..errors import ConfigError, InputError
from ..runs import Run, Say, open_run

if TYPE_CHECKING:
    from ..evaluate.beside import Side, Table
    from ..evaluate.scoring import Comparison
    from ..records import Score


def side_of(run: Run) -> Side | None:
    """What the run's evaluation left; None where it has none."""
    from ..evaluate.beside import Side
    from ..evaluate.scoring import HEADLINE, Row
    from ..records import Score

    record = run.space.record("evaluate")
    if record is None:
        return None
    told = record["notes"]["headline"]
    scores = run.space.table("scores", Score)
    return Side(run.space.root.name, scores, list(run.space.read("evaluate", Row)), (told["setting"], told.get("metric", HEADLINE)))


def compare(paths: Sequence[Path], as_json: bool, say: Say) -> None:
    """Print the models of several runs at the same settings, each tested against the first. Raises ConfigError or InputError."""
    from ..evaluate.beside import tables

    if len(paths) < 2:
        raise ConfigError("compare takes two runs or more: groundling compare runs/handbook runs/handbook-2.")
    opened = [open_run(path, None, [], say) for path in paths]
    sides = []
    for run in opened:
        side = side_of(run)
        if side is None:
            raise InputError(f"{run.space.root} has no scores yet. Run `groundling evaluate` on it first.")
        sides.append(side)
    found = tables(_told_apart(sides), opened[0].config.seed)
    if not found:
        raise InputError("These runs were scored at no setting in common. Set the same evaluate.k, without and given, and evaluate them again.")
    say(json.dumps(_plain(found), ensure_ascii=False, indent=1) if as_json else "\n\n".join(text(table) for table in found))


def _told_apart(sides: Sequence[Side]) -> list[Side]:
    """With a number behind each label that two folders share."""
    labels = [side.label for side in sides]
    return [side._replace(label=f"{side.label} ({n})") if labels.count(side.label) > 1 else side for n, side in enumerate(sides, 1)]


def _plain(found: Sequence[Table]) -> list[dict[str, Any]]:
    import msgspec

    plain = msgspec.to_builtins
    return [
        {
            "setting": table.setting, "questions": table.questions,
            "models": [{"model": line.label, "scores": plain(line.scores), "tests": plain(line.tests)} for line in table.lines],
        }
        for table in found
    ]  # fmt: skip


def text(table: Table) -> str:
    """One setting for the terminal: the models with their 95 % intervals, then the differences from the first run with their p."""
    width = max(len(line.label) for line in table.lines)
    first = next(line.label for line in table.lines if not line.base)
    head = f"{'':{width}s} " + " ".join(f"{m[:18]:>18s}" for m in table.metrics)
    scores = [f"{line.label:{width}s} " + " ".join(f"{_value(line.scores.get(m)):>18s}" for m in table.metrics) for line in table.lines]
    tests = [
        f"{line.label:{width}s} " + " ".join(f"{_gap(line.tests.get(m)):>18s}" for m in table.metrics) for line in table.lines if line.tests
    ]  # fmt: skip
    return "\n".join([f"{table.setting}: {table.questions} questions that all were asked", head, *scores, f"points above {first}, and p", *tests])


def _value(score: Score | None) -> str:
    if score is None or score.value is None:
        return "-"
    return f"{score.value:.1%}" + ("" if score.low is None else f" [{score.low:.0%}, {score.high:.0%}]")


def _gap(test: Comparison | None) -> str:
    if test is None or test.difference is None:
        return "-"
    return f"{100 * test.difference:+.1f}" + ("" if test.p is None else " p<0.001" if test.p < 0.001 else f" p={test.p:.3f}")


def in_report(run: Run) -> tuple[list[Table], list[str]]:
    """The tables of the rounds up to this run, and which model was taken after each `if_better`. Empty where there are no rounds."""
    from ..evaluate.beside import tables

    names = run.project.rounds[: run.project.rounds.index(run.project.name) + 1] if run.project.name in run.project.rounds else ()
    others = [open_run(run.beside / name, None, [], run.say) for name in names if (run.beside / name / "run.json").is_file()]
    sides = [side for other in others if (side := side_of(other))]
    told = [said(found) for other in others if (found := rounds.decided(other))]
    return (tables(sides, run.config.seed) if len(sides) > 1 else []), told


def said(decision: dict[str, Any]) -> str:
    """A decision in a sentence."""
    took = f"replaces {decision['parent']}" if decision["better"] else f"does not replace {decision['parent']}, which later rounds go on from"
    p = "" if decision["p"] is None else f", p = {decision['p']:.3f}"
    values = f"{_share(decision['value'])} against {_share(decision['parent_value'])}"
    return f"{decision['round']} {took}: {decision['metric']} at {decision['setting']} {values} on {decision['questions']} questions{p}."


def _share(value: float | None) -> str:
    return "no value" if value is None else f"{value:.1%}"
