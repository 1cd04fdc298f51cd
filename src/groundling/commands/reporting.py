"""report.html from what the stages left."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InputError
from ..runs import Run
from ..workspace import FOLDERS
from .comparing import in_report

ORIGIN = {
    "file": "The questions come from the project's own file.",
    "teacher": "Nobody wrote questions: the teacher made them from documents that were not trained on. Write some of your own to be sure.",
    "held-out examples": "The models were asked the held-out examples, of which none was trained on.",
}


def write_report(run: Run) -> Path:
    """report.html from what the stages left."""
    from ..evaluate.report import ReportData, write_report
    from ..evaluate.scoring import Comparison, Row
    from ..records import Score

    folder = run.space.folder("evaluate")
    if run.space.record("evaluate") is None:
        raise InputError(f"{run.space.root} has no scores yet. Run `groundling evaluate` first.")
    import msgspec

    records = {name: record for name in FOLDERS if (record := run.space.record(name))}
    failed = {
        name: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for name in records
        if (path := run.space.folder(name) / "failed.jsonl").is_file()
    }
    written_by = records["evaluate"]["notes"].get("written_by", "")
    log = records.get("train", {}).get("notes", {}).get("log", [])
    beside, replaced = in_report(run)
    data = ReportData(
        name=run.project.name,
        scores=msgspec.json.decode((folder / "scores.json").read_bytes(), type=list[Score]),
        tests=msgspec.json.decode((folder / "tests.json").read_bytes(), type=list[Comparison]),
        rows=list(run.space.read("evaluate", Row)),
        notes=records["evaluate"]["notes"],
        origin=ORIGIN.get(written_by, ORIGIN["teacher"]),
        beside=beside, replaced=replaced, records=records, failed=failed, losses=[(entry["step"], entry["loss"]) for entry in log],
        models={"base": run.config.train.base, "tuned": f"{run.config.train.base} + {run.config.train.objective} (LoRA)"},
    )  # fmt: skip
    write_report(run.space.report, data)
    return run.space.report
