"""Checks of the machine and of a project before anything is spent."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sys
import textwrap
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from . import config, registry
from .errors import ConfigError, GroundlingError
from .misnamed import Names, absent, misnamed, paths_in, rows_of
from .runs import Run
from .runs import index_options as resolved
from .verify import EXTRAS, every_round, missing, plugins
from .workspace import Workspace

_LONGEST = 100  # characters of the options that were given


class Check(NamedTuple):
    """One finding. `needed`: without it nothing runs."""

    what: str
    ok: bool
    says: str
    needed: bool = True


More = Callable[[config.Project], list[Check]]


def checks(path: Path | None, ask: bool = False, settings: Sequence[str] = (), more: More = lambda project: []) -> list[Check]:
    """All checks, of the machine first. With `ask`, the teacher's endpoint is sent one call of one token. `settings` override the config's.

    `more` gives what is checked beside the questions by those who know the stages' order.
    """
    return [*machine(_needed(path, settings)), *(project(path, ask, settings, more) if path else [])]


def _needed(path: Path | None, settings: Sequence[str]) -> set[str]:
    """The extras without which a run of this project would stop."""
    found = {"train"}
    try:
        opened = config.load(path, [*settings]) if path else None
    except GroundlingError:
        opened = None  # said by the check of the config
    if opened and opened.config.train.method == "api":
        found.clear()
    if opened and any(f.suffix.lower() == ".pdf" for f in opened.documents.rglob("*") if not f.name.startswith(".")):
        found.add("pdf")
    if opened and opened.config.index.retriever == "dense":
        found.add("dense")
    return found


def machine(needed: Collection[str] = ("train",)) -> list[Check]:
    """What is installed and what there is room for. `needed`: the extras that must be there."""
    python = sys.version_info
    found = [Check("python", python >= (3, 11), f"{python[0]}.{python[1]}" + ("" if python >= (3, 11) else ": 3.11 or newer is needed"))]
    for extra in EXTRAS:
        absent = missing(extra)
        says = f'missing {", ".join(absent)}: pip install "groundling[{extra}]"' if absent else "installed"
        found.append(Check(f"extra [{extra}]", not absent, says, needed=extra in needed))
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    found.append(Check("disk", free > 1, f"{free:.1f} GB free here" + ("" if free > 1 else ": at least 1 GB is needed")))
    found.append(Check("memory", _memory() > 3, f"{_memory():.1f} GB"))
    found.append(Check("processors", True, f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}"))
    return found


def _memory() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def project(path: Path, ask: bool = False, settings: Sequence[str] = (), more: More = lambda project: []) -> list[Check]:
    """The config, its plug-ins, its documents and questions, the base model, the teacher and its endpoint, the port."""
    try:
        opened = config.load(path, [*settings])
    except GroundlingError as error:
        return [Check("config", False, str(error))]
    found = [Check("config", True, str(opened.file or "all defaults") + (f" with --set {' '.join(settings)}" if settings else ""))]
    c = opened.config
    for kind, name in plugins(c):
        if name not in registry.names(kind):
            found.append(Check(kind, False, f'there is no {kind} "{name}".{registry.nearest(name, registry.names(kind))}'))
    from .ingest.walk import HIDDEN, OURS

    count = sum(1 for f in opened.documents.rglob("*") if f.is_file() and not f.name.startswith(HIDDEN) and f.name not in OURS)
    found.append(Check("documents", count > 0, f"{count} files in {opened.documents}"))
    found.append(_said("recipe options", lambda: _options(c)))
    if found[-1].ok and c.synthesize.recipe in registry.names("recipe"):
        found += _files(opened)
    found.append(_said("filters", lambda: _filters(c)))
    if "search" in c.model_fields_set:
        found.append(_said("search", lambda: _search(c)))
    base, hosted = _said("base model", lambda: _base(opened)), c.train.method == "api"
    found += [
        _said("questions", lambda: _questions(opened)),
        *more(opened),
        _said("retriever", lambda: _retriever(opened)),
        *([base] if base.ok or not hosted else []),  # that an endpoint is not there is told below, with all that is wrong in train
        *([_said("training", lambda: _training(opened))] if base.ok or hosted else []),
        _said("teacher", lambda: _teacher(opened)),
    ]
    if found[-1].ok:
        found += _endpoint(opened, ask)
    if opened.rounds:
        found.append(_said("rounds", lambda: _rounds(opened)))
    return _once([*found, _port(c.serve.host, c.serve.port)])


def _once(found: list[Check]) -> list[Check]:
    """Without the checks that only say what one before them found wrong: a name that is not there is met by whoever loads it."""
    kept: list[Check] = []
    for check in found:
        said = re.sub(r"^Round .*?: |^.*: (?=there is no )", "", check.says).lower()
        if check.ok or all(other.ok or said not in other.says.lower() for other in kept):
            kept.append(check)
    return kept


def _port(host: str, port: int) -> Check:
    try:
        with socket.socket() as probe:
            taken = port and probe.connect_ex((host, port)) == 0
    except OSError as error:
        return Check("port", False, f"serve.host {host} is no address of this machine ({error.strerror})", needed=False)
    return Check("port", not taken, f"{port} is {'in use: choose another with --port' if taken else 'free'}", needed=False)


def _said(what: str, look) -> Check:  # noqa: ANN001
    try:
        return Check(what, True, look())
    except GroundlingError as error:
        return Check(what, False, str(error))


def _options(c: config.Config) -> str:
    from .synthesize import options_of

    name, given = c.synthesize.recipe, c.synthesize.options
    options_of(registry.load("recipe", name), given)
    if not given:
        return f"none given: {name} with its defaults"
    told = textwrap.shorten(", ".join(f"{option} {value}" for option, value in given.items()), _LONGEST, placeholder=" …")
    return f"{told}; else {name} with its defaults"


def _files(opened: config.Project) -> list[Check]:
    """Whether the files that the recipe's options name are there, and what the recipe says of them."""
    from .synthesize import files_of, options_of

    options, recipe = opened.config.synthesize, registry.load("recipe", opened.config.synthesize.recipe)
    names = files_of(options.recipe, options.options)
    missing = [name for name in names if not (opened.base / Path(name).expanduser()).exists()]
    if missing:
        return [Check("recipe files", False, f"synthesize.options names {missing[0]}, and there is no such file beside the config.")]
    if not names or not hasattr(recipe, "looked"):
        return []
    chosen = options_of(recipe, options.options)
    found = [_said("recipe files", lambda: recipe.looked(chosen, lambda name: opened.base / Path(name).expanduser(), opened.questions))]
    if found[0].ok and hasattr(recipe, "quoted") and (name := recipe.quoted(chosen)):
        found += _named(opened, name)
    return found


