"""report.html from what the stages left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..runs import Run, open_run
from ..synthesize import asks_teacher
from ..workspace import FOLDERS
from .comparing import in_report
from .passages import fewer
from .searching import in_report as searched

if TYPE_CHECKING:
    from ..evaluate.curves import Training

ORIGIN = {
    "file": "The questions come from the project's own file.",
    "teacher": "Nobody wrote questions: the teacher made them from documents that were not trained on. Write some of your own to be sure.",
    "held-out examples": "The models were asked the held-out examples, of which none was trained on.",
}


def origin(run: Run, notes: dict[str, Any]) -> str:
    """Where the questions of an evaluation come from, by its record's notes. A recipe that asks no teacher has them from its files."""
    by = notes.get("written_by", "teacher")
    if by == "teacher" and not asks_teacher(run.config.synthesize):
        by = "held-out examples"
    return ORIGIN.get(by, ORIGIN["teacher"])


def write_report(run: Run) -> Path:
    """report.html from what the stages left."""
    from ..evaluate.report import ReportData, write_report
    from ..evaluate.scoring import Comparison, Row
    from ..records import Score

    unscored = bool(run.mute and run.space.record("train"))  # a reward model: what it learnt stands in train's record
    if run.space.record("evaluate") is None and not unscored:
        raise InputError(f"{run.space.root} has no scores yet. Run `groundling evaluate` first.")
    records = {name: record for name in FOLDERS if (record := run.space.record(name))}
    failed = {
        name: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for name in records
        if (path := run.space.folder(name) / "failed.jsonl").is_file()
    }
    notes = {} if unscored else records["evaluate"]["notes"]
    beside, replaced = in_report(run)
    data = ReportData(
        name=run.project.name,
        scores=[] if unscored else run.space.table("scores", Score),
        tests=[] if unscored else run.space.table("tests", Comparison),
        rows=[] if unscored else list(run.space.read("evaluate", Row)),
        notes=notes,
        origin="" if unscored else origin(run, notes),
        headline=_ranks(records["train"]["notes"]) if unscored else "", advice=fewer(run),
        beside=beside, replaced=replaced, search=searched(run),
        records=records, failed=failed, trainings=_trainings(run),
        models={"base": run.config.train.base, "tuned": f"{run.config.train.base} + {run.config.train.objective} ({_way(run)})"},
    )  # fmt: skip
    write_report(run.space.report, data)
    return run.space.report


def _ranks(notes: dict[str, Any]) -> str:
    """What a reward model learnt, in a sentence."""
    if (found := notes.get("pair_accuracy")) is None:
        return "A reward model was trained; no pair was held out, so how well it ranks is not known."
    return (
        f"Of {found['n']} held-out pairs the reward model gives the better reply the higher score in {100 * found['value']:.1f} % "
        f"(95 % interval {100 * found['low']:.1f} to {100 * found['high']:.1f} %)."
    )


def _trainings(run: Run) -> list[Training]:
    """How the training of this run went, and before it those of the rounds that come first."""
    from ..evaluate.curves import Training

    rounds = run.project.rounds
    names = rounds[: rounds.index(run.project.name)] if run.project.name in rounds else ()
    found = []
    for other in (*(open_run(run.beside / name, None, [], run.say) for name in names if (run.beside / name / "run.json").is_file()), run):
        if record := other.space.record("train"):
            words = f"{other.config.train.objective} on {other.config.train.base}"
            found.append(Training(other.project.name, words, record["notes"].get("log", [])))
    return found


def _way(run: Run) -> str:
    """How the model was trained, as it says itself (a `size` may have chosen it): a provider's by its name there."""
    described = run.space.described() or {}
    if run.hosted:
        return f"{described.get('endpoint', {}).get('model')}, by the provider"
    method = described.get("method", run.config.train.method)
    return {"lora": "LoRA", "qlora": "QLoRA", "full": "all weights"}.get(method, method)
