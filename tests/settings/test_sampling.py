"""What is tried next hangs on the seed and the trials before; what falls behind is given up."""

from __future__ import annotations

from typing import Any

import pytest

from groundling.settings.sampling import RANDOM, give_up, need_optuna, propose
from groundling.settings.space import Choices, Range
from groundling.settings.trials import Trial

need_optuna()
SPACE = {"train.rate": Range(1e-5, 1e-1, True, False), "train.rank": Choices((4, 8, 16)), "curate.filters": Choices((["cited"], ["cited", "leaked"]))}
GIVEN = {"train.rate": 1e-3, "train.rank": 32, "curate.filters": ["cited"]}  # its rank is not in the space


def ended(number: int, settings: dict[str, Any], value: float, state: str = "complete") -> Trial:
    known = {"value": value} if state == "complete" else {}
    losses = [] if state == "failed" else [(2, value + 1), (4, value)]
    return Trial(number=number, settings=settings, state=state, losses=losses, **known)


def searched(seed: int, trials: int, loss: Any, space: Any = SPACE) -> list[Trial]:
    past = [ended(1, GIVEN, loss(GIVEN))] if space is SPACE else []
    while len(past) < trials:
        settings = propose(space, past, seed, len(past) + 1)
        if settings is None:
            break
        past.append(ended(len(past) + 1, settings, loss(settings)))
    return past


def far(settings: dict[str, Any]) -> float:
    """Best at the upper end of the rate."""
    return 0.1 / settings["train.rate"]


def test_a_proposal_hangs_on_the_seed_and_the_past_and_on_nothing_else() -> None:
    whole = searched(1, 12, far)
    for number in (2, 5, 9, 12):  # as after a kill: the trials before are read again, and the next is proposed
        assert propose(SPACE, whole[: number - 1], 1, number) == whole[number - 1].settings
    assert [t.settings for t in searched(2, 4, far)] != [t.settings for t in whole[:4]]
    for t in whole[1:]:
        assert all(dimension.holds(t.settings[key]) for key, dimension in SPACE.items())


def test_it_learns_from_what_it_saw() -> None:
    """After the random ones, more of them in the best tenth of the range (on its log scale) than chance would put there."""
    late = [t.settings["train.rate"] for seed in range(3) for t in searched(seed, 16, far)[RANDOM:]]
    assert sum(rate > 10**-1.4 for rate in late) > 0.25 * len(late)


def test_nothing_is_tried_twice_and_it_ends_where_all_was_tried() -> None:
    space = {"train.rank": Choices((4, 8, 16)), "train.epochs": Range(1, 2, False, True)}
    found = searched(3, 20, lambda settings: settings["train.rank"], space)
    assert len(found) == 6 and len({tuple(t.settings.values()) for t in found}) == 6


def test_what_failed_is_not_proposed_again_and_again() -> None:
    """Optuna leaves failed trials out of what it learns, and would try the like again."""
    bad = [ended(n, {"train.rate": 0.05 + n / 1000, "train.rank": 4, "curate.filters": ["cited"]}, 0, "failed") for n in range(5, 9)]
    good = [ended(n, {"train.rate": 1e-4 * n, "train.rank": 4, "curate.filters": ["cited"]}, 1.0) for n in range(1, 5)]
    near = [propose(SPACE, good + bad, seed, 9)["train.rate"] > 0.02 for seed in range(20)]
    told = [propose(SPACE, good + [ended(t.number, t.settings, 0.5) for t in bad], seed, 9)["train.rate"] > 0.02 for seed in range(20)]
    assert sum(near) < sum(told) / 2, (sum(near), sum(told))


@pytest.mark.parametrize(("loss", "ends"), [(9.0, True), (2.9, False), (0.1, False)])
def test_a_trial_above_the_median_is_given_up(loss: float, ends: bool) -> None:
    past = [ended(n, {}, value) for n, value in enumerate((1.0, 2.0, 3.0), 1)]  # 2, 3 and 4 at step 2
    assert give_up(past, [(2, loss)]) is ends
    assert give_up(past[:1], [(2, loss)]) is False, "one alone is no median"
    assert give_up(past, [(3, loss)]) is False, "none of them measured there"
    assert give_up([ended(t.number, {}, 1.0, "pruned") for t in past], [(2, loss)]) is False, "what was given up itself is no measure"
