"""The options of an objective as the config gives them in `train.options`, checked against the objective's own `Options`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..errors import ConfigError
from ..options import O, Options, checked


def options_of(objective: ModuleType, given: dict[str, Any]) -> Options:
    """The objective's options with the values given. Raises ConfigError for one that it does not have, or a value that it cannot be."""
    return own(getattr(objective, "Options", Options), given)


def own(kind: type[O], given: dict[str, Any]) -> O:
    """The same, for an objective that names its own kind."""
    return checked(kind, given, "train.options")


def need_no_dropout(name: str, dropout: float) -> None:
    """Raise ConfigError where likelihoods would be compared that chance has shaken."""
    if dropout:
        raise ConfigError(
            f"train.dropout = {dropout:g}: the objective {name} compares likelihoods, and dropout would make them differ by chance. Set it to 0."
        )
