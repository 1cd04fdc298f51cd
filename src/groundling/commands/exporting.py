"""A run's curated examples (or what was imported) as a data set for other tools."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from .. import registry
from ..errors import ConfigError, InputError
from ..export import Counts, Order, Told, Training, write
from ..records import Document, Example, Pair
from ..runs import Run, Say, open_run
from ..workspace import Workspace, read_lines
from .importing import RECORD as IMPORTED


class Wanted(NamedTuple):
    """What the command line asks for."""

    target: str
    out: Path
    format: str = ""
    split: str = ""
    licence: str = ""


def is_model(target: str) -> bool:
    """Whether the target is one for the trained model. Raises ConfigError with the nearest name where there is no such target at all."""
    models, data = registry.names("package"), registry.names("export")
    if target.replace("-", "_") not in (*models, *data):
        raise ConfigError(f'There is no export "{target}".{registry.nearest(target, sorted([*models, *data]))}')
    return target.replace("-", "_") in models


def place(path: Path, target: str) -> Path:
    """The folder of an export that is given none: in the run's, or in that of an import."""
    space = Workspace(path) if (path / IMPORTED).is_file() else open_run(path, None, [], lambda text: None).space
    return space.exports(target)


def no_model_options(target: str, given: Mapping[str, Any]) -> None:
    """Raise ConfigError for an option that goes with a model."""
    for name, value in given.items():
        if value:
            raise ConfigError(f"{name} goes with a model, and --to {target} exports data. Leave it out, or use --to merged.")


def export(path: Path, wanted: Wanted, say: Say, as_json: bool = False) -> None:
    """Write the data set and say what is in it. Raises InputError where there are no records."""
    if (path / IMPORTED).is_file():
        record = _of_import(path, wanted)
    else:
        record = _of_run(open_run(path, None, [], lambda text: None), wanted)
    if as_json:
        say(json.dumps(record, ensure_ascii=False, indent=1))
        return
    rows = ", ".join(f"{split} {n}" for split, n in record["rows"].items())
    left = "".join(f"; {n} of {split} left out" for split, n in record["other_split"].items())
    left += f"; {record['unheld']} dialogues left out" if record["unheld"] else ""
    say(f"{wanted.out}: {rows} rows as {wanted.target} in the format {record['format']}{left}\n  {', '.join(record['files'])}")


def _of_run(run: Run, wanted: Wanted) -> dict[str, Any]:
    if run.space.record("curate") is None:
        raise InputError(f"{run.space.root} holds no curated examples yet. Run `groundling run … --to curate` on its project first.")
    data = run.space.data("curate")
    order = Order(
        wanted.target, wanted.out, wanted.format or _own_format(run, wanted.target), run.project.name, kind_of(data), wanted.split,
        wanted.licence, _training(run, wanted.target),
    )  # fmt: skip
    return write(order, read_lines(data, order.kind), lambda counts: _told(run, counts))


def _own_format(run: Run, target: str) -> str:
    """The format that the run's model is taught; the published RAFT record has its own."""
    return "raft" if target == "raft" else run.config.train.format


def _training(run: Run, target: str) -> Training | None:
    """What a trainer's config takes over, for the targets that write one; the others need no base model."""
    if not hasattr(registry.load("export", target.replace("-", "_")), "further"):
        return None
    t, base = run.config.train, run.base()
    if base.adapters:
        raise ConfigError(
            f'--to {target} writes a trainer\'s config, which names one base model, and train.base "{t.base}" is a base with adapters. '
            "Export the rows alone: --to trl-preference, trl or jsonl."
        )
    return Training(base.base, t.rank, t.alpha, t.dropout, t.epochs, t.batch, t.rate, t.max_length)


def _of_import(path: Path, wanted: Wanted) -> dict[str, Any]:
    record = json.loads((path / IMPORTED).read_bytes())
    data = path / "data.jsonl"
    order = Order(wanted.target, wanted.out, wanted.format or "raft", path.resolve().name, kind_of(data), wanted.split, wanted.licence)
    return write(order, read_lines(data, order.kind), lambda counts: Told({}, {"import": record}))


def kind_of(data: Path) -> type[Example] | type[Pair]:
    """What a file of records holds, told by its first line. Raises InputError where it holds none."""
    with data.open("rb") as handle:
        first = next((line for line in handle if line.strip()), b"")
    if not first:
        raise InputError(f"There is nothing to export: {data} is empty.")
    return Pair if "rejected" in msgspec.json.decode(first) else Example


def _told(run: Run, counts: Counts) -> Told:
    """The documents that have rows, by path and title, and the records of the stages. Their texts are not kept."""
    wanted = set().union(*counts.documents.values())
    stages = {name: record for name in ("ingest", "chunk", "index", "synthesize", "curate") if (record := run.space.record(name))}
    name = run.config.synthesize.teacher
    endpoint = run.config.models.get(name)
    return Told(_sources(run, wanted), stages, f"{name} ({endpoint.model})" if endpoint else name, run.config.seed)


def _sources(run: Run, wanted: set[str]) -> dict[str, str]:
    if not run.space.data("ingest").is_file():
        return {}
    documents: Iterable[Document] = run.space.read("ingest", Document)
    return {d.id: f"{d.path}: {d.title}" if d.title and d.title != d.path else d.path for d in documents if d.id in wanted}
