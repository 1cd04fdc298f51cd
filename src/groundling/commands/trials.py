"""What plan and preview share: the cheap stages done, a bench at which nothing is written, and units tried at it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from .. import pipeline, registry
from ..curate import judged
from ..curating import filtering
from ..interrupts import WAITING, stoppable, until_stopped
from ..llm.base import Model, Reply, Request, call_key
from ..llm.batchstore import Known, known
from ..llm.meter import Meter, Snapshot
from ..panel import View, span
from ..records import Example
from ..runs import Run
from ..seats import Models, seats
from ..synthesize import Bench, RecipeOptions, called, leave, options_of, units_of
from ..synthesize.choose import Unit
from ..synthesize.trial import Trial, attempt
from ..synthesize.view import budget_of, calls

CHEAP = ("ingest", "chunk", "index")
UNIT = 1000  # tokens that a chunk takes, about: a pilot does not begin where the day's limit would end it
T = TypeVar("T")
_LOOK = 0.01  # seconds between looks at how many calls are in flight


class Desk(NamedTuple):
    """All that trying a unit needs, and the units that there are."""

    recipe: ModuleType
    options: RecipeOptions
    bench: Bench
    run: Run
    units: Sequence[Unit]


class Bill(NamedTuple):
    """Calls that really went out, and what they cost."""

    calls: int = 0
    from_journal: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0


class Measured(NamedTuple):
    """What trying some units really did: calls that went out to the teacher, what they cost, how long it took.

    `latency` is the mean time of a call in seconds, None where none went out; `refused` counts answers of 429, and `taken` is how many calls
    at once the engine then went on with. `beside` are the calls to other models.
    """

    calls: int = 0
    from_journal: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    latency: float | None = None
    refused: int = 0
    taken: int = 0
    beside: Bill = Bill()

    def whole(self) -> dict[str, Any]:
        """As plain values, the calls to all models added up."""
        found = self._asdict() | {name: getattr(self, name) + value for name, value in self.beside._asdict().items()}
        del found["beside"]
        return found


def prepare(run: Run) -> None:
    """Run ingest, chunk and index where they are missing or stale; what is done is left alone."""
    if any(s.state != "done" for s in pipeline.states(run) if s.name in CHEAP):
        pipeline.run_stages(run, CHEAP[0], CHEAP[-1])


def direct(run: Run) -> Run:
    """The run with its teacher asked call by call, though it may say `batch`: a few rows are not waited for as long as a provider's batch takes.

    Where batches are under way, the run as it is: their requests must not be paid for a second time.
    """
    name = run.config.synthesize.teacher
    endpoint = run.config.models.get(name)
    if endpoint is None or not endpoint.batch or batches(run).open:
        return run
    models = {**run.config.models, name: endpoint.model_copy(update={"batch": False})}
    return replace(run, project=run.project.model_copy(update={"config": run.config.model_copy(update={"models": models})}))


def batches(run: Run) -> Known:
    """What the run's folder knows of the teacher's batches."""
    return known(run.space.journal.parent, run.model(run.config.synthesize.teacher).fingerprint)


def closed(run: Run, model: Model, units: int) -> str:
    """Why so many units may not be asked about now, as a clause; empty where they may."""
    inner = getattr(model, "inner", None)
    if (endpoint := getattr(inner, "endpoint", None)) is None:
        return ""
    if endpoint.batch and (found := batches(run)).open:
        return f"{found.requests:,} requests are at the provider in batches of an earlier run, which the same `groundling run` fetches"
    wait = inner.gate.limits.wait(min(UNIT * units, endpoint.tokens_per_day / 2))
    return f"the limit of {endpoint.tokens_per_day:,} tokens a day leaves no room for {span(wait)} more" if wait > 60.5 else ""  # no minute


class Stored:
    """A model that is not asked: what its journal does not hold has failed."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        keys = [call_key(self._model.fingerprint, request) for request in requests]
        there = self._model.journal.get_many(keys)
        self._model.meter.from_journal += len(there)
        return [there.get(key) or Reply(text="It was not asked.", finish="error") for key in keys]


def desk(run: Run, models: Models) -> Desk:
    """A bench like synthesize's, for one recipe and its options."""
    chosen = run.config.synthesize
    recipe = registry.load("recipe", chosen.recipe)
    stage = pipeline.STAGES[pipeline.NAMES.index("synthesize")]
    bench = Bench(
        recipe=chosen.recipe, drop=lambda reason, what: None, fail=lambda reason, what, detail="": None,
        **seats(run, models, pipeline.settings_of(run, stage)),
    ).ready()  # fmt: skip
    options = options_of(recipe, chosen.options)
    return Desk(recipe, options, bench, run, units_of(chosen.recipe, bench.chunks, bench, options))


