"""`groundling search`: its arguments, and what is told at its end. What it does loads only when it is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Optional

import typer

from ..errors import ConfigError, ModelError, TooLarge

if TYPE_CHECKING:
    from ..runs import Run
    from ..settings.trials import Trial

FEW = 30  # examples below which it is said that they are few
PATH = "a folder of documents, a folder with a groundling.yaml, a config file, or a run folder"


def search(
    path: Annotated[Path, typer.Argument(help=PATH)],
    trials: Annotated[int, typer.Option(min=0, help="how many settings are tried in all (search.trials); 0: as the config says")] = 0,
    apply: Annotated[bool, typer.Option("--apply", help="write the best settings into the config file at the end")] = False,
    out: Annotated[Optional[Path], typer.Option("--out", help="the run's folder (else runs/NAME)")] = None,  # noqa: UP045
    settings: Annotated[list[str], typer.Option("--set", help="override a setting: section.key=value")] = [],  # noqa: B006
    redo: Annotated[bool, typer.Option("--redo", help="throw earlier trials away and begin anew")] = False,
    only: Annotated[str, typer.Option("--round", help="search for this round of the config; else for its first run")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Try settings of training out (learning rate, rank, epochs, data), and say which did best. The same command again goes on where it stopped."""
    from ..panel import watch
    from ..runs import open_run

    given = [*settings, *([f"search.trials={trials}"] if trials else [])]
    first = open_run(path, out, given, (lambda text: None) if as_json else _say)
    run = _round(first, only)
    if not as_json:
        run.watch = watch
    search_of(run, Wanted(redo, apply, as_json, bool(only and only != first.project.name)))


class Wanted(NamedTuple):
    """What the command line asks for. `later`: the run is a later round, whose settings lie elsewhere in the config."""

    redo: bool = False
    apply: bool = False
    as_json: bool = False
    later: bool = False


def _say(text: str) -> None:
    print(text, flush=True)


def _round(first: Run, only: str) -> Run:
    """The run that is searched for. Raises ConfigError for a round that is not there."""
    from .. import rounds
    from ..registry import nearest

    if not only and not first.config.rounds:
        return first
    every = rounds.runs(first)
    names = [run.project.name for run in every]
    if only and only not in names:
        raise ConfigError(f'There is no round "{only}".{nearest(only, names)}')
    return every[names.index(only) if only else 0]


def search_of(run: Run, wanted: Wanted) -> None:
    """Make what training reads, try settings out, tell what came of it. Raises UserErrors before anything is trained where something is wrong."""
    from .. import pipeline
    from ..settings.sampling import need_optuna
    from ..settings.space import parse_space
    from ..settings.trials import best
    from ..train.launch import led
    from . import search_ground, search_trials

    with led("search"):
        need_optuna()
    dimensions = parse_space(run.config)
    file = _file(run, wanted) if wanted.apply else None
    _verify(run, dimensions)
    pipeline.run_stages(run, last="curate", redo=[])
    with run.space.lock():
        found = search_ground.ground(run, wanted.redo)
        book = search_ground.opened(found, wanted.redo)
        for line in _beginning(run, dimensions, book.record() or {}):
            run.say(line)
        why = search_trials.go(found, book, run.config.search.trials)
        trials = book.read()
    first = best(trials)
    if wanted.as_json:
        _say(json.dumps(told(run, trials, why), ensure_ascii=False, indent=1))
    for line in _end(run, trials, why):
        run.say(line)
    if first is None:
        raise ModelError(_none(trials, why))
    if file is not None:
        _apply(run, file, first)


def _verify(run: Run, dimensions: dict[str, Any]) -> None:
    """Raise the UserError of the first mistake that would stop the trials, in the config's own settings or in a value that the space allows."""
    from .. import verify
    from ..settings.space import extremes
    from ..train.checks import base_of, mistakes
    from ..train.several import count

    every = list(extremes(run.config, dimensions))
    for config in every:
        verify.settings(config)
    verify.verify(run, ["train"])
    if run.config.train.size == "multi" or count(run.config.train) > 1:
        raise ConfigError("A search trains in one process. Set train.devices=1, and train.size to what one GPU holds.")
    base = base_of(run.base())
    for config in (run.config, *every):
        for mistake in mistakes(config.train, base):
            if not isinstance(mistake, TooLarge):  # of that only the trial fails
                raise mistake


