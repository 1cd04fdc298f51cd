"""The part of the plan about a provider's fine-tuning job: the tokens that are charged, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import forecast, provided
from ..forecast import Interval
from ..llm.budget import Cost
from ..llm.journal import Journal
from ..llm.tokens import SPREAD
from ..records import Example, Pair
from ..runs import Run
from ..train import Aside
from ..train.provider import lines_of

SAMPLE = 300  # examples that are rendered and estimated


def training(run: Run, state: str, count: Interval, rows: Sequence[Example | Pair], counted: bool) -> dict[str, Any]:
    """What the job will be charged as: tokens of the examples, estimated from characters, times epochs, times the price."""
    options, place = run.config.train, provided.place(run)
    some = rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]
    lines = lines_of(some, options, Aside())
    each = sum(line.tokens for line in lines) / len(some) if some else None
    tokens = _wider(forecast.scaled(count, each)) if each else Interval(None)
    charged = forecast.scaled(tokens, options.epochs)
    price = place.endpoint.price_train
    usd = forecast.scaled(charged, price / 1e6) if price and charged.value is not None else Interval(None)
    return {
        "state": state, "examples": count, "measured_in": len(some), "counted": counted, "tokens": tokens, "charged": charged, "usd": usd,
        "price_train": price or None, "epochs": options.epochs, "base": options.base, "endpoint": place.name, "model": place.endpoint.model,
        "seconds": Interval(None), "budget": _budget(run, usd, charged),
    }  # fmt: skip


def _wider(tokens: Interval) -> Interval:
    """An estimate from characters may be wrong by a quarter either way, and so are its ends."""
    if tokens.value is None:
        return tokens
    low, high = (tokens.value if bound is None else bound for bound in (tokens.low, tokens.high))
    return Interval(tokens.value, low * (1 - SPREAD), high * (1 + SPREAD))


def _budget(run: Run, usd: Interval, charged: Interval) -> dict[str, Any] | None:
    """What is spent, and whether the rest is enough for the job at most, as the run will ask before it makes one."""
    c = run.config
    if not (c.budget_usd or c.budget_tokens):
        return None
    spent = Cost()
    if run.space.journal.is_file():
        journal = Journal(run.space.journal)
        spent = journal.spent()
        journal.close()
    left = [(c.budget_usd - spent.usd, usd.high)] if c.budget_usd else []
    left += [(c.budget_tokens - spent.tokens, charged.high)] if c.budget_tokens else []
    enough = None if any(high is None for _, high in left) else all(high is not None and high <= rest for rest, high in left)
    return {"usd": c.budget_usd, "tokens": c.budget_tokens, "spent_usd": spent.usd, "spent_tokens": spent.tokens, "enough": enough}


def texts(train: dict[str, Any], row: Callable[..., str], number: Callable[[float], str], money: Callable[[float], str]) -> list[str]:
    """The lines of the plan."""
    source = "counted" if train["counted"] else "expected"
    price = f"{train['price_train']:g} USD per million" if train["price_train"] else f"models.{train['endpoint']}.price_train is not set"
    found = [
        row("train", train["examples"], number) + f"   examples of the train split, {source}; {train['model']} at the provider",
        row("  tokens", train["tokens"], number) + f"   estimated from characters, mean of {train['measured_in']} examples",
        row("  charged", train["charged"], number) + f"   {train['epochs']:g} epochs",
        row("  money", train["usd"], money) + f"   {price}",
    ]
    if budget := train["budget"]:
        enough = {True: "enough", False: "NOT enough: no job would be made", None: "not known to be enough"}[budget["enough"]]
        parts = [f"{budget['spent_usd']:.4f} of {budget['usd']:g} USD spent"] if budget["usd"] else []
        parts += [f"{budget['spent_tokens']:,} of {budget['tokens']:,} tokens spent"] if budget["tokens"] else []
        found.append(f"  budget     {', '.join(parts)}; for the training alone, at most, the rest is {enough}")
    return found
