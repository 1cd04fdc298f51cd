"""No budget is passed, whatever breaks."""

from __future__ import annotations

import asyncio

import pytest

from groundling.errors import BudgetError
from groundling.llm import fake
from groundling.llm.api import Api
from groundling.llm.base import Reply
from groundling.llm.budget import Budget, Cost

from .endpoint import client, no_waiting, request  # noqa: F401


class Ledger:
    """What the journal is to a budget."""

    def __init__(self, before: Cost | None = None) -> None:
        self.before, self.lost = before or Cost(), []

    def spent(self) -> Cost:
        return self.before

    def lose(self, model: str, cost: Cost) -> None:
        self.lost.append((model, cost))


async def spend(script: fake.Script, ledger: Ledger, usd: float = 0, tokens: int = 0, **settings) -> tuple[Budget, list[object], Api]:
    """Ask for 300 replies within a budget; those that came, and errors."""
    async with fake.serving(script) as url:
        budget = Budget(usd, tokens, ledger)
        api = client(url, budget, **settings)
        told = await asyncio.gather(*(api.reply(request(f"What is number {n}?", max_tokens=50)) for n in range(300)), return_exceptions=True)
        await api.close()
        return budget, told, api


@pytest.mark.parametrize("before", [0, 1000])
def test_a_budget_of_tokens_is_never_passed_and_nearly_used(before: int) -> None:
    budget, told, api = asyncio.run(spend(fake.Script(latency=0.01), Ledger(Cost(before, 0, 0.0)), tokens=3000))
    paid = sum(r.tokens_in + r.tokens_out for r in told if isinstance(r, Reply))
    assert budget.spent_tokens == before + paid <= 3000
    assert 3000 - budget.spent_tokens < 400, "the last call that fitted was sent"
    assert {type(t) for t in told} == {Reply, BudgetError}
    sentence = str(next(t for t in told if isinstance(t, BudgetError)))
    assert "of budget_tokens 3,000" in sentence and "Raise the budget" in sentence


def test_a_budget_of_money_is_never_passed() -> None:
    budget, told, api = asyncio.run(spend(fake.Script(latency=0.01), Ledger(), usd=0.01, price_in=1.0, price_out=4.0))
    paid = sum(r.tokens_in * 1e-6 + r.tokens_out * 4e-6 for r in told if isinstance(r, Reply))
    assert paid == pytest.approx(budget.spent_usd) and 0.008 < paid <= 0.01
    assert api.meter.usd == pytest.approx(paid)


def test_calls_that_broke_after_they_were_sent_count_at_their_worst() -> None:
    ledger = Ledger()
    script = fake.Script(wire={"short_body": 0.2, "server_error": 0.1})
    budget, told, _ = asyncio.run(spend(script, ledger, tokens=20_000, retries=30))
    paid = sum(r.tokens_in + r.tokens_out for r in told if isinstance(r, Reply))
    lost = sum(cost.tokens for _, cost in ledger.lost)
    assert ledger.lost and budget.spent_tokens == paid + lost <= 20_000
    assert budget._held_tokens == 0 and budget._held_usd == pytest.approx(0)
