"""As many calls at once as the endpoint takes: the rules alone, against a simulated endpoint and a simulated clock."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import NamedTuple

import pytest

from groundling.llm.pace import START, Pace


class Clock:
    """Time that only moves when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Seen(NamedTuple):
    """What an endpoint saw from the tenth second on: share of its capacity in use, share of calls refused; the levels, each 0.05 s."""

    held: float
    refused: float
    levels: list[int]


def endpoint(
    capacity: Callable[[float], int],
    latency: float,
    seconds: float,
    ceiling: int = 256,
    retry_after: float = 0.0,
    stray: float = 0.0,
    refusal: float = 0.003,
) -> Seen:
    """Play an endpoint with more work than it can do. A refusal takes `refusal` seconds."""
    clock, r = Clock(), random.Random(1)
    pace = Pace(ceiling, clock)
    events: list[tuple[float, int, str, int]] = [(0.0, 0, "tick", 0)]
    busy, area, last, order = 0, 0.0, 10.0, 0
    late = {"done": 0, "refused": 0}
    levels: list[int] = []

    def later(after: float, kind: str, number: int = 0) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (clock.now + after, order, kind, number))

    while events[0][0] <= seconds:
        at, _, kind, number = heapq.heappop(events)
        if at > 10:
            area += min(1.0, busy / capacity(at)) * (at - last)
            last = at
        clock.now = at
        if kind in late and at > 10:
            late[kind] += 1
        if kind == "tick":
            levels.append(pace.limit)
            later(0.05, "tick")
        elif kind == "served":
            busy -= 1
            later(0.0005, "done")
        elif kind == "done":
            pace.succeeded()
            pace.ended()
        else:
            pace.refused(number, retry_after)
            pace.ended()
        pace.tick()
        while pace.free():
            number = pace.start()
            if busy >= capacity(at) or r.random() < stray:
                later(refusal, "refused", number)
            else:
                busy += 1
                later(latency * r.uniform(0.8, 1.2), "served")
    return Seen(area / (seconds - 10), late["refused"] / max(1, sum(late.values())), levels)


@pytest.mark.parametrize("latency", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("capacity", [4, 20, 32, 33, 100, 200])
def test_the_capacity_is_held_and_few_calls_are_refused(capacity: int, latency: float) -> None:
    seen = endpoint(lambda at: capacity, latency, 40 if latency < 1 else 120)
    assert seen.held >= 0.95, seen.levels[::20]
    assert seen.refused < 0.015, seen.levels[::20]


@pytest.mark.parametrize("latency", [0.05, 1.0])
def test_refusals_that_take_their_time_are_no_reason_to_send_more(latency: float) -> None:
    """Levels rise again every quarter of a second: before a refusal of the last rise has come."""
    seen = endpoint(lambda at: 32, latency, 60, refusal=0.6)
    assert seen.held >= 0.9 and seen.refused < 0.1, seen.levels[::20]


def test_an_endpoint_of_one_at_a_time_is_not_flooded() -> None:
    seen = endpoint(lambda at: 1, 0.05, 60)
    assert seen.held >= 0.95 and seen.refused < 0.02


def test_retry_after_on_single_refusals_does_not_stop_the_rest() -> None:
    assert endpoint(lambda at: 32, 0.05, 40, retry_after=1.0).held >= 0.95


def test_refusals_at_random_do_not_bring_it_to_its_knees() -> None:
    levels = endpoint(lambda at: 10_000, 0.05, 60, stray=0.01).levels[200:]
    assert sum(levels) / len(levels) > 64, levels[::20]


@pytest.mark.parametrize(("latency", "refused"), [(0.05, 0.01), (1.0, 0.08)])
def test_an_endpoint_that_refuses_every_call_is_hardly_asked_and_soon_filled_when_it_takes_them_again(latency: float, refused: float) -> None:
    """A quota that is used up from the 15th to the 60th second."""
    seen = endpoint(lambda at: -1 if 15 <= at < 60 else 64, latency, 100)
    assert seen.refused < refused, "some dozens of refusals, not one every few milliseconds"
    assert set(seen.levels[int(40 / 0.05) : int(60 / 0.05)]) == {1}
    assert seen.levels[int(85 / 0.05)] >= 48, "a try after 20 s at most, and a few seconds to the old level"


def test_it_is_given_up_after_a_while_sooner_where_it_never_took_a_call() -> None:
    clock = Clock()
    never, once = Pace(8, clock), Pace(8, clock)
    once.start()
    once.succeeded()
    once.ended()
    for seconds in range(0, 90_000, 30):
        clock.now = float(seconds)
        for pace in (never, once):
            pace.refused(pace.start())
            pace.ended()
        assert never.hopeless == (seconds > 600) and once.hopeless == (seconds > 86_400)
    once.succeeded()
    assert not once.hopeless and not once.refusing


def test_a_capacity_that_changes_is_followed_down_and_up() -> None:
    seen = endpoint(lambda at: 64 if at < 15 else 16 if at < 30 else 128, 0.05, 60)
    assert seen.held >= 0.85 and seen.refused < 0.02, seen.levels[::20]
    assert 14 <= seen.levels[int(29 / 0.05)] <= 16 and seen.levels[-1] >= 120


def test_it_starts_at_16_and_doubles_every_quarter_second_up_to_the_ceiling() -> None:
    levels = endpoint(lambda at: 10_000, 0.05, 11).levels
    assert [levels[int(at / 0.05) + 1] for at in (0.0, 0.25, 0.5, 0.75, 1.0, 2.0)] == [16, 32, 64, 128, 256, 256]
    assert max(endpoint(lambda at: 10_000, 0.05, 11, ceiling=40).levels) == 40
    assert Pace(3, Clock()).limit == 3


def started(pace: Pace, count: int) -> list[int]:
    return [pace.start() for _ in range(count)]


def test_a_burst_of_refusals_cuts_once() -> None:
    pace = Pace(256, Clock())
    numbers = started(pace, START)
    assert [pace.refused(n) for n in numbers[:4]] == [True, False, False, False]
    assert pace.limit == START * 3 // 4, "twelve of sixteen were taken"
    assert [pace.refused(n) for n in numbers[4:6]] == [False, False] and pace.limit == 10, "the rest of the burst tells how many"
    for _ in numbers:
        pace.ended()
    assert pace.refused(pace.start()), "a call sent after the cut is a new burst"


def test_without_demand_the_level_does_not_rise() -> None:
    clock = Clock()
    pace = Pace(256, clock)
    for _ in range(100):
        clock.now += 1
        pace.start()
        pace.tick()
        pace.succeeded()
        pace.ended()
    assert pace.limit == START


def test_where_nothing_goes_through_between_two_cuts_all_wait_as_long_as_asked() -> None:
    clock = Clock()
    pace = Pace(256, clock)
    pace.refused(pace.start(), retry_after=20)
    pace.ended()
    assert pace.free(), "one refusal is the refused call's own matter"
    pace.refused(pace.start(), retry_after=20)
    pace.ended()
    assert not pace.free()
    clock.now = 19.9
    assert not pace.free()
    clock.now = 20.1
    assert pace.free()


def test_after_an_outage_it_starts_anew() -> None:
    clock = Clock()
    pace = Pace(256, clock)
    for n in started(pace, 3):
        pace.refused(n)
        pace.ended()
    pace.restart()
    assert pace.limit == START