Choose = Callable[[Sequence[Trial]], Sequence[Unit]]


def attempts(at: Desk, choose: Choose, most: int) -> tuple[list[Trial], Measured]:
    """Try the units that `choose` names when told what was tried so far, until it names none; those of one choice all at once.

    With a panel and Ctrl-C as in a run. `most` is about how many there will be. Replies are stored; connections are closed in the end.
    """
    meter: Meter = getattr(at.bench.teacher, "meter", None) or Meter()
    others = _meters(at.bench, meter)
    trials: list[Trial] = []

    def view() -> View:
        rates, facts, notice = calls(meter.snapshot(), budget_of(at.bench.teacher))
        return View("trying", called(at.bench.recipe), len(trials), most, {}, rates, facts, notice)

    async def one(unit: Unit) -> Trial:
        trial = await attempt(at.recipe, unit, at.bench, at.options)
        at.bench.finish(unit.id)
        return trial

    async def work() -> Measured:
        before, area, start = meter.snapshot(), _Area(meter), time.perf_counter()
        asked = [one.snapshot() for one in others]
        try:
            while units := choose(trials):
                trials.extend(await together([one(unit) for unit in units]))
            seconds = time.perf_counter() - start
        finally:
            area.stop()
            await leave(at.bench)
        beside = [_bill(a, one.snapshot()) for a, one in zip(asked, others, strict=True)]
        return _difference(before, meter.snapshot(), seconds, area.total)._replace(beside=Bill(*map(sum, zip(*beside, strict=True))))

    with at.run.watch(view), stoppable(getattr(at.bench.teacher, "stopping", WAITING)) as stop:
        measured = asyncio.run(until_stopped(work(), stop))
    return trials, measured


async def together(work: Sequence[Awaitable[T]]) -> list[T]:
    """All results. Where one raises, the others are cancelled and waited for, and its error is raised."""
    tasks = [asyncio.ensure_future(w) for w in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Area:
    """Calls in flight summed over time, in call-seconds; divided by the number of calls it is their mean time (Little's law)."""

    def __init__(self, meter: Meter) -> None:
        self.total, self._meter = 0.0, meter
        self._task = asyncio.ensure_future(self._watch())

    async def _watch(self) -> None:
        last = time.perf_counter()
        while True:
            flying = self._meter.in_flight
            await asyncio.sleep(_LOOK)
            now = time.perf_counter()
            self.total += (flying + self._meter.in_flight) / 2 * (now - last)
            last = now

    def stop(self) -> None:
        self._task.cancel()


def _meters(bench: Bench, teacher: Meter) -> list[Meter]:
    """The meters of student and judge, where these are other models than the teacher."""
    found = {id(m): m for role in (bench.student, bench.judge) if (m := getattr(role, "meter", None)) is not None and m is not teacher}
    return list(found.values())


def _bill(before: Snapshot, after: Snapshot) -> Bill:
    return Bill(*(getattr(after, name) - getattr(before, name) for name in Bill._fields))


def _difference(before: Snapshot, after: Snapshot, seconds: float, area: float) -> Measured:
    out = after.calls - before.calls
    return Measured(
        calls=out, from_journal=after.from_journal - before.from_journal, tokens_in=after.tokens_in - before.tokens_in,
        tokens_out=after.tokens_out - before.tokens_out, usd=after.usd - before.usd, seconds=seconds, latency=area / out if out else None,
        refused=after.refused - before.refused, taken=after.limit,
    )  # fmt: skip


def judgements(run: Run, examples: Sequence[Example]) -> dict[str, dict[str, str | None]]:
    """What each filter of curate says of each example, by its id: None where it keeps it. A filter hears only of what earlier ones kept.

    Filters that weigh the whole set (balance, the best n) are left out: of a few rows they would say nothing that holds for the run.
    """
    said: dict[str, dict[str, str | None]] = {e.id: {} for e in examples}
    kept, context = list(examples), filtering(run)
    for name, given in run.config.curate.steps():
        if getattr(registry.load("filter", name), "WHOLE", False):
            continue
        words = judged(name, kept, context, given)
        for example, reason in zip(kept, words, strict=True):
            said[example.id][name] = reason
        kept = [e for e, reason in zip(kept, words, strict=True) if reason is None]
    return said
