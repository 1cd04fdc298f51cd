"""What is tried next, and which trial is given up: Optuna's TPE sampler and its median pruner, told all trials anew each time.

A proposal hangs on the seed, the trial's number and the trials before it, on nothing else: it is the same after a kill.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import MachineError
from ..seeds import rng, seed_of
from .space import Choices, Dimension, Range
from .trials import Trial

if TYPE_CHECKING:
    import optuna

RANDOM = 4  # trials before the sampler begins to learn from them
COMPARED = 2  # finished trials that must have measured at a step before one can be given up there
_DRAWS = 50  # attempts at settings that were not tried before


def need_optuna() -> None:
    try:
        import optuna
    except ImportError as error:
        raise MachineError(f'The search needs the extra [search] ({error.name} is missing): pip install "groundling[search]".') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def propose(space: Mapping[str, Dimension], past: Sequence[Trial], seed: int, number: int) -> dict[str, Any] | None:
    """Settings for trial `number` that were not tried before; None where none is left."""
    tried = [{key: t.settings.get(key) for key in space} for t in past]
    for draw in range(_DRAWS):
        found = _drawn(space, past, seed_of(seed, "search", number, draw) % 2**32)
        if found not in tried:
            return found
    left = [found for found in _every(space) if found not in tried]
    return rng(seed, "search", number, "left").choice(left) if left else None


def _drawn(space: Mapping[str, Dimension], past: Sequence[Trial], seed: int) -> dict[str, Any]:
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM))
    distributions = {key: _distribution(dimension) for key, dimension in space.items()}
    worst = max((t.losses[-1][1] for t in past if t.losses), default=None)
    for trial in past:
        if told := _told(trial, space, distributions, worst):
            study.add_trial(told)
    drawn = study.ask(distributions).params
    return {key: d.values[drawn[key]] if isinstance(d, Choices) else d.rounded(drawn[key]) for key, d in space.items()}


def _distribution(dimension: Dimension) -> optuna.distributions.BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choices):
        return CategoricalDistribution(tuple(range(len(dimension.values))))  # values may be lists, which Optuna does not take
    if dimension.whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _told(trial: Trial, space: Mapping[str, Dimension], distributions: dict[str, Any], worst: float | None) -> optuna.trial.FrozenTrial | None:
    """A trial as Optuna knows it; None for one outside of the space (the config's own may be) or without a value.

    One that failed counts as one more than the worst loss: Optuna itself would forget it and propose the like again.
    """
    from optuna.trial import TrialState, create_trial

    if not all(dimension.holds(trial.settings.get(key)) for key, dimension in space.items()):
        return None
    value = trial.value if trial.state == "complete" else trial.losses[-1][1] if trial.state == "pruned" else None
    if trial.state == "failed" and worst is not None:
        value = worst + 1
    if value is None:
        return None
    params = {key: d.values.index(trial.settings[key]) if isinstance(d, Choices) else trial.settings[key] for key, d in space.items()}
    state = TrialState.PRUNED if trial.state == "pruned" else TrialState.COMPLETE
    return create_trial(state=state, value=value, params=params, distributions=distributions, intermediate_values=dict(trial.losses))


def _every(space: Mapping[str, Dimension]) -> list[dict[str, Any]]:
    """All settings of a space of choices and whole numbers; none where there are endlessly many, or too many to have been tried."""
    if any(isinstance(d, Range) and not d.whole for d in space.values()):
        return []
    sides = [d.values if isinstance(d, Choices) else range(int(d.low), int(d.high) + 1) for d in space.values()]
    if math.prod(len(side) for side in sides) > 100_000:
        return []
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*sides)]


def give_up(past: Sequence[Trial], losses: Sequence[tuple[int, float]]) -> bool:
    """Whether a trial with these losses so far is worse than the median of the finished ones at that step."""
    import optuna
    from optuna.trial import TrialState, create_trial

    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=COMPARED, n_min_trials=COMPARED))
    for trial in past:
        if trial.state == "complete":
            study.add_trial(create_trial(state=TrialState.COMPLETE, value=trial.value, intermediate_values=dict(trial.losses)))
    running = create_trial(state=TrialState.RUNNING, intermediate_values=dict(losses))
    return bool(study.pruner.prune(study, running))
