"""What `search.space` says: which settings are changed and between what; and a config with some of them changed.

A setting of `curate.filters` is named through its filter: `curate.filters.mixture.weights.raft`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..config import Config, Curate, Train, parse
from ..errors import ConfigError
from ..options import Options, checked
from ..registry import load, nearest

# Of `train` only what leaves the held-out loss comparable: the same rows in the same batches, and the same formula.
TRAIN = (
    "rate", "rank", "alpha", "dropout", "epochs", "steps", "accumulate", "scheduler", "floor", "warmup", "weight_decay", "optimizer", "targets",
    "method",
)  # fmt: skip
_ADAPTER = ("rank", "alpha", "dropout", "targets")
FILTERS = "curate.filters"
_WIDE = 10  # a range whose upper end is so many times its lower is drawn from on a log scale
DIGITS = 3  # of a number that was drawn: 0.000213, not 0.00021298345


class Range(NamedTuple):
    """All numbers between two ends; whole ones where both ends are written so."""

    low: float
    high: float
    log: bool
    whole: bool

    def holds(self, value: Any) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high and not (self.whole and value != int(value))

    def rounded(self, value: float) -> float:
        """To three digits, and never past an end."""
        return int(value) if self.whole else min(self.high, max(self.low, float(f"{value:.{DIGITS}g}")))

    def told(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (" (log)" if self.log else "")


class Choices(NamedTuple):
    """One of some values."""

    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        return value in self.values

    def told(self) -> str:
        return " | ".join(str(value) for value in self.values)


Dimension = Range | Choices


def parse_space(config: Config) -> dict[str, Dimension]:
    """The dimensions of `search.space`, each end and choice checked against the setting. Raises ConfigError."""
    given = config.search.space
    if config.train.method == "api":
        raise ConfigError("A search trains on this machine, and train.method api is a provider's job. Search with another method.")
    default = "space" not in config.search.model_fields_set
    found: dict[str, Dimension] = {}
    for key, said in given.items():
        why = _without_effect(config, key)
        if why and default:
            continue
        if why:
            raise ConfigError(f"search.space: {key} would change nothing: {why}. Take it out.")
        _known(key)
        found[key] = _dimension(config, key, said)
    if not found:
        raise ConfigError("search.space names no setting to change. For example: search: {space: {train.rate: [1.0e-5, 1.0e-3]}}.")
    return found


def extremes(config: Config, dimensions: Mapping[str, Dimension]) -> Iterator[Config]:
    """The config with each end of a range and each choice, one at a time."""
    for key, dimension in dimensions.items():
        for value in (dimension.low, dimension.high) if isinstance(dimension, Range) else dimension.values:
            yield changed(config, {key: value})


def _without_effect(config: Config, key: str) -> str:
    name, full = key.removeprefix("train."), config.train.method == "full"
    if full and name in _ADAPTER and "train.method" not in config.search.space:
        return "train.method is full, which has no adapter"
    if name == "epochs" and config.train.steps:
        return f"train.steps = {config.train.steps} says how long training is"
    return ""


def _known(key: str) -> None:
    if key == FILTERS or key.startswith(f"{FILTERS}."):
        return
    known = [f"train.{name}" for name in TRAIN] + [FILTERS]
    if key not in known:
        raise ConfigError(
            f'search.space: "{key}" is no setting that a search can change.{nearest(key, known)} It changes how training goes ({", ".join(TRAIN)}) '
            f"and what curating keeps ({FILTERS}); with anything else changed, held-out losses would not compare."
        )


def _dimension(config: Config, key: str, said: Any) -> Dimension:
    """Raises ConfigError where `said` is neither a range nor choices, or names a value that the setting cannot have."""
    kind, more = "", {}
    if isinstance(said, Mapping):
        more = dict(said)
        kind = "range" if {"low", "high"} <= more.keys() <= {"low", "high", "log"} else "choices" if more.keys() == {"choices"} else ""
        values = [more.get("low"), more.get("high")] if kind == "range" else more.get("choices")
    else:
        values = said
        ends = [_number(value) for value in values] if isinstance(values, Sequence) and not isinstance(values, str) else []
        kind = "range" if len(ends) == 2 and None not in ends else "choices"
    if not kind or not isinstance(values, Sequence) or isinstance(values, str) or len(values) < 2:
        raise ConfigError(
            f"search.space: {key} = {said!r}: write two numbers for a range, as [1.0e-5, 1.0e-3], three or more values for a choice, as [4, 8, 16], "
            "or {choices: [4, 8]}."
        )
    if kind == "choices":
        return _choices(config, key, values)
    return _range(config, key, [_number(value) for value in values], more.get("log"))


def _choices(config: Config, key: str, values: Sequence[Any]) -> Choices:
    checked = tuple(_checked(config, key, value) for value in values)
    if "api" in checked:
        raise ConfigError(f"search.space: {key}: a search trains on this machine, and api is a provider's job. Take it out.")
    if any(value in checked[:n] for n, value in enumerate(checked)):
        raise ConfigError(f"search.space: {key} names a choice twice.")
    return Choices(checked)


def _range(config: Config, key: str, ends: list[float | int | None], log: Any) -> Range:
    if any(end is None or not math.isfinite(end) for end in ends) or not isinstance(log, (bool, type(None))):
        raise ConfigError(f"search.space: {key}: a range has a number at both ends, and log is true or false.")
    low, high = (_checked(config, key, end) for end in ends)
    if low >= high or (log and low <= 0):
        raise ConfigError(f"search.space: {key}: the range from {low:g} to {high:g} must begin below its end{', above 0' if log else ''}.")
    whole = all(isinstance(end, int) for end in ends) or all(isinstance(end, int) for end in (low, high))
    return Range(low, high, (low > 0 and high / low >= _WIDE) if log is None else log, whole)


def _number(value: Any) -> float | int | None:
    """A number; None for anything else."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _checked(config: Config, key: str, value: Any) -> Any:
    """The value as the setting would hold it. Raises ConfigError for one that it cannot be."""
    new = changed(config, {key: value})
    if key == FILTERS or not key.startswith(FILTERS):
        return values_of(new, [key])[key]
    name, *path = key.removeprefix(f"{FILTERS}.").split(".")
    found: Any = _options(name, dict(new.curate.steps())[name])
    for part in path:
        found = found[part]
    return found


