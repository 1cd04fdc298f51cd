"""SQLite as what is paid for is written down in it: on the disk before anything goes on, every failure a sentence."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..errors import MachineError


def connect(path: Path, schema: str, hint: str) -> sqlite3.Connection:
    """The database of that file with the tables of the schema. Raises MachineError, with the hint, where it cannot be used."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        db = sqlite3.connect(path, timeout=30, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        db.executescript(schema)
    except sqlite3.DatabaseError as error:
        raise MachineError(f"{path} could not be opened ({error}). {hint}") from error
    return db


class Writing:
    """One transaction; a failure becomes a sentence."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self.db, self.path = db, path

    def __enter__(self) -> sqlite3.Connection:
        return self.db.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            self.db.__exit__(kind, error, trace)  # type: ignore[arg-type]
        except sqlite3.DatabaseError as broken:
            raise MachineError(f"{self.path} could not be written ({broken}). Free some space and run again.") from broken
        if isinstance(error, sqlite3.DatabaseError):
            raise MachineError(f"{self.path} could not be written ({error}). Free some space and run again.") from error
