"""Intervals and paired tests. The unit is always the question: answers to one question are not independent of each other.

Wilson's interval for shares; the percentile bootstrap for everything else. McNemar's exact test for paired shares; for everything else the
permutation test that swaps the two models' results on each question (with plain numbers: flips the sign of their difference).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy import ndarray

Z = 1.959963984540054
ROUNDS, FLIPS = 2_000, 10_000
_BLOCK = 500  # rounds computed at once: bounds the memory for ten thousand questions
Combine = Callable[..., Any]
Interval = tuple[float | None, float | None]


def mean(total: Any, count: Any) -> Any:
    """The combination of the parts (score, 1)."""
    return total / count


def wilson(successes: float, n: int) -> Interval:
    """Wilson's 95 % interval of a share."""
    if n == 0:
        return None, None
    share, z2 = successes / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # At 0 and at 1 the ends meet the share exactly; rounding must not put them a hair beside it.
    return (0.0 if successes == 0 else middle - half), (1.0 if successes == n else middle + half)


def combined(parts: ndarray, combine: Combine) -> float | None:
    """The value of all questions together; None where it is not defined."""
    value = float(_values(parts.sum(axis=0, keepdims=True), combine)[0]) if len(parts) else math.nan
    return None if math.isnan(value) else value


def _values(sums: ndarray, combine: Combine) -> ndarray:
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.asarray(combine(*sums.T), dtype=float)
    return np.where(np.isfinite(values), values, np.nan)


def _added(times: ndarray, parts: ndarray) -> ndarray:
    """Each round's sums. Not by `@`: on a machine whose cores are busy training, BLAS's waiting threads make that thirty times slower."""
    import numpy as np

    return np.einsum("rn,np->rp", times.astype(float), parts)


def bootstrap(parts: ndarray, combine: Combine = mean, seed: int = 0, rounds: int = ROUNDS) -> Interval:
    """The 95 % percentile interval of questions drawn with replacement. `parts`: a row for each question.

    One question says nothing about spread, so it has no interval.
    """
    import numpy as np

    n = len(parts)
    if n < 2:
        return None, None
    random = np.random.default_rng(seed)
    values = []
    for done in range(0, rounds, _BLOCK):
        drawn = random.multinomial(n, np.full(n, 1 / n), size=min(_BLOCK, rounds - done))
        values.append(_values(_added(drawn, parts), combine))
    every = np.concatenate(values)
    if np.isnan(every).all():
        return None, None
    low, high = np.nanpercentile(every, [2.5, 97.5])
    return float(low), float(high)


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p of McNemar's test from the two counts of questions that only one of the models got."""
    n = only_first + only_second
    tail = sum(math.comb(n, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**n)


def swap_test(first: ndarray, second: ndarray, combine: Combine = mean, seed: int = 0, rounds: int = FLIPS) -> float | None:
    """The two-sided p of the permutation test: how often is the difference as large when the models are swapped at random on each question?

    `first` and `second` hold a row of parts for each question, in the same order. None where the observed difference is not defined. A
    swap that leaves the difference undefined counts as large: that can only raise p.
    """
    import numpy as np

    if not len(first):
        return None
    observed = _values(second.sum(axis=0, keepdims=True), combine)[0] - _values(first.sum(axis=0, keepdims=True), combine)[0]
    if np.isnan(observed):
        return None
    random, total, gap = np.random.default_rng(seed), first.sum(axis=0), second - first
    both, large = total + second.sum(axis=0), 0
    for done in range(0, rounds, _BLOCK):
        swapped = _added(random.integers(0, 2, size=(min(_BLOCK, rounds - done), len(first))), gap) + total
        differences = _values(both - swapped, combine) - _values(swapped, combine)
        large += int((~(np.abs(differences) < abs(observed) - 1e-12)).sum())
    return (large + 1) / (rounds + 1)


def difference_interval(first: ndarray, second: ndarray, combine: Combine = mean, seed: int = 0) -> Interval:
    """The bootstrap interval of second minus first, both on the same drawn questions.

    Where the models differ equally on every question, all draws are the same and would claim certainty from a few questions: then the interval for
    matched shares of Agresti and Min (Statistics in Medicine 2005, 24:729), which adds half a question to each of the four outcomes.
    """
    import numpy as np

    width = first.shape[1] if first.ndim == 2 else 0
    low, high = bootstrap(np.hstack([first, second]), lambda *sums: combine(*sums[width:]) - combine(*sums[:width]), seed)
    if low is None or high is None or high - low > 1e-9:
        return low, high
    n = len(first) + 2
    gap = low * len(first)
    half = Z * math.sqrt(abs(gap) + 1 - gap * gap / n) / n
    return max(-1.0, gap / n - half), min(1.0, gap / n + half)
