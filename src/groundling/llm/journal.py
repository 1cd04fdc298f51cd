"""Every reply is stored before it is used, in SQLite (WAL). Asked again, it comes from there."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ..errors import MachineError
from .base import Model, Reply, Request, call_key

_SCHEMA = "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply BLOB NOT NULL, made REAL DEFAULT (unixepoch('subsec')))"


class Journal:
    """The replies of one run, by call key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(path, timeout=30, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise MachineError(f"The journal {path} could not be opened ({error}). Move it away, and replies are asked for anew.") from error

    def get(self, key: str) -> Reply | None:
        row = self._db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return msgspec.json.decode(row[0], type=Reply) if row else None

    def put(self, replies: dict[str, Reply]) -> None:
        """Store replies in one transaction: all of them or none."""
        try:
            with self._db:
                rows = [(key, msgspec.json.encode(reply)) for key, reply in replies.items()]
                self._db.executemany("INSERT OR REPLACE INTO replies (key, reply) VALUES (?, ?)", rows)
        except sqlite3.DatabaseError as error:
            raise MachineError(f"The journal {self.path} could not be written ({error}). Free some space and run again.") from error

    def __len__(self) -> int:
        return self._db.execute("SELECT count(*) FROM replies").fetchone()[0]

    def close(self) -> None:
        self._db.close()


class Journaled:
    """A model whose replies are remembered. Equal requests in one call are sent once."""

    def __init__(self, model: Model, journal: Journal) -> None:
        self.inner, self.journal = model, journal
        self.name, self.fingerprint, self.documents_role = model.name, model.fingerprint, model.documents_role
        self.fits = getattr(model, "fits", None)

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        """Stored replies where there are any; the rest are asked for together and stored together."""
        keys = [call_key(self.fingerprint, request) for request in requests]
        known = {key: reply for key in dict.fromkeys(keys) if (reply := self.journal.get(key))}
        missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in known}
        if missing:
            new = dict(zip(missing, await self.inner.replies(list(missing.values())), strict=True))
            self.journal.put({key: reply for key, reply in new.items() if reply.finish != "error"})  # a failed call is asked again
            known |= new
        return [known[key] for key in keys]
