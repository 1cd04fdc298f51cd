"""Every reply is stored before it is used, in SQLite. Asked again, it comes from there.

Replies that arrive together share one transaction, written by a thread of its own while the next ones gather. Each transaction is on the disk
before its replies are used (WAL with synchronous=FULL): neither `kill -9` nor a power cut loses one that was used. What is lost
at most are calls in flight and the few replies that were waiting to be written.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..errors import MachineError
from .base import Reply
from .budget import Budget, Cost
from .tunestore import SCHEMA as JOBS
from .tunestore import SPENT as BY_JOBS

_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply BLOB NOT NULL, made REAL);
CREATE TABLE IF NOT EXISTS lost (model TEXT, tokens_in INTEGER, tokens_out INTEGER, usd REAL, made REAL);
CREATE TABLE IF NOT EXISTS finished (work TEXT, unit TEXT, PRIMARY KEY (work, unit)) WITHOUT ROWID;
"""
# Added to journals of earlier versions too. `paid`: the reply came from an endpoint, and its tokens and money count towards budgets.
_COLUMNS = {
    "model": "TEXT DEFAULT ''", "finish": "TEXT DEFAULT 'stop'", "tokens_in": "INTEGER DEFAULT 0", "tokens_out": "INTEGER DEFAULT 0",
    "usd": "REAL DEFAULT 0", "paid": "INTEGER DEFAULT 0",
}  # fmt: skip
_INDEX = "CREATE INDEX IF NOT EXISTS costs ON replies (paid, model, made, tokens_in, tokens_out, usd)"  # sums never touch the replies
_INSERT = "INSERT OR REPLACE INTO replies (key, reply, model, finish, tokens_in, tokens_out, usd, paid, made) VALUES (?,?,?,?,?,?,?,?,?)"
_RECENT = """
SELECT cast((:now - made) / :slot AS INTEGER) AS age, sum(tokens_in + tokens_out) FROM (
    SELECT made, tokens_in, tokens_out FROM replies WHERE paid = 1 AND model = :model AND made > :now - :seconds
    UNION ALL SELECT made, tokens_in, tokens_out FROM lost WHERE model = :model AND made > :now - :seconds
) GROUP BY age ORDER BY age DESC
"""
_AT_ONCE = 500  # keys of one look-up
_CACHE_KB = 16_000  # of each of the two connections: memory stays flat however long the journal gets
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Reply).decode


class Origin(NamedTuple):
    """Whose replies are stored: the model's name, and whether they are paid for."""

    name: str = ""
    paid: bool = False


_NOBODY = Origin()


def _row(key: str, reply: Reply, origin: Origin, usd: float) -> tuple[Any, ...]:
    return (key, _encode(reply), origin.name, reply.finish, reply.tokens_in, reply.tokens_out, usd, int(origin.paid), time.time())


def _tell(waiting: list[asyncio.Future[None]], error: Exception | None = None) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(None) if error is None else future.set_exception(error)


