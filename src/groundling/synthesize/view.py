"""What the panel shows while examples are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..config import Synthesize
from ..panel import View
from ..workspace import Output
from . import Bench, called


def watched(bench: Bench, options: Synthesize, out: Output, units: int) -> tuple[Bench, Callable[[], View]]:
    """The bench, which now counts finished ones of the `units`, and what tells the view. Reads counters only: it may be asked from another thread."""
    done, total, name = [0], min(options.limit or units, units), called(bench.recipe)

    def finish(unit: str) -> None:
        done[0] += 1
        bench.finish(unit)

    def view() -> View:
        counts = {"kept": out.kept, "dropped": sum(tuple(out.dropped.values())), "failed": sum(tuple(out.failed.values()))}
        meter = getattr(bench.teacher, "meter", None)
        seen = meter.snapshot() if meter else None
        rates, facts, notice = calls(seen, budget_of(bench.teacher)) if seen else ({}, {}, "")
        steady = not (seen and seen.bursts)
        if options.target:
            return View("synthesize", "examples", out.kept, options.target, {**counts, name: done[0]}, rates, facts, notice, steady)
        return View("synthesize", name, done[0], total, counts, rates, facts, notice, steady)

    return bench._replace(finish=finish), view


def budget_of(teacher: Any) -> Any:
    """The budget of an endpoint's model, inside its journal; None for a model that costs nothing."""
    return getattr(getattr(teacher, "inner", None), "budget", None)


def calls(seen: Any, budget: Any) -> tuple[dict[str, float], dict[str, str], str]:
    """A meter's snapshot as rates, facts and the notice of a view. What is zero and only then of interest is left out."""
    rates = {} if seen.bursts else {"calls": float(seen.calls)}
    facts = {"": f"{seen.calls:,} calls", **seen.facts}
    if seen.limit:
        facts["in flight"] = f"{seen.in_flight} of {seen.limit}"
    facts["tokens"] = f"{seen.tokens_in:,} in, {seen.tokens_out:,} out"
    if seen.usd:
        facts["cost"] = f"{seen.usd:.4f} USD"
    if budget is not None and budget.usd:
        facts["budget"] = f"{budget.spent_usd / budget.usd:.0%} of {budget.usd:g} USD"
    elif budget is not None and budget.tokens:
        facts["budget"] = f"{budget.spent_tokens / budget.tokens:.0%} of {budget.tokens:,} tokens"
    for name, count in (("from the journal", seen.from_journal), ("retries", seen.retries), ("refused", seen.refused), ("given up", seen.failed)):
        if count:
            facts[name] = f"{count:,}"
    return rates, facts, seen.notice
