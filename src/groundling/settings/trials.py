"""The trials of a search on disk: a folder each, in it one small file that says all, and while it runs (or is the best) what training left.

Each file is written whole, so that a kill at any moment leaves the state before or after. Optuna's own stores are not used: its journal cannot be
read any more after a line that a kill cut, and a database would be one more thing that can break. What Optuna needs to know it is told anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..errors import InputError
from ..records import Record
from ..workspace import write_atomic, write_json

MARK = 1


class Trial(Record):
    """One trial. `losses` are the held-out losses by step, `value` the one that counts; `begun` is the step at each start of it."""

    number: int
    settings: dict[str, Any]
    state: Literal["running", "complete", "pruned", "failed"] = "running"
    losses: list[tuple[int, float]] = []
    value: float | None = None
    reason: str = ""
    seconds: float = 0.0
    begun: list[int] = []
    given: bool = False  # the config's own settings

    @property
    def ended(self) -> bool:
        return self.state != "running"


class Book:
    """The folder of a search: `record.json`, what its trials have in common, and `trials/N/trial.json`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, number: int) -> Path:
        return self.folder / "trials" / str(number)

    def record(self) -> dict[str, Any] | None:
        """What the trials have in common; None where no search was begun. Raises InputError where it cannot be read."""
        path = self.folder / "record.json"
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_bytes())
        except ValueError as error:
            raise InputError(f"{path} is not readable JSON ({error}). Search anew with --redo.") from error
        if not isinstance(found, dict) or found.get("groundling_search") != MARK:
            raise InputError(f"{path} is no record of a search that this version reads. Search anew with --redo.")
        return found

    def begin(self, record: dict[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "record.json", {"groundling_search": MARK, **record})

    def clear(self) -> None:
        """Forget every trial."""
        if self.folder.exists():
            shutil.rmtree(self.folder)

    def read(self) -> list[Trial]:
        """All trials by number. Raises InputError for one that cannot be read."""
        found = []
        for path in (self.folder / "trials").glob("*/trial.json"):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Trial))
            except (msgspec.ValidationError, msgspec.DecodeError) as error:
                raise InputError(f"{path} is no trial ({error}). Delete its folder, and it is tried again.") from error
        return sorted(found, key=lambda trial: trial.number)

    def write(self, trial: Trial) -> Trial:
        self.place(trial.number).mkdir(parents=True, exist_ok=True)
        write_atomic(self.place(trial.number) / "trial.json", msgspec.json.encode(trial))
        return trial

    def tidy(self, trials: Sequence[Trial]) -> None:
        """Take away what ended trials left, but for the model of the best."""
        first = best(trials)
        for trial in trials:
            if trial.ended and (first is None or trial.number != first.number):
                self._strip(trial.number, ())
            elif trial.ended:
                self._strip(trial.number, ("checkpoints", "curated"))

    def _strip(self, number: int, only: Sequence[str]) -> None:
        for path in self.place(number).iterdir():
            if path.name == "trial.json" or (only and path.name not in only):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def best(trials: Sequence[Trial]) -> Trial | None:
    """The finished trial of the lowest held-out loss; of two alike the first."""
    finished = [t for t in trials if t.state == "complete" and t.value is not None]
    return min(finished, key=lambda t: (t.value, t.number), default=None)


def seconds(trials: Sequence[Trial]) -> float:
    """What all trials took together."""
    return sum(t.seconds for t in trials)