class Journal:
    """The replies of one run, by call key; what they cost; which units of work are finished."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db, self._writer = self._open(), self._open()
            self._db.executescript(_SCHEMA + JOBS)
            there = {row[1] for row in self._db.execute("PRAGMA table_info(replies)")}
            for name, kind in _COLUMNS.items():
                if name not in there:
                    self._db.execute(f"ALTER TABLE replies ADD COLUMN {name} {kind}")
            self._db.execute(_INDEX)
            self._db.commit()
        except sqlite3.DatabaseError as error:
            raise MachineError(f"The journal {path} could not be opened ({error}). Move it away, and replies are asked for anew.") from error
        self._thread = ThreadPoolExecutor(1, "journal")
        self._pending: list[tuple[str, tuple[Any, ...]]] = []  # (statement, row), in the order of arrival
        self._stored: list[asyncio.Future[None]] = []
        self._writing: asyncio.Task[None] | None = None
        self.in_flight: dict[str, asyncio.Task[Reply]] = {}  # by key; shared by all models of the run
        self.budget: Budget | None = None  # so is what they may spend together

    def _open(self) -> sqlite3.Connection:
        # One connection to read on, one for the writing thread: a reader never waits for the disk.
        db = sqlite3.connect(self.path, timeout=30, check_same_thread=False)
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute(f"PRAGMA cache_size=-{_CACHE_KB}")
        return db

    def get(self, key: str) -> Reply | None:
        row = self._db.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return _decode(row[0]) if row else None

    def get_many(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The replies that are there, by key."""
        if len(keys) == 1:
            reply = self.get(keys[0])
            return {keys[0]: reply} if reply else {}
        found = {}
        for at in range(0, len(keys), _AT_ONCE):
            some = keys[at : at + _AT_ONCE]
            marks = ",".join("?" * len(some))
            found.update((key, _decode(reply)) for key, reply in self._db.execute(f"SELECT key, reply FROM replies WHERE key IN ({marks})", some))
        return found

    def put(self, replies: dict[str, Reply], origin: Origin = _NOBODY, usd: float | Callable[[Reply], float] = 0.0) -> None:
        """Store replies now, in one transaction: all of them or none. `usd` is what each cost, or tells it."""
        rows = [(_INSERT, _row(key, reply, origin, usd(reply) if callable(usd) else usd)) for key, reply in replies.items()]
        self._thread.submit(self._write, rows).result()  # by the one thread that writes

    async def store(self, key: str, reply: Reply, origin: Origin, usd: float) -> None:
        """Store one reply, together with those that arrive at about the same time; returns when it is on the disk."""
        future = asyncio.get_running_loop().create_future()
        self._pending.append((_INSERT, _row(key, reply, origin, usd)))
        self._stored.append(future)
        self._start()
        await future

    def lose(self, model: str, cost: Cost) -> None:
        """A call whose charge is not known: counted at its worst."""
        self._pending.append(("INSERT INTO lost (model, tokens_in, tokens_out, usd, made) VALUES (?,?,?,?,?)", (model, *cost, time.time())))
        self._start()

    def finish(self, work: str, unit: str) -> None:
        """Note that a unit of some work is done. A hint for what to do first after a restart; nothing is left out because of it."""
        self._pending.append(("INSERT OR IGNORE INTO finished VALUES (?,?)", (work, unit)))
        self._start()

    def finished(self, work: str) -> set[str]:
        """The units of some work that were done."""
        return {row[0] for row in self._db.execute("SELECT unit FROM finished WHERE work = ?", (work,))}

    def spent(self, model: str | None = None) -> Cost:
        """What endpoints were paid for this folder, in all or for one model; lost calls and fine-tuning jobs included."""
        which, values = ("AND model = ?", (model,)) if model is not None else ("", ())
        sums = "SELECT coalesce(sum(tokens_in), 0), coalesce(sum(tokens_out), 0), coalesce(sum(usd), 0)"
        tables = ("FROM replies WHERE paid = 1", "FROM lost WHERE 1", BY_JOBS)
        parts = [self._db.execute(f"{sums} {table} {which}", values).fetchone() for table in tables]
        return Cost(*(sum(column) for column in zip(*parts)))

    def recent(self, model: str, seconds: float, slot: float) -> list[tuple[float, int]]:
        """The model's tokens of the last `seconds`, summed over slots, as (age of the slot in seconds, tokens); oldest first."""
        rows = self._db.execute(_RECENT, {"model": model, "seconds": seconds, "slot": slot, "now": time.time()})
        return [(age * slot, tokens) for age, tokens in rows]

    def _start(self) -> None:
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        """Write what has gathered, and what has gathered meanwhile, until nothing is left."""
        loop = asyncio.get_running_loop()
        try:
            while self._pending:
                rows, waiting = self._pending, self._stored
                self._pending, self._stored = [], []
                try:
                    await loop.run_in_executor(self._thread, self._write, rows)
                except MachineError as error:
                    _tell(waiting, error)
                except Exception as error:
                    _tell([*waiting, *self._stored], error)  # a fault of our own: nobody may be left waiting
                    raise
                else:
                    _tell(waiting)
        finally:
            self._writing = None

    def _write(self, rows: Iterable[tuple[str, tuple[Any, ...]]]) -> None:
        by_statement: dict[str, list[tuple[Any, ...]]] = {}
        for statement, row in rows:
            by_statement.setdefault(statement, []).append(row)
        try:
            with self._writer:
                for statement, some in by_statement.items():
                    self._writer.executemany(statement, some)
        except sqlite3.DatabaseError as error:
            raise MachineError(f"The journal {self.path} could not be written ({error}). Free some space and run again.") from error

    async def settled(self) -> None:
        """Wait until everything that was handed in is on the disk."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    def __len__(self) -> int:
        return self._db.execute("SELECT count(*) FROM replies").fetchone()[0]

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        if self._pending:  # the event loop was torn down before they could be written
            self._write(self._pending)
            self._pending = []
        self._db.close()
        self._writer.close()
