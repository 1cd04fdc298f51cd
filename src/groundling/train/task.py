"""What several processes are asked to train, as files that each of them reads, and what they tell in return."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ..config import Train
from ..llm.weights import Weights
from ..panel import Watch
from ..records import to_line
from ..workspace import read_lines, write_atomic, write_json
from .scoring import Job
from .tokens import Row, Rows

FOLDER = "processes"  # within the stage's folder
LOG, VIEW, SAID = "log.json", "view.json", "said.txt"
FAILED = "failed-{}.json"  # a sentence, by the process that it came from


def write(job: Job) -> Path:
    """The folder with a job in it; what an earlier one left there is taken away."""
    folder = (job.folder / FOLDER).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, rows in (("rows", job.rows), ("held_out", getattr(job.rows, "held_out", ()))):
        write_atomic(folder / f"{name}.jsonl", b"".join(map(to_line, rows)))
    told = {"base": [job.base.base, [str(path.resolve()) for path in job.base.adapters]], "seed": job.seed}
    write_json(folder / "job.json", told | {"options": job.options.model_dump(mode="json")})
    return folder


def read(folder: Path, watch: Watch) -> Job:
    """The job that was written there."""
    told = json.loads((folder / "job.json").read_bytes())
    rows = Rows(read_lines(folder / "rows.jsonl", Row))
    rows.held_out = list(read_lines(folder / "held_out.jsonl", Row))
    base = Weights(told["base"][0], tuple(map(Path, told["base"][1])))
    return Job(rows, base, Train(**told["options"]), told["seed"], folder.parent, watch)
