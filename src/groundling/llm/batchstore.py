"""What was handed to a provider's batch mode and what came back, in SQLite beside the journal, so that a killed run goes on with the same batches.

A batch is noted before its file is uploaded, its file before the batch is made, its id as soon as it is told. Wherever a kill falls, the next
run knows which requests may be under way, and can ask the provider for the batch that was made of a file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from .base import Reply
from .budget import Cost
from .store import Writing, connect

NAME = "batches.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, file TEXT, id TEXT,
    tokens_in INTEGER, tokens_out INTEGER, usd REAL, made REAL
);
CREATE TABLE IF NOT EXISTS lines (number INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (number, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, reply BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS took (model TEXT NOT NULL, requests INTEGER NOT NULL, seconds REAL NOT NULL);
"""


class Open(NamedTuple):
    """A batch whose results are not here yet. Without `id` it may or may not have been made, of `file`; without that it was not.

    `worst` is the most that it can cost, `made` when it was handed over (seconds since 1970).
    """

    number: int
    file: str | None
    id: str | None
    keys: list[str]
    worst: Cost
    made: float = 0.0


class Known(NamedTuple):
    """What a run's folder knows of a model's batches: those under way, and how long earlier ones took, in seconds."""

    open: list[Open]
    took: list[float]

    @property
    def requests(self) -> int:
        return sum(len(batch.keys) for batch in self.open)


def known(folder: Path, model: str) -> Known:
    """Of the model with that fingerprint; nothing is made where there is no store."""
    if not (folder / NAME).exists():
        return Known([], [])
    store = BatchStore(folder / NAME)
    try:
        return Known(store.open(model), store.took(model))
    finally:
        store.close()


def bring_over(folder: Path, put: Callable[[dict[str, Reply]], None]) -> None:
    """What batches brought and nobody came for goes where `put` stores it: whoever asks for it, in whichever way, finds it there."""
    if (folder / NAME).exists():
        store = BatchStore(folder / NAME)
        try:
            store.take_results(put)
        finally:
            store.close()


class BatchStore:
    """The batches and results of one run's folder. Raises MachineError where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = connect(path, _SCHEMA, "It says which batches are under way: restore it before going on.")

    def result(self, key: str) -> Reply | None:
        row = self._db.execute("SELECT reply FROM results WHERE key = ?", (key,)).fetchone()
        return msgspec.json.decode(row[0], type=Reply) if row else None

    def plan(self, model: str, keys: Iterable[str], worst: Cost) -> int:
        """Note a batch that is about to be made; its number."""
        with self._writing() as db:
            row = (model, *worst, time.time())
            number = db.execute("INSERT INTO batches (model, tokens_in, tokens_out, usd, made) VALUES (?,?,?,?,?)", row).lastrowid
            db.executemany("INSERT INTO lines VALUES (?,?)", ((number, key) for key in keys))
        assert number is not None
        return number

    def uploaded(self, number: int, file: str) -> None:
        with self._writing() as db:
            db.execute("UPDATE batches SET file = ? WHERE number = ?", (file, number))

    def made(self, number: int, id: str) -> None:
        with self._writing() as db:
            db.execute("UPDATE batches SET id = ? WHERE number = ?", (id, number))

    def finish(self, number: int, results: dict[str, Reply]) -> None:
        """Store all that a batch brought and forget the batch, in one transaction. How long it took is kept, for the plan."""
        with self._writing() as db:
            if results:
                db.execute("INSERT INTO took SELECT model, ?, ? - made FROM batches WHERE number = ?", (len(results), time.time(), number))
            db.executemany("INSERT OR REPLACE INTO results VALUES (?,?)", ((key, msgspec.json.encode(reply)) for key, reply in results.items()))
            db.execute("DELETE FROM lines WHERE number = ?", (number,))
            db.execute("DELETE FROM batches WHERE number = ?", (number,))

    def open(self, model: str) -> list[Open]:
        """The batches of a model (its fingerprint) that are not finished, the oldest first."""
        rows = self._db.execute(
            "SELECT number, file, id, tokens_in, tokens_out, usd, made FROM batches WHERE model = ? ORDER BY number", (model,)
        ).fetchall()
        found = []
        for number, file, id, *worst, made in rows:
            keys = [row[0] for row in self._db.execute("SELECT key FROM lines WHERE number = ?", (number,))]
            found.append(Open(number, file, id, keys, Cost(*worst), made or time.time()))
        return found

    def took(self, model: str) -> list[float]:
        """Seconds that the batches of a model took which brought something."""
        return [row[0] for row in self._db.execute("SELECT seconds FROM took WHERE model = ?", (model,))]

    def take_results(self, put: Callable[[dict[str, Reply]], None], most: int = 1000) -> None:
        """Hand over everything that batches brought, some at a time; forgotten here when `put` has it."""
        while rows := self._db.execute("SELECT key, reply FROM results LIMIT ?", (most,)).fetchall():
            put({key: msgspec.json.decode(reply, type=Reply) for key, reply in rows})
            with self._writing() as db:
                db.executemany("DELETE FROM results WHERE key = ?", ((key,) for key, _ in rows))

    def close(self) -> None:
        self._db.close()

    def _writing(self) -> Writing:
        return Writing(self._db, self.path)
