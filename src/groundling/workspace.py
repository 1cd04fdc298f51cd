"""The run folder: what each stage wrote, the record beside it, and what is stale. The only module that lays out paths of a run.

    runs/handbook/  1-documents/ 2-chunks/ 3-index/ 4-examples/ 5-curated/ 6-model/ 7-scores/ report.html

A stage's folder holds data.jsonl, dropped.jsonl, failed.jsonl and record.json. The record is written last: its presence means complete.
Its fingerprint is made of the fingerprints of the inputs and of the settings that shape the output, never of where or how fast it ran.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import platform
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from . import __version__
from .errors import InputError, MachineError, TooManyFailed
from .records import Record, from_line, to_line
from .seeds import digest
from .unfit import told

R = TypeVar("R", bound=Record)
FOLDERS = {
    "ingest": "1-documents",
    "chunk": "2-chunks",
    "index": "3-index",
    "synthesize": "4-examples",
    "curate": "5-curated",
    "train": "6-model",
    "evaluate": "7-scores",
}
_ANEW = "Delete the record.json beside it, if there is one, and `groundling run` makes the stage's output anew."


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a kill at any moment, finds the old one or the new one, whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise MachineError(f"{path} could not be written ({error.strerror}). Free some space or choose another --out, and run again.") from error


def write_json(path: Path, value: Any) -> None:
    write_atomic(path, json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n")


def read_json(path: Path) -> Any:
    """What a file of a finished stage says. Raises InputError where it is gone or was damaged."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path} is missing. {_ANEW}") from None
    except ValueError as error:
        raise InputError(f"{path} is not readable JSON ({error}). {_ANEW}") from None


def read_lines(path: Path, kind: type[R]) -> Iterator[R]:
    """The records of a .jsonl file. Raises InputError that names the line where one does not fit."""
    return (record for _, record in numbered_lines(path, kind))


def numbered_lines(path: Path, kind: type[R]) -> Iterator[tuple[int, R]]:
    """The same, each with the number of its line."""
    if not path.exists():
        raise InputError(f"{path} is missing. {_ANEW}")
    if path.is_dir():
        raise InputError(f"{path} is a folder. Give a .jsonl file: one JSON object a line.")
    with path.open("rb") as handle:
        for number, line in enumerate(handle, 1):
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line  # some editors begin a file with it
            if line.strip():
                try:
                    yield number, from_line(line, kind)
                except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
                    said = told(error, list(kind.__struct_fields__))
                    raise InputError(f"{path}, line {number}: {said} Each line holds one whole JSON object.") from error