def _beginning(run: Run, dimensions: dict[str, Any], record: dict[str, Any]) -> list[str]:
    """What is searched, what chooses, and what it may take."""
    by = record["validation"]
    where = "taken from the training side: no trial learns from them" if by["carved"] else "held out"
    lines = [f"search: {run.config.search.trials} trials over " + "; ".join(f"{key} {d.told()}" for key, d in dimensions.items())]
    lines.append(f"  chosen by the loss on {by['examples']} examples; documents: {by['documents']}, {where}")
    if by["examples"] < FEW:
        lines.append(f"  NOTE: {by['examples']} examples are few: small differences between trials may be chance")
    if trained := run.space.record("train"):
        from ..panel import span

        lines.append(f"  the last training of this run took {span(trained['seconds'])}; a trial takes about as long for as many epochs")
    return lines


def _end(run: Run, trials: list[Trial], why: str) -> list[str]:
    """The table, the best, and how it is used."""
    from ..settings.edit import flow, fragment
    from ..settings.space import sections
    from ..settings.trials import best, seconds

    lines = ["", *table(run, trials)]
    if why == "minutes":
        lines.append(f"\nsearch.minutes = {run.config.search.minutes:g} are used ({seconds(trials) / 60:.1f}). Raise it to go on.")
    if why == "exhausted":
        lines.append("\nEvery setting of the space was tried.")
    first = best(trials)
    if first is None:
        return lines
    lines.append(f"\nBest: trial {first.number}, held-out loss {first.value:.4f}{_beside(run, trials, first)}.")
    if _own(run, first):
        return [*lines, "The config's own settings did best: there is nothing to change."]
    parts = sections(run.config, first.settings)
    lines += ["", fragment(parts), ""]
    sets = " ".join(f"--set {_quoted(f'{s}.{k}={flow(v)}')}" for s, values in parts.items() for k, v in values.items())
    return [*lines, f"To use them: put these lines into the config, or search again with --apply, or groundling run … {sets}"]


def _own(run: Run, trial: Trial) -> bool:
    """Whether the config has these settings. It may have been edited since the first trial was made of it."""
    from ..settings.space import values_of

    return values_of(run.config, list(trial.settings)) == trial.settings


def _quoted(text: str) -> str:
    """For a shell."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _beside(run: Run, trials: list[Trial], first: Trial) -> str:
    own = next((t for t in trials if _own(run, t)), None)
    if own is None or own.number == first.number:
        return ""
    return f"; as configured {own.value:.4f}" if own.value is not None else f"; as configured it {own.state}"


def table(run: Run, trials: list[Trial]) -> list[str]:
    """One line for each trial, under a head."""
    rows = _rows(run, trials)
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]) - 1)]
    return ["  ".join([*(cell.rjust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip() for row in rows]


def in_report(run: Run) -> dict[str, Any]:
    """The table for the report, with what chose and which trial's settings the model has; empty where there was no search."""
    from ..settings.trials import Book, best

    book = Book(run.space.search)
    record, trials = book.record(), book.read()
    if not record or not trials:
        return {}
    head, *rows = _rows(run, trials)
    first = best(trials)
    words = f"Chosen by the loss on {record['validation']['examples']} examples that no trial learnt from and that the scores above are not made of. "
    if all(key.startswith("train.") for t in trials for key in t.settings):
        words += _used(run, record["conditions"], trials)
    numbered = [{"cells": cells, "best": first is not None and t.number == first.number} for t, cells in zip(trials, rows, strict=True)]
    return {"head": head, "rows": numbered, "words": words.strip()}