def _named(opened: config.Project, name: str) -> list[Check]:
    """Rows to learn from whose document is not there: they are left out, and the rest is learnt from."""
    rows, there = rows_of(opened.base / Path(name).expanduser()), Names(paths_in(opened.documents))
    if not (wrong := absent(rows, there)):
        return []
    return [Check("training documents", False, f"{name}: {misnamed(rows, wrong, there)} They are left out.", needed=len(wrong) == len(rows))]


def _filters(c: config.Config) -> str:
    from .curate import identity

    identity(c.curate)
    return ", ".join(name for name, _ in c.curate.steps()) or "none: all examples are kept"


def _search(c: config.Config) -> str:
    from .settings.space import parse_space

    return f"{c.search.trials} trials over " + "; ".join(f"{key} {dimension.told()}" for key, dimension in parse_space(c).items())


def _questions(opened: config.Project) -> str:
    from .evaluate import cases

    if opened.questions is None:
        return "no file of questions; held-out examples will be asked"
    rows, there = rows_of(opened.questions), Names(paths_in(opened.documents))
    found = [row.question for row in rows]
    cases.check(found)
    if wrong := absent(rows, there):
        raise ConfigError(f"{opened.questions}: {misnamed(rows, wrong, there)} Correct its `document`.")
    none = "" if any(not q.answerable for q in found) else "; all are answerable, so whether the model abstains where it should is not measured"
    return f"{len(found)} in {opened.questions}{none}"


