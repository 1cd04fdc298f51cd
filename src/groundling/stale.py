"""Where a stage stands, and why what it made is stale: every change, and the few of them that a reader needs in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .workspace import FOLDERS, first_different

FEW = 3  # changes that one line names
LONG = 60  # characters of a change that is told with its values


class State(NamedTuple):
    """Where a stage stands: `done`, `stale` (why), `missing`, or `none` (why it does not apply). `changes` are the parts of `why`."""

    name: str
    state: str
    why: str = ""
    record: dict[str, Any] | None = None
    changes: tuple[str, ...] = ()

    @property
    def brief(self) -> str:
        """`why` in one short line."""
        return brief(self.changes) if self.changes else self.why

    @property
    def cut(self) -> bool:
        """Whether `brief` leaves out something of its own."""
        return any(change not in self.brief for change in self.changes if not _earlier(change))


def stale(name: str, record: dict[str, Any], settings: dict[str, Any], sources: dict[str, str], seed: int) -> State:
    """A stage whose record is not that of these settings, inputs and seed."""
    changes = [f"{name}.{line}" for line in first_different(record["settings"], settings)]
    changes += [f"{source} changed" for source in {**record["inputs"], **sources} if record["inputs"].get(source) != sources.get(source)]
    changes += ["seed changed"] if record["seed"] != seed else []
    return State(name, "stale", "; ".join(changes) or "made by another version", record, tuple(changes))


def brief(changes: Sequence[str]) -> str:
    """At most `FEW` changes and how many more there are. What is further out comes first: files and seed, then a recipe's name, then its options.

    Earlier stages count as one: that they changed stands in their own lines.
    """
    earlier = [c for c in changes if _earlier(c)]
    own = [c for c in changes if not _earlier(c)]
    told = sorted(own, key=lambda c: c.partition(":")[0].count("."))
    told = [f"{c.partition(': ')[0]} changed" if len(c) > LONG and ": " in c else c for c in told]
    told += earlier if len(earlier) < 2 else ["earlier stages changed"]
    more = len(told) - FEW
    return "; ".join(told[:FEW]) + (f"; and {more} more" if more > 0 else "")


def _earlier(change: str) -> bool:
    return change.removesuffix(" changed") in FOLDERS