def _used(run: Run, conditions: dict[str, Any], trials: list[Trial]) -> str:
    """Whose searched settings the report's model has; and what else it was trained with otherwise than the trials were."""
    from ..workspace import first_different

    record = run.space.record("train") or {"settings": {}, "inputs": {}}
    own = {f"train.{name}": value for name, value in record["settings"].items()}
    used = next((t for t in trials if all(own.get(key) == value for key, value in t.settings.items())), None)
    if used is None:
        return "The model of this report has the searched settings of none of these trials."
    rest = {key: value for key, value in own.items() if key not in used.settings}
    other = [*first_different({f"train.{name}": value for name, value in conditions["train"].items()}, rest)]
    other += [f"{name} changed" for name, mark in conditions["inputs"].items() if record["inputs"].get(name) != mark]
    if other:
        return f"The model of this report has the searched settings of trial {used.number}, but was trained otherwise: {'; '.join(other)}."
    return f"The model of this report has all settings of trial {used.number}."


def _rows(run: Run, trials: list[Trial]) -> list[list[str]]:
    """The head and a row for each trial; its last cell is a remark."""
    keys = list(dict.fromkeys(key for t in trials for key in t.settings))
    names = [key.removeprefix("train.").removeprefix("curate.") for key in keys]
    rows = [["trial", *names, "loss", "state", "seconds", ""]]
    for t in trials:
        last = t.value if t.value is not None else t.losses[-1][1] if t.losses else None
        note = "as configured" if _own(run, t) else ""
        cells = [str(t.number), *(_short(t.settings.get(key)) for key in keys), "-" if last is None else f"{last:.4f}", t.state, f"{t.seconds:.0f}"]
        rows.append([*cells, "; ".join(part for part in (note, t.reason) if part)])
    return rows


def _short(value: Any) -> str:
    text = "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _none(trials: list[Trial], why: str) -> str:
    """Why there is no best, as a sentence."""
    failed = [t for t in trials if t.state == "failed"]
    if why == "minutes" and len(failed) < len(trials):
        return "search.minutes ran out before a trial had ended. Raise it and give the same command again: it goes on where it was."
    reasons = dict.fromkeys(t.reason for t in failed)
    return f"All {len(failed)} trials failed: {'; '.join(reasons)}. Mend the cause, or give the space smaller values, and begin anew with --redo."


def told(run: Run, trials: list[Trial], why: str) -> dict[str, Any]:
    """The search as plain values."""
    import msgspec

    from ..settings.space import sections
    from ..settings.trials import Book, best, seconds

    record, first = Book(run.space.search).record() or {}, best(trials)
    return {
        "project": run.project.name, "ended": why, "metric": "held-out loss", "validation": record.get("validation"),
        "seconds": round(seconds(trials), 2), "trials": [msgspec.to_builtins(t) for t in trials], "best": first and first.number,
        "config": sections(run.config, first.settings) if first and not _own(run, first) else {},
    }  # fmt: skip


def _file(run: Run, wanted: Wanted) -> Path:
    """The config file that --apply will write to. Raises ConfigError where there is none that it may."""
    file = run.project.file
    if wanted.later:
        raise ConfigError("--apply changes the first run's settings. Put those of a later round under its name in the config by hand.")
    if file is not None and (file.parent / "run.json").is_file():
        raise ConfigError(f"--apply: {file.parent} is a run, whose config is written anew by each run. Name its project instead.")
    return file or run.project.base / "groundling.yaml"


def _apply(run: Run, file: Path, first: Trial) -> None:
    from ..config import parse
    from ..settings.edit import edited, loaded
    from ..settings.space import sections, values_of
    from ..workspace import write_atomic

    text, parts = file.read_text("utf-8") if file.is_file() else "", sections(run.config, first.settings)
    if values_of(parse(loaded(text, parts, str(file)), str(file)), list(first.settings)) == first.settings:
        return  # the file itself: --set may say otherwise
    write_atomic(file, edited(text, parts, str(file)).encode())
    stale = " The model that is there was trained with others: add --redo train." if run.space.record("train") else ""
    run.say(f"Written into {file}. The next groundling run trains with them.{stale}")
