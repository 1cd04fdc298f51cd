"""All rounds of a config, one after the other: run, told where they stand, and which model the next one goes on from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import pipeline, rounds
from ..errors import ConfigError, InputError, StaleError, UserError
from ..llm.weights import RUN
from ..registry import nearest
from ..runs import Run, open_run
from ..sections import GROUNDED
from ..verify import every_round
from ..workspace import FOLDERS, read_json
from .comparing import in_report, said, side_of, text
from .looking import EVERY
from .passages import fewer
from .reporting import write_report
from .running import effective as of_one
from .running import score_table, show_answers


class Wanted(NamedTuple):
    """What the command line asks for. `only`: one round; empty: all."""

    only: str = ""
    first: str = pipeline.NAMES[0]
    last: str = pipeline.NAMES[-1]
    redo: Sequence[str] = ()


def run_rounds(first: Run, wanted: Wanted) -> None:
    """Run every round that is not done, in order. All configs are checked before the first begins.

    Raises ConfigError for a round that is not there, and under torchrun.
    """
    from ..train.launch import led

    with led("run"):
        _every(first, wanted)


def _every(first: Run, wanted: Wanted) -> None:
    names = first.project.rounds if first.config.rounds else ()  # a run's folder knows its rounds' names, not their configs
    if wanted.only and wanted.only not in names:
        told = nearest(wanted.only, list(names)) if names else " The config has no rounds: see docs/rounds.md, and name the project, not a run."
        raise ConfigError(f'There is no round "{wanted.only}".{told}')
    every_round(first, wanted.last in pipeline.NAMES[pipeline.NAMES.index("train") :], fetch=True)
    for number, name in enumerate(names):
        if not wanted.only or wanted.only == name:
            every = rounds.runs(first)  # opened only now: what the rounds before it came to shapes its config
            run = every[number]
            _decided(first, run, every[:number])
            first.say(f"\n── {name}: round {number + 1} of {len(names)}")
            _one(first, run, wanted)


def _decided(first: Run, run: Run, before: Sequence[Run]) -> None:
    """Refuse to go on from a round of which it is not known whether it replaces its parent."""
    models = {value for _, value in rounds.named(run.config)}
    for other in before:
        name = other.project.name
        if RUN + name in models and rounds.rule(first.project, name) == "if_better" and rounds.decided(other) is None:
            raise InputError(
                f"Round {run.project.name} goes on from {name}, which replaces its parent only if it is better, and its model was not compared yet. "
                f"Run that round to the end first: --round {name}."
            )


def effective(first: Run, only: str = "") -> str:
    """The whole config as it would be used; of every round, or of one."""
    if not first.config.rounds:
        return of_one(first)
    chosen = [run for run in rounds.runs(first) if only in ("", run.project.name)]
    return "\n".join(f"# {run.project.name}\n{of_one(run)}" for run in chosen)


def _one(first: Run, run: Run, wanted: Wanted) -> None:
    """One round: its stages, the choice between it and its parent, its report."""
    for setting, value in rounds.named(run.config):
        first.say(f"   {setting}: {value}")
    try:
        pipeline.run_stages(run, wanted.first, wanted.last, wanted.redo)
    except StaleError as error:
        raise StaleError(f"Round {run.project.name}: {error} For this round alone: --round {run.project.name}.") from None
    if run.mute and wanted.last == pipeline.NAMES[-1]:
        run.say(f"\nReport: {write_report(run)}")
    if run.space.record("evaluate") is None or wanted.last != pipeline.NAMES[-1]:
        return
    decision = decision_of(run) if rounds.rule(first.project, run.project.name) == "if_better" else None
    rounds.decide(run, decision)
    if decision:
        first.say(f"   {said(decision)}")
    write_report(run)
    _tell(run)


def _tell(run: Run) -> None:
    """The scores in the terminal: the run's own, and from the second round on all rounds side by side."""
    found, _ = in_report(run)
    if found:
        run.say(f"\n{text(found[0])}")
    else:
        run.say(score_table(read_json(run.space.folder("evaluate") / "scores.json")))
    if said_so := fewer(run):
        run.say(said_so)
    if run.project.name == run.project.rounds[-1] and run.config.train.format in GROUNDED:
        show_answers(run)
    run.say(f"\nReport: {run.space.root / 'report.html'}")


def decision_of(run: Run) -> dict[str, Any]:
    """Whether a round's model is better than its parent's, by their scores. Raises InputError where one of them has none."""
    from ..evaluate.beside import better

    name = rounds.parent(run)
    parent, child = side_of(open_run(run.beside / name, None, [], run.say)), side_of(run)
    if parent is None or child is None:
        raise InputError(
            f"replace: if_better of {run.project.name} needs the scores of {name}, which was not evaluated. Evaluate it, or take it out."
        )
    verdict = better(parent, child, run.config.seed)
    test = verdict.test
    return {
        "round": run.project.name, "parent": name, "better": verdict.better, "setting": test.setting, "metric": test.metric, "value": test.tuned,
        "parent_value": test.base, "difference": test.difference, "low": test.low, "high": test.high, "p": test.p, "method": test.method,
        "questions": test.n, "model": (run.space.record("train") or {}).get("fingerprint"),
        "rule": "the higher value on the same questions; on a tie the parent stays",
    }  # fmt: skip


def states(run: Run, waiting: Sequence[str]) -> list[pipeline.State]:
    """Where a round's stages stand. One that reads a run which is itself not done, or the output of one that does, is stale with it."""
    try:
        found = pipeline.states(run)
    except UserError:
        awaited = [value for _, value in rounds.named(run.config) if value.removeprefix(RUN) in waiting]
        if not awaited:
            raise
        records = {name: run.space.record(name) for name in pipeline.NAMES}
        return [pipeline.State(name, "stale" if record else "missing", f"waits for {awaited[0]}", record) for name, record in records.items()]
    moved = {setting.split(".")[0]: value for setting, value in rounds.named(run.config) if value.removeprefix(RUN) in waiting}
    first = min((pipeline.NAMES.index(stage) for stage in moved), default=len(found))
    why = ", ".join(f"{value} is not done" for value in dict.fromkeys(moved.values()))
    return [s._replace(state="stale", why=why) if n >= first and s.state == "done" else s for n, s in enumerate(found)]


def status(first: Run, as_json: bool) -> None:
    """Each round's stages as done, stale or missing."""
    waiting: list[str] = []
    told: list[dict[str, Any]] = []
    cut = False
    for run in rounds.runs(first):
        found = states(run, waiting)
        if any(s.state in ("stale", "missing") for s in found if s.name != "evaluate"):
            waiting.append(run.project.name)
        stages = [{"stage": s.name, "state": s.state, "why": s.why, "counts": (s.record or {}).get("counts")} for s in found]
        told.append({"round": run.project.name, "stages": stages, "replaced": rounds.decided(run)})
        if not as_json:
            _show(first, run, found)
            cut = cut or any(s.cut for s in found)
    if as_json:
        first.say(json.dumps(told, indent=1))
    elif cut:
        first.say(EVERY)


def _show(first: Run, run: Run, found: Sequence[pipeline.State]) -> None:
    first.say(f"── {run.project.name}")
    for s in found:
        detail = s.brief or (f"{s.record['counts']['kept']} kept, {s.record['seconds']} s" if s.record else "")
        first.say(f"{FOLDERS[s.name]:12s} {s.state:8s} {detail}")
    if decision := rounds.decided(run):
        first.say(said(decision))
