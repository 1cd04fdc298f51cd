"""What is still to come, told from a sample: calls, tokens, money, rows and time, each with a 95 % interval. Arithmetic only, no I/O.

The interval is a predictive bootstrap: the sampled units are drawn anew, and then as many units as are left are drawn from that draw. So it
holds both what twenty units cannot tell about the mean and how much the units themselves differ. Seeded: the same sample, the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .seeds import seed_of

REPLICATES = 4000
DAY = 86_400.0  # seconds


class Spent(NamedTuple):
    """What one unit came to: calls, tokens as the model counts them, rows kept, seconds of its own.

    `beside_…` is what other models than the teacher were asked, and what that costs at their own prices.
    """

    calls: float
    tokens_in: float
    tokens_out: float
    rows: float
    seconds: float = 0.0
    beside_calls: float = 0.0
    beside_in: float = 0.0
    beside_out: float = 0.0
    beside_usd: float = 0.0


class Interval(NamedTuple):
    """An expected value and its 95 % interval. None: not known; a value without `low` and `high` comes from too small a sample."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Totals(NamedTuple):
    """What a number of units will come to, all models together."""

    calls: Interval
    tokens_in: Interval
    tokens_out: Interval
    rows: Interval
    seconds: Interval
    usd: Interval
    affordable: Interval  # rows that the budget buys; as `rows` where there is none


class Budget(NamedTuple):
    """What may still be spent, None: no limit; the teacher's prices in USD per million tokens, None: not known.

    `priced`: whether what other models are asked has known prices too.
    """

    usd: float | None = None
    tokens: float | None = None
    price_in: float | None = 0.0
    price_out: float | None = 0.0
    priced: bool = True

    def cost(self, spent: Spent) -> np.ndarray | None:
        """USD of columns of numbers; None where a price is not known."""
        if self.price_in is None or self.price_out is None or not self.priced:
            return None
        return (spent.tokens_in * self.price_in + spent.tokens_out * self.price_out) / 1e6 + spent.beside_usd

    def share(self, spent: Spent) -> np.ndarray:
        """How much of the work the budget buys, 0 to 1. Money with an unknown price limits nothing."""
        tokens = spent.tokens_in + spent.tokens_out + spent.beside_in + spent.beside_out
        found = np.ones_like(tokens, dtype=float)
        for left, needed in ((self.usd, self.cost(spent)), (self.tokens, tokens)):
            if left is not None and needed is not None:
                found = np.minimum(found, max(0.0, left) / np.maximum(needed, 1e-12))
        return found


def predict(sample: Sequence[Spent], units: int, budget: Budget, seed: int) -> Totals:
    """What `units` more units like the sampled ones will come to. An empty sample tells nothing; one unit gives no interval."""
    if units == 0:
        sample = [Spent(0, 0, 0, 0)] * 2
    if not sample:
        return Totals(*[Interval(None)] * 7)
    seen = np.array(sample, dtype=float)
    centre = seen.mean(axis=0)[None, :] * units
    drawn = _replicates(seen, units, seed) if len(sample) > 1 else np.empty((0, seen.shape[1]))
    everything = np.concatenate([centre, drawn])  # the first row is the expectation
    columns: Any = Spent(*everything.T)
    usd = budget.cost(columns)
    return Totals(
        calls=_interval(columns.calls + columns.beside_calls), tokens_in=_interval(columns.tokens_in + columns.beside_in),
        tokens_out=_interval(columns.tokens_out + columns.beside_out), rows=_interval(columns.rows), seconds=_interval(columns.seconds),
        usd=Interval(None) if usd is None else _interval(usd), affordable=_interval(columns.rows * budget.share(columns)),
    )  # fmt: skip


def between(sample: Sequence[Spent], units: tuple[int, int, int], budget: Budget, seed: int) -> Totals:
    """What an uncertain number of units (expected, fewest, most) will come to: as wide as both are uncertain."""
    if len(set(units)) == 1:
        return predict(sample, units[0], budget, seed)
    middle, few, many = (predict(sample, n, budget, seed) for n in units)
    return Totals(*(Interval(m.value, f.low, n.high) for m, f, n in zip(middle, few, many, strict=True)))


def _replicates(seen: np.ndarray, units: int, seed: int) -> np.ndarray:
    """(REPLICATES, columns): totals of `units` units, each replicate drawn from its own draw of the sample."""
    n = len(seen)
    random = np.random.default_rng(seed_of(seed, "forecast", n, units))
    weights = random.multinomial(n, [1 / n] * n, size=REPLICATES) / n
    totals = random.multinomial(units, weights) @ seen
    centre = seen.mean(axis=0) * units
    # Small samples spread less than what they were drawn from: widened as Student's t asks (z + (z³ + z) / 4ν, its first terms).
    wider = math.sqrt(n / (n - 1)) * (1.96 + (1.96**3 + 1.96) / (4 * (n - 1))) / 1.96
    return np.maximum(0.0, centre + (totals - centre) * wider)


