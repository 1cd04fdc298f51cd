"""The part of the plan about a provider's batch mode: in how many rounds and batches the calls go up, and how long that may take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from .. import forecast
from ..config import Endpoint
from ..forecast import DAY, Interval
from ..llm.batchstore import Known
from ..llm.batchwire import MAX_LINES
from ..panel import span
from ..synthesize.trial import Trial

WINDOW = "24 h"  # what a batch is ordered with


def ahead(trials: Sequence[Trial], chunks: int, budget: forecast.Budget, known: Known) -> dict[str, Any]:
    """The rounds of calls that wait for each other (a chunk's answers for its questions), and the batches that they take.

    `batches` counts those that run one after the other: one a round, more where the budget cannot hold the worst case of all calls of a round.
    """
    calls = [
        sum(t.waves[n] for t in trials if len(t.waves) > n) / len(trials) * chunks for n in range(max((len(t.waves) for t in trials), default=0))
    ]
    return {
        "rounds": [round(n) for n in calls], "batches": sum(_in_a_row(trials, calls, budget)),
        "under_way": {"batches": len(known.open), "requests": known.requests, "seconds": _since(known)}, "took": known.took,
    }  # fmt: skip


def _in_a_row(trials: Sequence[Trial], calls: Sequence[float], budget: forecast.Budget) -> list[int]:
    """For each round, batches one after the other; the budget in money and the one in tokens each have a say."""
    count = sum(t.calls for t in trials) or 1
    most_in, most_out, tokens_in, tokens_out = (
        sum(getattr(t, name) for t in trials) / count for name in ("most_in", "most_out", "tokens_in", "tokens_out")
    )
    price_in, price_out = (budget.price_in or 0.0) / 1e6, (budget.price_out or 0.0) / 1e6
    usd, tokens = budget.usd, budget.tokens
    found = []
    for n in calls:
        by_usd, usd = _waves(n, usd, most_in * price_in + most_out * price_out, tokens_in * price_in + tokens_out * price_out)
        by_tokens, tokens = _waves(n, tokens, most_in + most_out, tokens_in + tokens_out)
        found.append(max(by_usd, by_tokens))
    return found


def _waves(calls: float, left: float | None, worst: float, real: float) -> tuple[int, float | None]:
    done, rest = forecast.waves(calls, left, worst, real)
    return done, None if left is None else rest


def _since(known: Known) -> float | None:
    """How long the oldest batch has been at the provider, in seconds."""
    return max(0.0, time.time() - min(batch.made for batch in known.open)) if known.open else None


def seconds(told: dict[str, Any]) -> Interval:
    """By what earlier batches of this folder took; without any, at most the provider's day for each that runs after the other."""
    n, took = told["batches"], told["took"]
    if not n:
        return Interval(0.0, 0.0, 0.0)
    return Interval(n * median(took), n * min(took), n * DAY) if took else Interval(None, 0.0, n * DAY)


def assumptions(told: dict[str, Any], endpoint: Endpoint, asked: bool) -> list[str]:
    """What the plan of batches takes for granted, in words."""
    said = []
    if told["took"]:
        said.append(f"time by the {len(told['took'])} batches of this folder so far ({span(min(told['took']))} – {span(max(told['took']))} each)")
    said.append(f"the longest time if each batch takes the provider's {WINDOW}; what fails or expires there goes into one more")
    if endpoint.batch_price < 1:
        said.append(
            f"money at {endpoint.batch_price:.0%} of the prices (batch_price)"
            + ("; the pilot was asked call by call, at the full ones" if asked else "")
        )
    elif asked:
        said.append("the pilot was asked call by call; where batches are cheaper, set batch_price (0.5 at many providers)")
    return said


def lines(told: dict[str, Any]) -> list[str]:
    """For the table of the plan."""
    rounds, found = told["rounds"], []
    if (at := told["under_way"])["batches"]:
        where = f"{at['requests']:,} requests in {_batches(at['batches'])} at the provider since {span(at['seconds'])}"
        found.append(f"{'under way':12s} {where}; they count as left to do")
    if rounds:
        calls = ", then ".join(f"{n:,}" for n in rounds)
        files = "" if max(rounds) <= MAX_LINES else f", in files of {MAX_LINES:,}"
        found.append(
            f"{'batches':12s} {told['batches']:,} one after the other, for {_rounds(len(rounds))} of calls that wait for each other: {calls}{files}"
        )
    if told["batches"] > len(rounds):
        found.append(f"{'':12s} more than rounds, because the budget must hold the worst case of every call of a batch")
    return found


def _batches(count: int) -> str:
    return f"{count:,} batch" if count == 1 else f"{count:,} batches"


def _rounds(count: int) -> str:
    return f"{count} round" if count == 1 else f"{count} rounds"
