"""Rounds: several runs of one config, each a folder of its own beside the first, each with the first's config but for what it says itself.

Everything inside a round flows one way. What a round takes from another it names as `run:NAME`: a model, or examples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from . import config
from .config import Config, Project, Round
from .errors import ConfigError, InputError
from .llm.weights import RUN
from .registry import nearest
from .runs import Run, reads
from .workspace import Workspace, write_json

MODELS = {"synthesize": ("teacher", "student", "judge"), "train": ("base",)}  # the settings that may name another run's model
# What belongs to a plug-in: a round that names another plug-in does not inherit it.
_OWN = {"synthesize": ("recipe", ("options",)), "train": ("objective", ("options", "preset"))}
DECISION = "replace.json"


def merged(given: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """The first run's config overridden by a round's part: sections deeply, lists as a whole."""
    found = {key: value for key, value in given.items() if key not in ("rounds", "name")}
    for section, values in part.items():
        inherited = dict(found.get(section) or {})
        plug_in, own = _OWN.get(section, ("", ()))
        if plug_in in values and values[plug_in] != inherited.get(plug_in):
            inherited = {key: value for key, value in inherited.items() if key not in own}
        found[section] = _deep(inherited, values)
    return found


def _deep(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(old)
    for key, value in new.items():
        inner = found.get(key)
        found[key] = _deep(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return found


def _part(of: Round) -> dict[str, Any]:
    return {name: values for name in config.Config.model_fields if (values := getattr(of, name, None)) and isinstance(values, dict)}


def projects(first: Project) -> list[Project]:
    """Every round's project, the first run's before them. Raises ConfigError for two of one name, or a round whose config is not good."""
    names = first.rounds or (first.name,)
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f'{first.file}: two rounds are called "{name}". Give each a name of its own.')
    found = [first.model_copy(update={"config": first.config.model_copy(update={"rounds": []})})]
    for number, (name, one) in enumerate(zip(names[1:], first.config.rounds, strict=True), 2):
        settings = config.parse(merged(first.given, _part(one)) | {"name": name}, f"{first.file or '--set'}, round {number} ({name})")
        found.append(first.model_copy(update={"config": settings, "name": name}))
    return found


def named(c: Config) -> Iterator[tuple[str, str]]:
    """The settings of a config that name another run's model, as (setting, run:NAME)."""
    for section, fields in MODELS.items():
        for field in fields:
            value = getattr(getattr(c, section), field)
            if value.startswith(RUN):
                yield f"{section}.{field}", value


def runs(first: Run) -> list[Run]:
    """The runs of all rounds, the first run's before them. Where a round's model did not beat its parent's, later ones go on from that one.

    Raises ConfigError where a round names one that is not before it, or the first run's folder is not called as the project is.
    """
    if first.project.rounds and first.space.root.name != first.project.name:
        raise ConfigError(
            f"--out {first.space.root}: rounds lie beside each other and name each other, so the first run's folder must be called "
            f"{first.project.name}, as the project is. Use --out {first.space.root.parent / first.project.name}."
        )
    found: list[Run] = []
    instead: dict[str, str] = {}
    for project in projects(first.project):
        run = Run(_resolved(project, instead), Workspace(first.beside / project.name), first.say, first.watch)
        _check(run, {other.project.name: other for other in found}, first.project.rounds)
        found.append(run)
        decision = decided(run)
        if rule(first.project, project.name) == "if_better" and decision and not decision["better"]:
            instead[project.name] = decision["parent"]
    return found


def rule(first: Project, name: str) -> str:
    """What a round says of replacing its parent."""
    number = first.rounds.index(name) if name in first.rounds else 0
    return first.config.rounds[number - 1].replace if number else "always"


def _resolved(project: Project, instead: Mapping[str, str]) -> Project:
    """The project with each model that was not better than its parent's replaced by that one."""
    sections: dict[str, Any] = {}
    for setting, value in named(project.config):
        section, field = setting.split(".")
        if value.removeprefix(RUN) in instead:
            sections.setdefault(section, {})[field] = RUN + instead[value.removeprefix(RUN)]
    update = {name: getattr(project.config, name).model_copy(update=fields) for name, fields in sections.items()}
    return project.model_copy(update={"config": project.config.model_copy(update=update)}) if update else project


def _check(run: Run, before: Mapping[str, Run], every: tuple[str, ...]) -> None:
    """Refuse a round that names one which is not before it, a run that is nowhere, or a reward model that is to answer."""
    for setting, value in [*named(run.config), *(("the examples", name) for name in reads(run) if name.startswith(RUN))]:
        name = value.removeprefix(RUN)
        if name in before and before[name].mute and setting.startswith("synthesize.") and setting != "synthesize.judge":
            raise ConfigError(f'Round {run.project.name}: {setting} names "{value}", but {before[name].mute}. Name it as synthesize.judge.')
        if name in before:
            continue
        if name in every:
            raise ConfigError(f'Round {run.project.name}: {setting} names "{value}", which comes after it or is it. A round may name earlier ones.')
        if not (run.beside / name).is_dir():
            raise ConfigError(
                f'Round {run.project.name}: {setting} names "{value}", and there is no such run.{nearest(name, [*before] or list(every))}'
            )


def parent(run: Run) -> str:
    """The run that a round's model would replace: the one it was trained from, else the one that wrote its data, else the round before it."""
    models = dict(named(run.config))
    for setting in ("train.base", "synthesize.student", "synthesize.teacher"):
        if setting in models:
            return models[setting].removeprefix(RUN)
    return run.project.rounds[run.project.rounds.index(run.project.name) - 1]


def decided(run: Run) -> dict[str, Any] | None:
    """What was found when the round's model was held against its parent's; None where that was not done yet, or for another model."""
    path = run.space.root / DECISION
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{path} is not readable JSON ({error}). Delete it, and run the round again.") from error
    return found if found.get("model") == (run.space.record("train") or {}).get("fingerprint") else None


def decide(run: Run, decision: Mapping[str, Any] | None) -> None:
    """Keep whether the round's model replaces its parent's, and by what; None where there is no choice."""
    if decision is None:
        (run.space.root / DECISION).unlink(missing_ok=True)
    else:
        write_json(run.space.root / DECISION, decision)