def _options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A filter's options as it holds them. Raises ConfigError for one that it does not have, or a value that it cannot be."""
    return checked(getattr(load("filter", name), "Options", Options), dict(given), f"search.space: curate.filters.{name}").model_dump()


def changed(config: Config, settings: Mapping[str, Any]) -> Config:
    """The config with some settings changed. Raises ConfigError, in the words of the config's own check."""
    train = {key.removeprefix("train."): value for key, value in settings.items() if key.startswith("train.")}
    given = config.train.model_dump(include=config.train.model_fields_set)
    filters = [step if isinstance(step, str) else dict(step) for step in config.curate.filters]
    for key, value in settings.items():
        if key == FILTERS:
            filters = value
    for key, value in settings.items():
        if key.startswith(f"{FILTERS}."):
            filters = _put(filters, key, value)
    parse({"train": given | train, "curate": {"filters": filters}}, "search.space")  # for the sentence where something is wrong
    curate = Curate(filters=filters)
    for name, options in curate.steps():
        _options(name, options)
    return config.model_copy(update={"train": Train(**(given | train)), "curate": curate})


def _put(filters: Sequence[Any], key: str, value: Any) -> list[Any]:
    """The filters with one option of one of them changed."""
    name, *path = key.removeprefix(f"{FILTERS}.").split(".")
    if not all([path, *path]) or name not in _names(filters):
        raise ConfigError(
            f"search.space: {key}: name a filter of curate.filters ({', '.join(_names(filters))}) and its option, as "
            "curate.filters.mixture.weights.raft."
        )
    return [_with(step, name, path, value) if name in _names([step]) else step for step in filters]


def _names(filters: Sequence[Any]) -> list[str]:
    return [step if isinstance(step, str) else next(iter(step)) for step in filters]


def _with(step: Any, name: str, path: Sequence[str], value: Any) -> dict[str, Any]:
    options: dict[str, Any] = {} if isinstance(step, str) else dict(step[name] or {})
    target = options
    for part in path[:-1]:
        inner = target.get(part)
        target[part] = dict(inner) if isinstance(inner, Mapping) else {}
        target = target[part]
    target[path[-1]] = value
    return {name: options}


def values_of(config: Config, keys: Iterator[str] | Sequence[str]) -> dict[str, Any]:
    """What a config has for the settings of a space; None for an option of a filter that it leaves to the filter."""
    found: dict[str, Any] = {}
    for key in keys:
        if key.startswith("train."):
            found[key] = getattr(config.train, key.removeprefix("train."))
        elif key == FILTERS:
            found[key] = list(config.curate.filters)
        else:
            name, *path = key.removeprefix(f"{FILTERS}.").split(".")
            at: Any = dict(config.curate.steps()).get(name, {})
            for part in path:
                at = at.get(part) if isinstance(at, Mapping) else None
            found[key] = at
    return found


def sections(config: Config, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings as a piece of a config: `{"train": {"rate": …}}`. Filters are told as the whole list."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in settings.items():
        section, name = ("curate", "filters") if key.startswith(FILTERS) else key.split(".", 1)
        found.setdefault(section, {})[name] = list(changed(config, settings).curate.filters) if section == "curate" else value
    return found
