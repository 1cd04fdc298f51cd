"""The options of an objective as the config gives them in `train.options`, checked against the objective's own `Options`."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

from ..config import Train
from ..options import O, Options, checked
from ..registry import load


class Needs(NamedTuple):
    """What an objective asks of settings and memory that plain training does not; it says so as `NEEDS`."""

    replies: int = 1  # conversations that are read of one example
    together: bool = False  # where the network allows it they are one row, with the prompt once
    vocabulary: bool = True  # whether probabilities of tokens are computed
    reference: bool = False  # the start is asked too: a second copy of it where all weights are trained
    still: bool = False  # likelihoods are compared, which dropout would make differ by chance
    turns: bool = True  # a reply may have several turns
    format: str = ""  # the one format that it learns from; empty: any


def needs_of(options: Train) -> Needs:
    """What the objective of these settings asks. Raises ConfigError where there is no such objective."""
    found: Needs = getattr(load("objective", options.objective), "NEEDS", Needs())
    return found


def options_of(objective: ModuleType, given: dict[str, Any]) -> Options:
    """The objective's options with the values given. Raises ConfigError for one that it does not have, or a value that it cannot be."""
    return own(getattr(objective, "Options", Options), given)


def own(kind: type[O], given: dict[str, Any]) -> O:
    """The same, for an objective that names its own kind."""
    return checked(kind, given, "train.options")
