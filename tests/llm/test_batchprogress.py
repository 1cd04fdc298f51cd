"""What the panel says of a provider's batches: how far, since when, how long still; and what the journal gets of them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from groundling.config import Config, Endpoint
from groundling.errors import ModelError
from groundling.llm import fake
from groundling.llm.base import call_key
from groundling.llm.batchprogress import Progress
from groundling.llm.batchwire import State
from groundling.llm.journal import Journal
from groundling.llm.open import open_model, remembered
from groundling.panel import Teller, View, line
from groundling.synthesize.view import calls

from .test_batch import batch, left_waiting, made, requests


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def state(done: int, total: int = 100, status: str = "in_progress") -> State:
    return State(status, None, None, done, total, "")


def test_it_tells_how_far_since_when_and_how_long_still() -> None:
    clock = Clock()
    progress = Progress(lambda: 7, clock)
    assert progress.standing() == ({"to send": "7"}, "")
    progress.begun(1, 100)
    assert progress.standing()[1] == "being handed over since 0.0 s"
    clock.now += 600
    progress.looked(1, state(5), again=60)
    facts, notice = progress.standing()
    assert facts["at the provider"] == "5 of 100 requests answered in 1 batch"
    assert notice == "in progress since 10 min; asked again in 60 s", "five of a hundred tell no time"
    progress.looked(1, state(25), again=60)
    clock.now += 15
    assert progress.standing()[1] == "in progress since 10 min; about 31 min to the end of it; asked again in 45 s"
    progress.gone(1, brought=True)
    assert progress.standing() == ({"done": "1 batch", "to send": "7"}, "")


def test_the_panel_makes_up_no_rate_and_no_time_left(tmp_path: Path) -> None:
    """All of a round's replies come at once: the pace of the last half minute says nothing."""
    clock = Clock()
    model = batch("http://127.0.0.1:1/v1", tmp_path)
    model.progress._clock = clock
    model.progress.begun(1, 1200)
    model.progress.looked(1, state(240, 1200), again=30)
    rates, facts, notice = calls(model.meter.snapshot(), None)
    done = [0]
    teller = Teller(lambda: View("synthesize", "chunks", done[0], 240, {}, rates, facts, notice, not model.meter.snapshot().bursts), clock)
    teller.tell()
    clock.now, done[0] = 1010.0, 230
    text = line(teller.tell())
    assert " left" not in text and "calls/s" not in text
    assert "at the provider 240 of 1,200 requests answered in 1 batch" in text and "asked again in 30 s" in text


def config(url: str, **changes: bool) -> Config:
    return Config(models={"teacher": Endpoint(base_url=url, model="m", price_in=1, price_out=2, **changes)})


def test_what_batches_brought_is_not_asked_again_call_by_call(tmp_path: Path) -> None:
    async def main() -> None:
        asked = requests(6)
        async with fake.serving(fake.Script(batch={"seconds": 1.5})) as url:
            first = await left_waiting(url, tmp_path, asked)
            journal = Journal(tmp_path / "journal.sqlite")
            whole = config(url)
            with pytest.raises(ModelError, match=r"6 requests are in 1 of teacher's batches .* paid for twice"):
                remembered(open_model("teacher", whole), journal, whole, print)
            second = batch(url, tmp_path)
            await second.replies(asked[:1])  # the others' replies come with it, and nobody is there for them
            await second.close()
            one_by_one = remembered(open_model("teacher", whole), journal, whole, print)
            assert journal.spent("teacher").tokens > 0, "they count towards budgets"
            assert [r.finish for r in await one_by_one.replies(asked)] == ["stop"] * 6 and one_by_one.meter.from_journal == 6
            await one_by_one.drain()
            assert journal.get(call_key(first.fingerprint, asked[5]))
            journal.close()

    asyncio.run(main())


def test_a_budget_that_is_spent_waits_for_the_batches_under_way(tmp_path: Path) -> None:
    """They are paid for: their replies are fetched before the run stops, not left for a run that would stop at once again."""
    from groundling.errors import BudgetError
    from groundling.llm.budget import Budget, Cost

    class Ledger:
        def spent(self) -> Cost:
            return Cost()

    async def main() -> None:
        async with fake.serving(fake.Script(batch={"seconds": 2.0})) as url:
            model = batch(url, tmp_path)
            model.budget = Budget(0, 400, Ledger())  # type: ignore[arg-type]
            early = asyncio.ensure_future(model.replies(requests(1)))
            await made(tmp_path)
            model.budget.spent_tokens = 390  # what else was spent meanwhile leaves no room for another call
            late = asyncio.ensure_future(model.replies(requests(2, "late")[1:]))
            await asyncio.sleep(0.3)
            assert not late.done(), "a batch is under way"
            assert [r.finish for r in await early] == ["stop"]
            with pytest.raises(BudgetError):
                await late
            await model.close()

    asyncio.run(main())


def test_a_share_of_the_prices_is_what_batches_cost(tmp_path: Path) -> None:
    half = batch("http://127.0.0.1:1/v1", tmp_path, price_in=2, price_out=8, batch_price=0.5)
    assert half._cost(1_000_000, 1_000_000).usd == pytest.approx(5.0)
