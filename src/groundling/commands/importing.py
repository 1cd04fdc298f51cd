"""Data files of other tools as our records, in a folder like a stage's: what was kept, left out and failed, each with its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import __version__
from ..errors import ConfigError
from ..imports import Bad, Unheld, read
from ..runs import Say
from ..workspace import Output, write_json

RECORD = "import.json"
TOLD = 20  # bad records that are told one by one; all are in failed.jsonl


class Wanted(NamedTuple):
    """What the command line asks for. `shape` is empty where each file is to tell its own."""

    files: Sequence[Path]
    out: Path
    shape: str = ""
    max_failed: float = 0.05


def bring(wanted: Wanted, say: Say, as_json: bool = False) -> None:
    """Read the files into `wanted.out`. Raises TooManyFailed, with all that failed kept beside, where more than max_failed is bad."""
    _refuse_foreign(wanted.out)
    out = Output(wanted.out)
    try:
        _fill(wanted, out, say)
        out.check(wanted.max_failed, "records")
    except BaseException:
        out.abandon()
        raise
    (wanted.out / RECORD).unlink(missing_ok=True)
    out.close()
    record: dict[str, Any] = {
        "groundling_import": 1, "settings": {"files": [f.name for f in wanted.files], "from": wanted.shape or "as each file is"},
        "counts": out.counts(), "notes": out.notes, "version": __version__,
    }  # fmt: skip
    write_json(wanted.out / RECORD, record)
    counts = record["counts"]
    if as_json:
        say(json.dumps(record, ensure_ascii=False, indent=1))
        return
    reasons = "".join(f"\n  dropped: {reason} {n}" for reason, n in counts["dropped"].items())
    failed = sum(counts["failed"].values())
    say(f"{wanted.out}: {counts['in']} in = {counts['kept']} kept + {sum(counts['dropped'].values())} dropped + {failed} failed{reasons}")


def _refuse_foreign(out: Path) -> None:
    """An earlier import is replaced, and what failed of one that was stopped; anything else is left alone."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file. Give a folder for the records.")
    found = {p.name for p in out.iterdir()} if out.is_dir() else set()
    if found - {"failed.jsonl"} and RECORD not in found:
        raise ConfigError(f"--out {out} holds other things already. Give a new folder.")


def _fill(wanted: Wanted, out: Output, say: Say) -> None:
    shapes, told = Counter[str](), 0
    for path in wanted.files:
        for found in read(path, wanted.shape, shapes):
            if isinstance(found, Bad):
                out.fail(found.reason, {"file": str(path), "line": found.line, "record": found.text}, found.detail)
                told += 1
                if told <= TOLD:
                    say(f"{path}, line {found.line}: {found.sentence}")
            elif isinstance(found, Unheld):
                out.drop(found.reason, {"file": str(path), "line": found.line, "record": found.text})
            else:
                out.keep(found)
    if told > TOLD:
        say(f"and {told - TOLD} more, each in {wanted.out / 'failed.jsonl'}")
    out.note(shapes=dict(shapes))
