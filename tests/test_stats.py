import math

import numpy as np
import pytest

from groundling import stats


def test_wilson_agrees_with_the_published_intervals():
    """RAFT's tutorial published 54 and 53 of 71 as a victory; the intervals are from the project's facts, section 1b."""
    assert [100 * v for v in stats.wilson(54, 71)] == pytest.approx([65.0, 84.5], abs=0.06)
    assert [100 * v for v in stats.wilson(53, 71)] == pytest.approx([63.5, 83.3], abs=0.06)


def test_wilson_at_the_edges():
    low, high = stats.wilson(0, 10)
    assert low == 0 and high == pytest.approx(stats.Z**2 / (10 + stats.Z**2))
    assert stats.wilson(10, 10)[1] == pytest.approx(1) and stats.wilson(0, 0) == (None, None)


def test_mcnemar_by_hand():
    assert stats.mcnemar(0, 6) == 2 / 64
    assert stats.mcnemar(1, 5) == 2 * (1 + 6) / 64
    assert stats.mcnemar(3, 3) == 1 and stats.mcnemar(0, 0) == 1
    assert 0 < stats.mcnemar(500, 900) < 1e-20


def column(values):
    return np.array([[v, 1.0] for v in values])


def test_bootstrap_is_seeded_and_has_the_width_of_theory():
    parts = column(np.random.default_rng(0).random(400))
    low, high = stats.bootstrap(parts, seed=3)
    assert (low, high) == stats.bootstrap(parts, seed=3) != stats.bootstrap(parts, seed=4)
    assert high - low == pytest.approx(2 * stats.Z * parts[:, 0].std() / math.sqrt(400), rel=0.1)
    assert stats.bootstrap(parts[:1]) == (None, None) and stats.bootstrap(parts[:0]) == (None, None)


def test_bootstrap_of_a_ratio_draws_questions_not_citations():
    clustered = np.array([[10.0, 10.0], [0.0, 10.0]] * 10)  # twenty questions of ten citations each
    low, high = stats.bootstrap(clustered, lambda hits, cited: hits / cited, seed=1)
    assert high - low == pytest.approx(2 * stats.Z * 0.5 / math.sqrt(20), rel=0.15)


def test_swap_test_by_hand():
    first, second = column([0, 0, 0, 0]), column([0.5, 0.4, 0.3, 0.2])
    p = stats.swap_test(first, second, seed=1)  # of the 16 sign patterns only two are as large
    assert p == pytest.approx(2 / 16, abs=0.02) and p == stats.swap_test(first, second, seed=1)
    assert stats.swap_test(first, first) == 1
    assert stats.swap_test(first[:0], first[:0]) is None


def test_swap_test_of_a_ratio_without_denominator():
    nothing, cited = np.zeros((3, 2)), np.ones((3, 2))
    assert stats.swap_test(nothing, cited) is None  # the first has no value, so there is no difference
    assert stats.combined(nothing, lambda a, b: a / b) is None and stats.combined(cited[:0], stats.mean) is None


def test_swap_test_keeps_its_level():
    random = np.random.default_rng(5)
    ps = [stats.swap_test(column(random.random(20)), column(random.random(20)), seed=n, rounds=500) for n in range(200)]
    assert sum(p < 0.05 for p in ps) <= 20


def test_difference_interval():
    first, second = column([0.1] * 10), column([0.3] * 10)
    second[0, 0] = 0.2
    low, high = stats.difference_interval(first, second)
    assert 0.15 < low < 0.19 < high == pytest.approx(0.2)


@pytest.mark.parametrize(("gap", "low", "high"), [(0.0, -0.1633, 0.1633), (1.0, 0.5666, 1.0), (-1.0, -1.0, -0.5666)])
def test_a_difference_that_is_the_same_everywhere_is_not_certain(gap: float, low: float, high: float) -> None:
    """By hand: ten questions and two halves a side, 1.96 √(|gap| + 1 − gap² / 12) / 12 about gap / 12."""
    first = column([max(0.0, -gap)] * 10)
    assert stats.difference_interval(first, first + column([gap] * 10) * [1, 0]) == pytest.approx((low, high), abs=1e-4)
