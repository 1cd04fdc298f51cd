"""The part of the plan about models beside the teacher: what the student and the judge are asked, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .. import forecast
from ..config import Endpoint
from ..forecast import Budget, Spent
from ..synthesize.trial import Trial, Used
from .trials import Desk

Form = Callable[[float], str]


class Other(NamedTuple):
    """A model that is asked beside the teacher: its name, the roles that it has, and its endpoint where it is behind one."""

    name: str
    roles: tuple[str, ...]
    endpoint: Endpoint | None

    @property
    def budget(self) -> Budget:
        """Its prices; both 0 for a model of this machine, None where an endpoint's are not known."""
        return Budget(None, None, *prices(self.endpoint))

    def usd(self, used: Used) -> float:
        """What it was asked at its prices; 0 where they are not known."""
        price_in, price_out = prices(self.endpoint)
        return (used.tokens_in * (price_in or 0.0) + used.tokens_out * (price_out or 0.0)) / 1e6


def prices(endpoint: Endpoint | None) -> tuple[float | None, float | None]:
    """USD for a million tokens of prompts and of replies, as the run will pay them, in batches or not."""
    if endpoint is None:
        return 0.0, 0.0
    share = endpoint.batch_price if endpoint.batch else 1.0
    return (endpoint.price_in * share, endpoint.price_out * share) if endpoint.price_in or endpoint.price_out else (None, None)


def others(at: Desk) -> list[Other]:
    """Student and judge, where the config names another model than the teacher for them. A reward model is none: nobody writes, nothing is paid."""
    found: dict[str, Other] = {}
    for role in ("student", "judge"):
        model: Any = getattr(at.bench, role)
        if model is not None and model is not at.bench.teacher and hasattr(model, "replies"):
            roles = found[model.name].roles if model.name in found else ()
            found[model.name] = Other(model.name, (*roles, role), at.run.config.models.get(model.name))
    return list(found.values())


def priced(known: Sequence[Other]) -> bool:
    """Whether it is known of all of them what they cost."""
    return all(None not in prices(one.endpoint) for one in known)


def added(spent: Spent, used: Mapping[str, Used], known: Sequence[Other]) -> Spent:
    """What a unit came to, with what other models were asked for it."""
    each = [(one, used.get(one.name, Used())) for one in known]
    return spent._replace(
        beside_calls=sum(u.calls for _, u in each), beside_in=sum(u.tokens_in for _, u in each),
        beside_out=sum(u.tokens_out for _, u in each), beside_usd=sum(one.usd(u) for one, u in each),
    )  # fmt: skip


def left(trials: Sequence[Trial], known: Sequence[Other], units: tuple[int, int, int], seed: int) -> list[tuple[Other, forecast.Totals]]:
    """What each of them will be asked for the units that are left."""
    found = []
    for one in known:
        used = [t.beside.get(one.name, Used()) for t in trials]
        found.append((one, forecast.between([Spent(*u, rows=0) for u in used], units, one.budget, seed)))
    return found


def told(one: Other, totals: forecast.Totals) -> dict[str, Any]:
    """The plan's words on one of them, as plain values and intervals."""
    where = f"{one.endpoint.model} at {one.endpoint.base_url}" if one.endpoint else ""
    return {
        "model": one.name, "roles": list(one.roles), "endpoint": where,
        "calls": totals.calls, "tokens_in": totals.tokens_in, "tokens_out": totals.tokens_out, "usd": totals.usd,
    }  # fmt: skip


def assumptions(known: Sequence[Other], endpoint: bool) -> list[str]:
    """What the plan takes for granted of them, in words. `endpoint`: whether the teacher is behind one."""
    paid = [one for one in known if one.endpoint]
    said = [f"time by the teacher's calls alone: {_names(paid)} may take longer"] if endpoint and paid else []
    unknown = [one for one in paid if not priced([one])]
    if unknown:
        said.append(f"money is not known: price_in and price_out (USD per million tokens) are not set for {_names(unknown)}")
    return said


def _names(known: Sequence[Other]) -> str:
    return " and ".join(one.name for one in known)


def lines(told: Sequence[dict[str, Any]], row: Callable[..., str], forms: tuple[Form, Form]) -> list[str]:
    """For the table of the plan: of what is left, each model's share. `row` and `forms` (a number, money) are those of the table."""
    number, money = forms
    found = []
    for one in told:
        roles, where = " and ".join(one["roles"]), f", {one['endpoint']}" if one["endpoint"] else ", on this machine"
        found.append(f"of it by {one['model']} ({roles}{where})")
        found += [row(f"  {name.replace('_', ' ')}", one[name], number) for name in ("calls", "tokens_in", "tokens_out")]
        found += [row("  money", one["usd"], money, "not known")] if one["endpoint"] else []
    return found