def _interval(values: np.ndarray) -> Interval:
    """The first is the expectation, the others are the replicates."""
    value = float(values[0])
    if len(values) == 1:
        return Interval(value)
    low, high = (float(v) for v in np.percentile(values[1:], [2.5, 97.5]))
    return Interval(value, min(low, value), max(high, value))


class Pace(NamedTuple):
    """How fast the sample was answered: mean seconds of a call, calls a second, and how many calls of a unit wait for each other."""

    latency: float
    calls_per_second: float
    depth: int = 1


class Allowed(NamedTuple):
    """What limits the rate of calls: calls in flight; requests and tokens a minute, tokens a day, 0: no limit.

    `taken`: calls in flight that the endpoint took when it had refused more, 0: it refused none. `day_used`: tokens of the last 24 hours.
    """

    in_flight: int
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    taken: int = 0
    tokens_per_day: int = 0
    day_used: float = 0.0


def duration(totals: Totals, pace: Pace | None, allowed: Allowed) -> Interval:
    """Seconds for the calls of `totals`.

    `low` is as fast as the calls in flight and the limits allow, at the measured latency; `high` is the pace of the sample, not sped up. The value
    is `low`'s rate, or, where the endpoint refused calls, that of as many in flight as it then took; it may take a third more than the
    engine had found out. Without a pace only the configured limits speak, and only for `low`.
    """
    calls, tokens = totals.calls, _sum(totals.tokens_in, totals.tokens_out)
    if not calls.value:
        return Interval(0.0, 0.0, 0.0) if calls.value == 0 else Interval(None)

    def at(count: float | None, token_count: float | None, rate: float) -> float | None:
        if count is None or token_count is None:
            return None
        slowest = [count / rate] if rate else [0.0]
        slowest += [60 * count / allowed.requests_per_minute] if allowed.requests_per_minute else []
        slowest += [60 * token_count / allowed.tokens_per_minute] if allowed.tokens_per_minute else []
        slowest += [DAY * days(token_count, allowed)] if allowed.tokens_per_day else []
        return max(*slowest, pace.depth * pace.latency) if pace else max(slowest)

    if pace is None:
        return Interval(None, at(calls.low, tokens.low, 0.0) or None)

    def rate(in_flight: float) -> float:
        return max(pace.calls_per_second, min(in_flight, allowed.in_flight) / pace.latency) if pace.latency else pace.calls_per_second

    likely, most = (allowed.taken, allowed.taken * 4 / 3) if allowed.taken else (allowed.in_flight, allowed.in_flight)
    low, value = at(calls.low, tokens.low, rate(most)), at(calls.value, tokens.value, rate(likely))
    return Interval(value, low, at(calls.high, tokens.high, pace.calls_per_second))


def days(tokens: float, allowed: Allowed) -> int:
    """Nights to wait for the day's tokens: what is left today, then a whole limit each 24 hours."""
    today = max(0.0, allowed.tokens_per_day - allowed.day_used)
    return math.ceil(max(0.0, tokens - today) / allowed.tokens_per_day)


def waves(calls: float, left: float | None, worst: float, real: float) -> tuple[int, float]:
    """How many batches, one after the other, `calls` take where `left` of a budget must hold the worst case of each batch; and what is left then.

    None: no budget. 0 batches where not one call fits.
    """
    if left is None or worst <= 0:
        return (1 if calls > 0 else 0), left or 0.0
    done = 0
    while calls > 0 and (fit := math.floor(left / worst)) > 0:
        fit = min(math.ceil(calls), fit)
        calls, left, done = calls - fit, left - fit * min(real, worst), done + 1
    return done, left


def _sum(a: Interval, b: Interval) -> Interval:
    """The ends added: as wide as two that move together."""
    return Interval(*(None if x is None or y is None else x + y for x, y in zip(a, b, strict=True)))


def scaled(interval: Interval, factor: float, plus: float = 0.0) -> Interval:
    """The interval times a factor, and something certain added."""
    return Interval(*(None if v is None else v * factor + plus for v in interval))


def stretched(interval: Interval, less: float, more: float) -> Interval:
    """The ends moved out by a factor each: for what no sample tells."""
    low = interval.value if interval.low is None else interval.low
    high = interval.value if interval.high is None else interval.high
    return Interval(interval.value, None if low is None else low * less, None if high is None else high * more)


def fits(left: float, needed: Interval) -> str:
    """Whether an amount is enough: `yes`, `no`, `perhaps` where the interval holds it, `not known` where the need is not."""
    if needed.value is None:
        return "not known"
    low, high = (needed.value if end is None else end for end in (needed.low, needed.high))
    return "yes" if high <= left else "no" if low > left else "perhaps"
