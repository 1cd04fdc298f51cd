"""What of a run may be held by a provider and not on this machine: what its training starts from, and the models that its evaluation asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .llm import hosted
from .llm.base import Model
from .llm.hosted import Place
from .llm.journal import Journal
from .llm.open import Occasional, remembered
from .llm.weights import RUN
from .runs import Run, tuned


def origin(run: Run) -> str:
    """What stands for the weights that training starts from. Raises ConfigError or ModelError where there are none."""
    return hosted.origin(run.config, run.beside) if run.hosted else run.base().fingerprint


def place(run: Run) -> Place:
    """Where a provider trains the run's model. Raises ConfigError or ModelError."""
    name, endpoint = hosted.started_from(run.config, run.beside)
    return Place(name, endpoint, run.space.root, run.space.journal, run.config, run.project.name, run.say)


def start(run: Run) -> Model:
    """The model that training starts from, to be asked."""
    from .llm.local import Local

    if not run.hosted:
        return Local(*run.base(), name="base")
    at = place(run)
    return Occasional(at.name, at.endpoint, at.journal, run.config, run.say)


def entrants(run: Run, journal: Journal, names: tuple[str, str]) -> Iterator[tuple[str, Any, bool]]:
    """Whom the evaluation asks, by the names for base and tuned: each with the journal, and whether the best way to ask it is tried out first."""
    if run.config.evaluate.compare:
        yield names[0], remembered(start(run), journal, run.config, run.say), not run.config.train.base.startswith(RUN)
    yield names[1], remembered(tuned(run), journal, run.config, run.say), False


def asked(run: Run, models: Iterable[Any]) -> dict[str, Any]:
    """For the record of an evaluation: what the base was, and how many replies were waited for and not found in the journal. `plan` reckons by it."""
    return {"base": run.config.train.base, "replies": sum(one.model.asked for one in models)}