def _base(opened: config.Project) -> str:
    from .llm.hub import look_up
    from .llm.weights import RUN, resolve_weights

    if opened.config.train.method == "api" and not opened.config.train.base.startswith(RUN):
        endpoint = opened.config.models.get(opened.config.train.base)
        if endpoint is None:
            raise ConfigError(f'models names no endpoint "{opened.config.train.base}" (train.base)')
        return f"{endpoint.model} at {endpoint.base_url}, trained by the provider"
    if opened.config.train.base.startswith(RUN):
        return f"the model of {opened.config.train.base}"
    where = resolve_weights(opened.config.train.base, opened.base).base
    return where if Path(where).is_dir() else look_up(where)


def _training(opened: config.Project) -> str:
    """The settings that training will have, and the memory they take at most. Every mistake in them is told."""
    from .llm import hosted
    from .llm.weights import RUN, resolve_weights
    from .train.checks import Base, base_of, mistakes
    from .train.dial import at_most
    from .train.options import options_of

    options, wrong = opened.config.train, list(hosted.mistakes(opened.config))
    if options.objective in registry.names("objective"):
        said = _said("options", lambda: str(options_of(registry.load("objective", options.objective), options.options)))
        wrong += [] if said.ok else [said.says]
    if options.method == "api":
        return _provider(opened.config, wrong)
    base = None if options.base.startswith(RUN) else resolve_weights(options.base, opened.base)
    wrong += map(str, mistakes(options, base_of(base) if base else Base(None))) if not missing("train") else ()
    if wrong:
        raise ConfigError(" ".join(dict.fromkeys(wrong)))
    if base is None:
        return f"{options.method}; its memory is told when {options.base} is done"
    settled, told = at_most(options, base)
    return "; ".join([f"{settled.method}, {settled.batch} x {settled.accumulate} examples a step", *told])


def _provider(c: config.Config, wrong: list[str]) -> str:
    """The same where a provider trains: with `wrong` in its settings, its prices and its key are looked at."""
    from .llm import hosted
    from .llm.api import Api

    if endpoint := c.models.get(c.train.base):
        wrong += hosted.unpriced(c, c.train.base, endpoint, ("train", "evaluate"))
        try:
            Api(c.train.base, endpoint).ready()
        except GroundlingError as error:
            wrong.append(str(error))
    if wrong:
        raise ConfigError(" ".join(wrong))
    return f"api: {c.train.epochs:g} epochs at the provider; `groundling plan` tells the price"


def _rounds(opened: config.Project) -> str:
    every_round(Run(opened, Workspace(Path("runs") / opened.name)))
    return ", ".join(opened.rounds)


def _retriever(opened: config.Project) -> str:
    options = resolved(opened)
    module = registry.load("retriever", options.retriever)
    if hasattr(module, "check"):
        module.check(options)
    return f"{options.retriever}, {options.model}" if options.model else options.retriever


def _teacher(opened: config.Project) -> str:
    from .llm.api import Api
    from .llm.open import open_model
    from .synthesize import asks_teacher

    section = opened.config.synthesize
    model = open_model(section.teacher, opened.config, opened.base)
    if section.teacher == "template" and section.recipe in registry.names("recipe") and not asks_teacher(section):
        return f"none: the recipe {section.recipe} asks no teacher"
    if isinstance(model, Api):
        model.ready()
        return f"{model.name}: {model.endpoint.model} at {model.endpoint.base_url}"
    return f"{model.name}: no endpoint, no key, no cost"


def _endpoint(opened: config.Project, ask: bool) -> list[Check]:
    """What a look at the teacher's endpoint finds; nothing for a teacher without one."""
    name = opened.config.synthesize.teacher
    endpoint = opened.config.models.get(name)
    if endpoint is None:
        return []
    from .llm.probe import probe

    return [Check(f.what, f.ok, f.says, needed=f.fatal) for f in probe(name, endpoint, ask)]
