"""Requests and tokens a minute, tokens a day, on a simulated clock. And the breaker."""

from __future__ import annotations

import asyncio

import pytest

from groundling.llm.breaker import BROKEN, FIRST_WAIT, LONGEST_WAIT, PATIENCE, UNREACHABLE, Breaker
from groundling.llm.gate import gate
from groundling.llm.limits import Limits, Window
from groundling.llm.meter import Meter

from .test_pace import Clock


def sent(window: Window, clock: Clock, amount: float, until: float) -> list[float]:
    """Send as soon as is allowed; the times."""
    times = []
    while clock.now < until:
        wait = window.wait(amount)
        if wait:
            clock.now += wait
        else:
            window.take(amount)
            times.append(clock.now)
            clock.now += 0.01
    return times


@pytest.mark.parametrize("start", [0.0, 33.333, 1e6 + 0.05])
def test_no_minute_holds_more_than_the_limit_and_none_much_less(start: float) -> None:
    clock = Clock()
    clock.now = start
    times = sent(Window(100, 60, clock), clock, 1, start + 600)
    assert max(sum(t <= other < t + 60 for other in times) for t in times) == 100
    assert 980 <= len(times) <= 1100


def test_tokens_are_settled_up_and_down() -> None:
    clock = Clock()
    window = Window(100, 60, clock)
    slot = window.take(80)
    assert window.wait(30) > 0
    window.settle(slot, -60)
    assert window.wait(30) == 0
    window.settle(slot, +70)
    assert window.wait(30) > 0
    clock.now = 61
    assert window.wait(100) == 0
    window.settle(slot, -50)
    assert window.used == 0, "what has left the window is not settled any more"


def test_what_is_larger_than_the_limit_goes_alone() -> None:
    clock = Clock()
    window = Window(100, 60, clock)
    assert window.wait(500) == 0
    window.take(500)
    assert 60 <= window.wait(1) <= 60.2


def test_each_limit_holds_and_none_is_none() -> None:
    clock = Clock()
    assert not Limits(0, 0, 0, clock).any and Limits(0, 0, 0, clock).wait(1e9) == 0
    for limits, calls in ((Limits(3, 0, 0, clock), 3), (Limits(0, 30, 0, clock), 3), (Limits(0, 0, 40, clock), 4)):
        count = 0
        while limits.wait(10) == 0:
            limits.take(10)
            count += 1
        assert count == calls


def test_a_day_counts_what_earlier_runs_used() -> None:
    clock = Clock()
    limits = Limits(0, 0, 100, clock)
    limits.used_before([(80_000.0, 60), (10.0, 30)])
    assert limits.wait(10) == 0
    assert 6400 < limits.wait(20) < 6800, "the older 60 leave the window a day after they were used"
    clock.now = 6800
    assert limits.wait(70) == 0
    old = Limits(0, 0, 100, clock)
    old.used_before([(90_000.0, 100)])
    assert old.wait(100) == 0


def test_what_a_call_really_took_is_counted() -> None:
    clock = Clock()
    limits = Limits(0, 100, 0, clock)
    taken = limits.take(90)
    assert limits.wait(20) > 0
    limits.settle(taken, 10)
    assert limits.wait(20) == 0


def test_the_breaker_opens_for_an_endpoint_that_is_down_probes_with_one_call_and_closes() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    assert [breaker.broke(n, unreachable=True) for n in range(UNREACHABLE)] == [False] * (UNREACHABLE - 1) + [True]
    assert not breaker.allows() and breaker.seconds_left == FIRST_WAIT
    assert not breaker.broke(99, unreachable=True), "a call from before says nothing new"
    clock.now += FIRST_WAIT
    assert breaker.allows()
    breaker.sent(100)
    assert not breaker.allows(), "one call probes"
    assert breaker.broke(100, unreachable=True) and breaker.seconds_left == 2 * FIRST_WAIT
    clock.now += 2 * FIRST_WAIT
    breaker.sent(101)
    assert not breaker.answered(98) and breaker.open, "a late answer to a call from before says nothing new"
    assert breaker.answered(101) and breaker.allows() and not breaker.open
    assert not breaker.answered(102), "told once"


def test_waits_for_a_probe_grow_to_a_minute() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for n in range(UNREACHABLE):
        breaker.broke(n, True)
    waits = []
    for n in range(100, 110):
        waits.append(breaker.seconds_left)
        clock.now += breaker.seconds_left
        breaker.sent(n)
        breaker.broke(n, True)
    assert waits[:4] == [1, 2, 4, 8] and waits[-1] == LONGEST_WAIT


def test_calls_that_break_now_and_then_do_not_open_it() -> None:
    breaker = Breaker(Clock())
    for n in range(1000):
        assert not breaker.broke(n, unreachable=False)
        if n % (BROKEN - 1) == BROKEN - 2:
            breaker.answered(1)
    breaker.answered(1)
    assert [breaker.broke(2000 + n, unreachable=False) for n in range(BROKEN)] == [False] * (BROKEN - 1) + [True]


def test_a_probe_that_was_given_up_makes_room_for_another() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for n in range(UNREACHABLE):
        breaker.broke(n, True)
    clock.now += FIRST_WAIT
    breaker.sent(50)
    breaker.gone(50)
    assert breaker.allows()


def test_a_call_that_leaves_without_a_word_gives_its_place_back_also_as_a_probe() -> None:
    async def main() -> None:
        clock = Clock()
        door = gate((0, 0, 0), 2, Meter(clock), clock)
        for n in range(UNREACHABLE):
            door.breaker.broke(n, True)
        clock.now += FIRST_WAIT
        for _ in range(3):
            call = await asyncio.wait_for(door.enter(10, again=False), 1)
            assert door.pace.in_flight == 1 and not door.breaker.allows()
            door.leave(call, 0)
        assert door.pace.in_flight == 0 and door.breaker.allows()

    asyncio.run(main())


def test_a_call_cancelled_in_the_moment_it_was_let_through_leaves_no_trace() -> None:
    async def main() -> None:
        clock = Clock()
        door = gate((0, 0, 0), 1, Meter(clock), clock)
        first = await door.enter(10, again=False)
        waiting = asyncio.ensure_future(door.enter(10, again=False))
        await asyncio.sleep(0)
        door.leave(first, 0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled() and door.pace.in_flight == 0

    asyncio.run(main())


def test_an_endpoint_that_never_answered_is_hopeless_after_a_while_and_one_that_did_is_not() -> None:
    for answered in (False, True):
        clock = Clock()
        breaker = Breaker(clock)
        if answered:
            breaker.answered(1)
        for n in range(UNREACHABLE):
            breaker.broke(n, True)
        assert not breaker.hopeless
        clock.now += PATIENCE + 1
        assert breaker.hopeless is not answered