class Output:
    """A stage's folder while it is being written. Counts what was kept, dropped (by reason) and failed; nothing vanishes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept, self.dropped, self.failed = 0, Counter[str](), Counter[str]()
        self.notes: dict[str, Any] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self._files = {name: (folder / f".{name}.jsonl.tmp").open("wb") for name in ("data", "dropped", "failed")}

    def keep(self, record: Record) -> None:
        self._write("data", to_line(record))
        self.kept += 1

    def drop(self, reason: str, what: Any) -> None:
        """Leave something out on purpose. `reason` is a short constant phrase: it is what is counted."""
        self._write("dropped", msgspec.json.encode({"reason": reason, "what": what}) + b"\n")
        self.dropped[reason] += 1

    def fail(self, reason: str, what: Any, detail: str = "") -> None:
        """Something that should have worked and did not. `reason` is short and counted, `detail` is for its reader."""
        self._write("failed", msgspec.json.encode({"reason": reason, "what": what, "detail": detail}) + b"\n")
        self.failed[reason] += 1

    def note(self, **values: Any) -> None:
        """Values for the record: realised proportions, settings that were chosen, costs."""
        self.notes.update(values)

    def check(self, share: float, what: str) -> None:
        """Raise TooManyFailed where more than `share` of all inputs failed."""
        failed, total = sum(self.failed.values()), self.kept + sum(self.dropped.values()) + sum(self.failed.values())
        if failed and failed > share * total:
            worst = ", ".join(f"{n} × {reason}" for reason, n in self.failed.most_common(3))
            raise TooManyFailed(
                f"{failed} of {total} {what} failed, more than max_failed allows ({share:.0%}): {worst}. "
                f"Each is listed with its reason in {self.folder / 'failed.jsonl'}. Mend the cause, or allow more with a higher max_failed, and give "
                "the same command again."
            )

    def counts(self) -> dict[str, Any]:
        total = self.kept + sum(self.dropped.values()) + sum(self.failed.values())
        return {"in": total, "kept": self.kept, "dropped": dict(self.dropped), "failed": dict(self.failed)}

    def _write(self, name: str, line: bytes) -> None:
        try:
            self._files[name].write(line)
        except OSError as error:
            raise MachineError(f"{self.folder} could not be written ({error.strerror}). Free some space and run again.") from error

    def close(self) -> None:
        """Put the three files in place."""
        try:
            for name, handle in self._files.items():
                handle.flush()
                os.fsync(handle.fileno())
                handle.close()
                os.replace(handle.name, self.folder / f"{name}.jsonl")
        except OSError as error:
            raise MachineError(f"{self.folder} could not be written ({error.strerror}). Free some space and run again.") from error

    def abandon(self) -> None:
        """Keep what failed and what was dropped for their reader, throw the rest away."""
        for name, handle in self._files.items():
            with suppress(OSError):  # closing writes what is left; on a full disk it cannot
                handle.close()
            if name != "data" and getattr(self, name):
                os.replace(handle.name, self.folder / f"{name}.jsonl")
            else:
                Path(handle.name).unlink(missing_ok=True)


class Workspace:
    """One run's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, stage: str) -> Path:
        return self.root / FOLDERS[stage]

    def data(self, stage: str) -> Path:
        return self.folder(stage) / "data.jsonl"

    def exports(self, target: str) -> Path:
        """Where an export is written that is given no place of its own."""
        return self.root / "8-exports" / target

    @property
    def journal(self) -> Path:
        return self.root / "journal.sqlite"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def search(self) -> Path:
        """The folder of the trials of `groundling search`."""
        return self.root / "search"

    def record(self, stage: str) -> dict[str, Any] | None:
        """The record of a complete stage, else None."""
        path = self.folder(stage) / "record.json"
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_bytes())
        except ValueError as error:
            raise InputError(f"{path} is not readable JSON ({error}). Delete it, and the stage runs again.") from error
        if not isinstance(found, dict) or not {"fingerprint", "settings", "inputs", "seed", "counts"} <= found.keys():
            raise InputError(f"{path} is no record of a stage. Delete it, and the stage runs again.")
        return found

    def described(self) -> dict[str, Any] | None:
        """groundling.json of the trained model: its format, its base, their hashes."""
        path = self.folder("train") / "groundling.json"
        return read_json(path) if path.exists() else None

    def table(self, name: str, kind: type[R]) -> list[R]:
        """What an evaluation left: its `scores` or its `tests`."""
        path = self.folder("evaluate") / f"{name}.json"
        try:
            return msgspec.convert(read_json(path), list[kind])  # type: ignore[valid-type]
        except msgspec.ValidationError as error:
            raise InputError(f"{path}: {told(error, list(kind.__struct_fields__))} {_ANEW}") from None

    def started(self) -> Path | None:
        """The folder that the relative paths of the run's config start from; None where the run was not begun."""
        path = self.root / "run.json"
        return Path(json.loads(path.read_bytes())["base"]) if path.is_file() else None

    def lock(self, else_do: str = "choose another folder with --out") -> AbstractContextManager[None]:
        """Keep a second run off this folder; see `locking`."""
        from .locking import held

        return held(self.root, else_do)

    def read(self, stage: str, kind: type[R]) -> Iterator[R]:
        return read_lines(self.data(stage), kind)

    def holds_pairs(self, stage: str) -> bool:
        """Whether a stage's records are preference pairs; told by the first."""
        with self.data(stage).open("rb") as handle:
            return b'"rejected":' in handle.readline()

    @contextmanager
    def writing(
        self, stage: str, fingerprint: str, settings: dict[str, Any], inputs: dict[str, str], seed: int, resumes: bool = False
    ) -> Iterator[Output]:
        """A stage's output. It takes the place of an earlier one only when the body has ended well; till then the earlier one stays.

        With `resumes` the work is done in place, and what an interrupted run of the same fingerprint left (checkpoints) is there to go on from.
        """
        folder = self.folder(stage) if resumes else self.root / f".{FOLDERS[stage]}.new"
        begun = folder / ".begun"
        if folder.exists() and not (resumes and begun.exists() and begun.read_text() == fingerprint):
            shutil.rmtree(folder)
        (folder / "record.json").unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(begun, fingerprint.encode())
        out, start, processor = Output(folder), time.time(), time.process_time()
        try:
            yield out
        except BaseException:
            out.abandon()
            raise
        out.close()
        record = {
            "stage": stage, "fingerprint": fingerprint, "settings": settings, "inputs": inputs, "seed": seed, "counts": out.counts(),
            "notes": out.notes, "seconds": round(time.time() - start, 2), "processor_seconds": round(time.process_time() - processor, 2),
            "versions": {"groundling": __version__, "python": platform.python_version()},
        }  # fmt: skip
        write_json(folder / "record.json", record)
        if not resumes:
            self.clear(stage)
            os.replace(folder, self.folder(stage))

    def clear(self, stage: str) -> None:
        """Forget a stage's output, so that it runs anew."""
        if self.folder(stage).exists():
            shutil.rmtree(self.folder(stage))


def content(path: Path) -> str:
    """16 hex digits over a file, or over all files of a folder with their places in it."""
    if path.is_dir():
        return digest(*(f"{p.relative_to(path)} {content(p)}" for p in sorted(path.rglob("*")) if p.is_file()), length=16)
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]


def fingerprint(stage: str, settings: dict[str, Any], inputs: dict[str, str], seed: int) -> str:
    """The identity of a stage's output: what went in and the settings that shape it."""
    return digest(stage, json.dumps(settings, sort_keys=True, ensure_ascii=False), json.dumps(inputs, sort_keys=True), seed, length=16)


def first_different(old: dict[str, Any], new: dict[str, Any], at: str = "") -> Iterable[str]:
    """The settings whose values differ, as `key: old -> new`; sections within are gone into."""
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from first_different(before, after, f"{at}{key}.")
        elif before != after:
            yield f"{at}{key}: {before!r} -> {after!r}"
