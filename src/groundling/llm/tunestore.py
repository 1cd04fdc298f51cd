"""The fine-tuning jobs of a run's folder, in its journal: written down before they are made, so that a killed run goes on with the same job.

A job is noted before its file is uploaded, the file before the job is made, its id as soon as it is told. It stays open until its model is
taken into the run, or it brought none. What it can cost at most counts as spent from the first moment on, what it did cost once it has ended.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any, NamedTuple

from .budget import Cost
from .store import Writing, connect

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT, mark TEXT NOT NULL, endpoint TEXT NOT NULL, url TEXT NOT NULL, model TEXT NOT NULL,
    file TEXT, id TEXT, status TEXT NOT NULL, tuned TEXT, tokens INTEGER NOT NULL, usd REAL NOT NULL, over INTEGER NOT NULL, made REAL NOT NULL
);
"""
SPENT = "FROM (SELECT endpoint AS model, tokens AS tokens_in, 0 AS tokens_out, usd FROM jobs) WHERE 1"
_FIELDS = "number, mark, endpoint, url, model, file, id, status, tuned, tokens, usd, over, made"
PLANNED = "planned"


class Job(NamedTuple):
    """A job. `mark` stands for what is trained and how; without `id` it may or may not have been made, of `file`; without that it was not.

    `endpoint` is its name in the config, `url` where that is, `model` what is tuned, `tuned` what came of it. `status` is the provider's word.
    """

    number: int
    mark: str
    endpoint: str
    url: str
    model: str
    file: str | None
    id: str | None
    status: str
    tuned: str | None
    tokens: int
    usd: float
    over: int
    made: float


class JobStore:
    """Raises MachineError where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection = connect(path, SCHEMA, "It says which jobs are paid for: restore it before going on.")

    def all(self) -> list[Job]:
        """Every job, the oldest first."""
        return [Job(*row) for row in self._db.execute(f"SELECT {_FIELDS} FROM jobs ORDER BY number")]

    def open(self) -> list[Job]:
        """Those that are not over."""
        return [job for job in self.all() if not job.over]

    def get(self, number: int) -> Job | None:
        return next((job for job in self.all() if job.number == number), None)

    def plan(self, mark: str, at: tuple[str, str, str], worst: Cost) -> Job:
        """Note a job that is about to be made; `at` is the endpoint's name, its address and the model."""
        with Writing(self._db, self.path) as db:
            row = (mark, *at, PLANNED, worst.tokens, worst.usd, time.time())
            into = "INSERT INTO jobs (mark, endpoint, url, model, status, tokens, usd, over, made) VALUES (?,?,?,?,?,?,?,0,?)"
            number = db.execute(into, row).lastrowid
        assert number is not None
        return self._there(number)

    def note(self, job: Job, **values: Any) -> Job:
        """Write down what became of a job: any of its fields."""
        self._update(job, values, "")
        return self._there(job.number)

    def renew(self, job: Job, **values: Any) -> bool:
        """The same beside a run that may be at work: whether it was noted. What was taken, given up or forgotten since it was read stays so."""
        return self._update(job, values, " AND over = 0") == 1

    def _update(self, job: Job, values: dict[str, Any], only: str) -> int:
        with Writing(self._db, self.path) as db:
            given = ", ".join(f"{name} = ?" for name in values)
            return db.execute(f"UPDATE jobs SET {given} WHERE number = ?{only}", (*values.values(), job.number)).rowcount

    def forget(self, job: Job) -> None:
        """Of a job that was certainly not made."""
        with Writing(self._db, self.path) as db:
            db.execute("DELETE FROM jobs WHERE number = ?", (job.number,))

    def close(self) -> None:
        self._db.close()

    def _there(self, number: int) -> Job:
        found = self.get(number)
        assert found is not None
        return found


def jobs(journal: Path) -> list[Job]:
    """The jobs of a run's folder; nothing is made where there is no journal."""
    if not journal.is_file():
        return []
    store = JobStore(journal)
    try:
        return store.all()
    finally:
        store.close()
