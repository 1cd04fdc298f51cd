"""The arithmetic of a plan: right in the mean, honest about what a sample cannot tell, never falling with more work."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.forecast import Allowed, Budget, Interval, Pace, Spent, duration, fits, predict, scaled, waves

SAMPLE = [Spent(4, 300 + 20 * n, 60 + n, 3 - (n % 3 == 0), 0.5) for n in range(20)]


def test_the_expectation_is_the_sample_s_mean_times_the_units() -> None:
    told = predict(SAMPLE, 1000, Budget(price_in=2.0, price_out=8.0), seed=1)
    mean_in, mean_out = np.mean([s.tokens_in for s in SAMPLE]), np.mean([s.tokens_out for s in SAMPLE])
    assert told.calls.value == 4000 and told.tokens_in.value == pytest.approx(1000 * mean_in)
    assert told.usd.value == pytest.approx((1000 * mean_in * 2 + 1000 * mean_out * 8) / 1e6)
    assert told.calls == Interval(4000, 4000, 4000), "what never differed in the sample has no spread"
    assert told.tokens_in.low < told.tokens_in.value < told.tokens_in.high
    assert told.affordable == told.rows, "no budget, no limit"


def test_the_same_sample_gives_the_same_interval_and_another_seed_another() -> None:
    assert predict(SAMPLE, 100, Budget(), 1) == predict(SAMPLE, 100, Budget(), 1) != predict(SAMPLE, 100, Budget(), 2)


@pytest.mark.parametrize(("pilot", "units"), [(20, 25), (20, 2000), (8, 200)])
def test_the_interval_holds_the_truth_about_as_often_as_it_says(pilot: int, units: int) -> None:
    """120 populations with long-tailed lengths: a nominal 95 % interval that held fewer than 85 % would mislead."""
    random, held = np.random.default_rng(5), 0
    for trial in range(120):
        lengths = random.lognormal(6, 0.6, pilot + units)
        told = predict([Spent(1, t, 0, 1) for t in lengths[:pilot]], units, Budget(), trial).tokens_in
        held += told.low <= lengths[pilot:].sum() <= told.high
    assert held >= 0.85 * 120


def test_a_small_remainder_is_less_certain_than_its_mean() -> None:
    """Ten more units differ by themselves; of ten thousand only the mean is uncertain."""
    width = {n: (t := predict(SAMPLE, n, Budget(), 1).tokens_in).high / t.value - t.low / t.value for n in (10, 10_000)}
    assert width[10] > 1.3 * width[10_000]


def test_what_is_not_known_is_not_told() -> None:
    assert predict([], 10, Budget(), 1).calls == Interval(None)
    assert predict(SAMPLE[:1], 10, Budget(), 1).tokens_in == Interval(3000.0), "one unit tells no interval"
    assert predict(SAMPLE, 10, Budget(price_in=None, price_out=None), 1).usd == Interval(None)
    assert predict([], 0, Budget(), 1).calls == Interval(0, 0, 0), "nothing left is certain"


def test_a_budget_buys_its_share_of_the_rows() -> None:
    whole = predict(SAMPLE, 100, Budget(price_in=1.0, price_out=1.0), 1)
    half = predict(SAMPLE, 100, Budget(usd=whole.usd.value / 2, price_in=1.0, price_out=1.0), 1)
    assert half.affordable.value == pytest.approx(whole.rows.value / 2)
    assert half.affordable.low < half.affordable.value < half.affordable.high
    assert predict(SAMPLE, 100, Budget(tokens=0, price_in=1.0), 1).affordable == Interval(0, 0, 0)
    assert predict(SAMPLE, 100, Budget(usd=1e9, price_in=1.0, price_out=1.0), 1).affordable == whole.rows


@pytest.mark.parametrize(
    ("left", "needed", "word"),
    [(10, Interval(5, 4, 9), "yes"), (10, Interval(9, 8, 12), "perhaps"), (10, Interval(30, 20, 40), "no"), (10, Interval(None), "not known")],
)
def test_whether_it_is_enough(left: float, needed: Interval, word: str) -> None:
    assert fits(left, needed) == word


def totals(calls: int) -> object:
    return predict([Spent(1, 900, 100, 1)] * 20, calls, Budget(), 1)


def test_time_lies_between_the_ceiling_and_the_pilot_s_pace() -> None:
    pace = Pace(latency=2.0, calls_per_second=8.0, depth=2)
    assert duration(totals(800), pace, Allowed(100)) == Interval(16.0, 16.0, 100.0)
    refused = duration(totals(800), pace, Allowed(100, taken=24))
    assert refused == Interval(pytest.approx(800 / 12), pytest.approx(50.0), 100.0), "24 at once of 2 s, or a third more; at worst the pilot's pace"
    assert duration(totals(1), pace, Allowed(100)).value == 4.0, "calls of a unit wait for each other"
    assert duration(totals(0), pace, Allowed(100)) == Interval(0, 0, 0)


def test_limits_of_the_contract_set_the_time() -> None:
    pace = Pace(latency=2.0, calls_per_second=8.0)
    assert duration(totals(800), pace, Allowed(100, requests_per_minute=60)).value == 800
    assert duration(totals(800), pace, Allowed(100, tokens_per_minute=100_000)).value == 480
    assert duration(totals(800), None, Allowed(100, requests_per_minute=60)) == Interval(None, 800.0), "not measured, but not less than this"
    assert duration(totals(800), None, Allowed(100)) == Interval(None)


def test_a_limit_of_tokens_a_day_is_nights_of_waiting() -> None:
    pace = Pace(2.0, 8.0, 2)
    assert duration(totals(800), pace, Allowed(100, tokens_per_day=800_000)).value == 16.0, "it fits in today"
    used = duration(totals(800), pace, Allowed(100, tokens_per_day=500_000, day_used=400_000))
    assert used.value == 2 * 86_400, "100,000 today, 500,000 tomorrow, the rest on the day after"


def test_a_budget_that_holds_every_worst_case_makes_more_batches() -> None:
    assert waves(1000, None, 10.0, 1.0) == (1, 0.0) and waves(0, None, 10.0, 1.0)[0] == 0
    assert waves(1000, 10_000.0, 10.0, 1.0)[0] == 1
    done, left = waves(1000, 4000.0, 10.0, 1.0)
    assert done == 3 and left == 3000.0, "400, then 360 of the 3,600 that are left, then the rest"
    assert waves(1000, 5.0, 10.0, 1.0) == (0, 5.0)


@given(units=st.integers(0, 500), more=st.integers(1, 500))
@settings(max_examples=15)
def test_more_work_never_costs_less(units: int, more: int) -> None:
    budget = Budget(price_in=1.0, price_out=1.0)
    less, much = predict(SAMPLE, units, budget, 3), predict(SAMPLE, units + more, budget, 3)
    assert less.usd.value < much.usd.value and less.calls.value < much.calls.value
    assert 0 <= less.tokens_in.low <= less.tokens_in.value <= less.tokens_in.high


def test_scaling_keeps_what_is_not_known() -> None:
    assert scaled(Interval(10, None, 20), 2, plus=1) == Interval(21, None, 41)
