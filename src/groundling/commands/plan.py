"""What synthesize and train will take, told before it is paid: from a pilot of chunks really asked about, or from counts alone."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .. import forecast, pipeline
from ..config import Endpoint
from ..forecast import Allowed, Budget, Interval, Pace, Spent, Totals
from ..llm import standin, tokens
from ..runs import Run
from ..seats import teaching
from ..synthesize import asks_teacher, called, need_model, roles
from ..synthesize.choose import Unit, drawn, seeded
from ..synthesize.trial import Trial
from ..verify import trainable
from . import plan_batch, plan_beside
from .plan_evaluate import evaluation
from .plan_text import plain, show
from .plan_train import training
from .trials import Desk, Measured, Stored, attempts, batches, closed, desk, direct, judgements, prepare

FEW = 10  # chunks of a pilot below which its interval is called rough
SAMPLE = 200  # chunks whose prompts are rendered where nothing is asked


class Sample(NamedTuple):
    """What the estimate rests on: chunks tried, what that really took, and whether the replies were assumed; `schema_share` then (see StandIn)."""

    trials: list[Trial]
    measured: Measured
    assumed: bool
    schema_share: float = 0.0


class Chunks(NamedTuple):
    """How many chunks there are, are drawn (`limit`, `target`), were done before or in the pilot, and are left."""

    all: int
    drawn: int
    done: int
    left: int


def plan(run: Run, pilot: int, as_json: bool) -> None:
    """Print the plan. The pilot's replies are stored, so the run does not pay for them again. Raises BudgetError where not even it is affordable."""
    say = run.say
    if as_json:
        run.say = lambda text: None
    chosen = run.config.synthesize
    need_model(chosen.recipe, chosen.teacher, chosen.options, roles(chosen))
    trainable(run)
    prepare(run)
    told: dict[str, Any] = {"project": run.project.name, "synthesize": {"state": _state(run)}}
    if told["synthesize"]["state"] == "done":
        told["train"] = training(run, None, [])
    else:
        asked = direct(run)
        with run.space.lock(), teaching(asked) as models:
            at, why = desk(asked, models), closed(asked, models.teacher, pilot)
            sample = _stored(at, pilot) if why else _sampled(at, pilot)
            told["synthesize"] |= estimate(at, sample, run.config.models.get(models.teacher.name))
            told["synthesize"]["assumed"] += [f"nothing was asked, because {why}"] if why else []
        kept = [e for t in sample.trials for e in t.examples]
        said = judgements(run, kept)
        left = [e for e in kept if not any(said[e.id].values())]
        share = len(left) / len(kept) if kept else 0.0
        told["train"] = training(run, told["synthesize"]["examples"], left, share)
    told["evaluate"] = evaluation(run)
    if as_json:
        say(json.dumps(plain(told), ensure_ascii=False, indent=1))
    else:
        show(told, say)


def _state(run: Run) -> str:
    return next(s.state for s in pipeline.states(run) if s.name == "synthesize")


def _sampled(at: Desk, pilot: int) -> Sample:
    """The pilot; or, with none, prompts rendered with stand-in replies."""
    order = seeded(_drawn(at), at.run.config.seed)
    if pilot:
        chosen = order[:pilot]
        return Sample(*attempts(at, lambda tried: [] if tried else chosen, len(chosen)), assumed=False)
    aside = at._replace(bench=_standing_in(at, _nobody)._replace(finish=lambda unit: None))
    trials, measured = attempts(aside, lambda tried: [] if tried else order[:SAMPLE], min(SAMPLE, len(order)))
    share = max(getattr(model, "schema_share", 0.0) for model in (aside.bench.teacher, aside.bench.student, aside.bench.judge))
    return Sample(trials, measured._replace(seconds=0.0), assumed=True, schema_share=share)


def _nobody(model: Any) -> standin.StandIn:
    endpoint = getattr(getattr(model, "inner", None), "endpoint", None)
    return standin.StandIn(native=endpoint is not None and endpoint.structured != "prompt", name=model.name)


def _stored(at: Desk, pilot: int) -> Sample:
    """A pilot of chunks that are finished, from their stored replies alone; stand-in replies where there is none."""
    finished = [c for c in seeded(_drawn(at), at.run.config.seed) if c.id in at.bench.finished][:pilot]
    if not finished:
        return _sampled(at, 0)
    aside = at._replace(bench=_standing_in(at, Stored))
    return Sample(*attempts(aside, lambda tried: [] if tried else finished, len(finished)), assumed=False)


def _standing_in(at: Desk, instead: Callable[[Any], Any]) -> Any:
    """The bench with something else in the place of each model that would be asked. A reward model is none: it costs nothing."""
    roles: dict[str, Any] = {"teacher": at.bench.teacher, "student": at.bench.student, "judge": at.bench.judge}
    made = {id(model): instead(model) for model in roles.values() if hasattr(model, "replies")}  # one model may have two roles
    return at.bench._replace(**{role: made[id(model)] for role, model in roles.items() if hasattr(model, "replies")})


def _drawn(at: Desk) -> list[Unit]:
    return drawn(at.units, at.run.config.synthesize, at.run.config.seed)


def estimate(at: Desk, sample: Sample, endpoint: Endpoint | None) -> dict[str, Any]:
    """Everything about synthesize, as plain values and intervals. `endpoint` is the teacher's as the run will ask it, in batches or not."""
    model, seed, others = at.bench.teacher, at.run.config.seed, plan_beside.others(at)
    asks = asks_teacher(at.run.config.synthesize)
    endpoint = endpoint if asks else None  # one that is named and not asked costs nothing and holds nothing up
    spent = _spent(sample, others)
    budget, chunks = _budget(at, endpoint, others), count(at, sample)
    units = (chunks.left,) * 3
    if at.run.config.synthesize.target:
        chunks, units = until_target(at.run.config.synthesize.target, chunks, spent, budget, seed)

    def ahead(totals: Totals) -> Totals:
        return _widened(totals, sample.schema_share) if sample.assumed else totals

    totals = ahead(forecast.between(spent, units, budget, seed))
    alone = ahead(forecast.between(_spent(sample, ()), units, budget, seed)) if others else totals
    beside = [plan_beside.told(one, ahead(told)) for one, told in plan_beside.left(sample.trials, others, units, seed)]
    own = spent if keeps(at, sample) else []
    known = chunks.done - len(own)  # done by an earlier run: expected to be like the rest
    before = sum(t.rows for t in own) + (sum(t.rows for t in spent) / len(spent) * known if spent else 0.0)
    rolls = endpoint is not None and endpoint.batch and bool(sample.trials)
    in_batches = plan_batch.ahead(sample.trials, chunks.left, budget, batches(at.run)) if rolls else None
    return {
        "recipe": at.bench.recipe, "teacher": model.name if asks else "",
        "endpoint": f"{endpoint.model} at {endpoint.base_url}" if endpoint else "",
        "called": called(at.bench.recipe), "chunks": chunks._asdict(), "pilot": None if sample.assumed else _pilot(sample),
        "left": {
            "calls": totals.calls, "tokens_in": totals.tokens_in, "tokens_out": totals.tokens_out, "usd": totals.usd,
            "seconds": plan_batch.seconds(in_batches) if in_batches else _seconds(alone, sample, endpoint, model),
        },
        "beside": beside, "batches": in_batches,
        "examples": forecast.scaled(totals.rows, 1, before), "budget": _limits(at, totals, before),
        "assumed": _assumptions(sample, endpoint, in_batches, asks or bool(others)) + plan_beside.assumptions(others, bool(endpoint)),
    }  # fmt: skip


def keeps(at: Desk, sample: Sample) -> bool:
    """Whether what was tried is stored, and needs not be asked again."""
    return not sample.assumed and any(hasattr(model, "journal") for model in (at.bench.teacher, at.bench.student, at.bench.judge))


def count(at: Desk, sample: Sample) -> Chunks:
    chosen = {c.id for c in _drawn(at)}
    # Without a journal nothing of the pilot is kept: the run does it all again, at no cost.
    tried = {t.unit.id for t in sample.trials} if keeps(at, sample) else set()
    done = len(chosen & (set(at.bench.finished) | tried))
    return Chunks(len(at.units), len(chosen), done, len(chosen) - done)


def until_target(target: int, chunks: Chunks, spent: Sequence[Spent], budget: Budget, seed: int) -> tuple[Chunks, tuple[int, int, int]]:
    """How many chunks a target of rows takes: expected, fewest and most."""
    if not spent:
        return chunks, (chunks.left,) * 3
    mean = sum(t.rows for t in spent) / len(spent)
    wanted = max(0.0, target - mean * chunks.done)
    rows = forecast.predict(spent, max(1, min(chunks.left, math.ceil(wanted / mean) if mean else chunks.left)), budget, seed).rows
    # As many chunks more or fewer as the rows of that many chunks are uncertain.
    middle, few, many = (
        _needed(wanted, mean * (bound or 0.0) / rows.value if rows.value else 0.0, chunks.left) for bound in (rows.value, rows.high, rows.low)
    )
    return chunks._replace(left=middle), (middle, few, many)


def _needed(wanted: float, a_chunk: float, left: int) -> int:
    return left if a_chunk <= 0 else min(left, math.ceil(wanted / a_chunk))


def _spent(sample: Sample, others: Sequence[plan_beside.Other]) -> list[Spent]:
    """The tried chunks as numbers, with what others than the teacher were asked.

    Seconds of chunks that ran side by side are scaled so that they sum to the time that passed.
    """
    own = sum(t.seconds for t in sample.trials)
    scale = sample.measured.seconds / own if own else 0.0
    teacher = [Spent(t.calls, t.tokens_in, t.tokens_out, len(t.examples), t.seconds * scale) for t in sample.trials]
    return [plan_beside.added(spent, t.beside, others) for spent, t in zip(teacher, sample.trials, strict=True)]


def _shared(at: Desk) -> Any:
    """The budget of the run's folder, which all its endpoints share; None where it has no endpoint."""
    inner = [getattr(model, "inner", None) for model in (at.bench.teacher, at.bench.student, at.bench.judge)]
    return next((found for model in inner if (found := getattr(model, "budget", None)) is not None), None)


def _budget(at: Desk, endpoint: Endpoint | None, others: Sequence[plan_beside.Other]) -> Budget:
    """What is left of the run's budget, and the teacher's prices; both 0 for a model that costs nothing."""
    limits, prices = _shared(at), plan_beside.prices(endpoint)
    known = plan_beside.priced(others)
    if limits is None:
        return Budget(None, None, *prices, priced=known)
    usd = limits.usd - limits.spent_usd if limits.usd else None
    return Budget(usd, limits.tokens - limits.spent_tokens if limits.tokens else None, *prices, priced=known)


def _limits(at: Desk, totals: Totals, before: float) -> dict[str, Any] | None:
    """The budget: what is spent of it, whether the rest is enough (`yes`, `no`, `perhaps`, `not known`), and how many rows it buys in all."""
    limits = _shared(at)
    if limits is None or not limits.any:
        return None
    left = [(limits.usd - limits.spent_usd, totals.usd)] if limits.usd else []
    if limits.tokens:
        both = Interval(*(None if a is None or b is None else a + b for a, b in zip(totals.tokens_in, totals.tokens_out, strict=True)))
        left.append((limits.tokens - limits.spent_tokens, both))
    verdicts = [forecast.fits(amount, needed) for amount, needed in left]
    worst = next(v for v in ("no", "not known", "perhaps", "yes") if v in verdicts)
    return {
        "usd": limits.usd, "tokens": limits.tokens, "spent_usd": limits.spent_usd, "spent_tokens": limits.spent_tokens, "enough": worst,
        "examples": forecast.scaled(totals.affordable, 1, before),
    }  # fmt: skip


def _seconds(totals: Totals, sample: Sample, endpoint: Endpoint | None, model: Any) -> Interval:
    """Time: of an endpoint by its calls, of a model on this machine by the seconds of the chunks tried."""
    if endpoint is None:
        return Interval(None) if sample.assumed else totals.seconds
    seen = sample.measured
    pace = None
    if seen.latency and seen.seconds:
        pace = Pace(seen.latency, seen.calls / seen.seconds, max((t.rounds for t in sample.trials), default=1))
    used = sum(tokens for _, tokens in model.journal.recent(model.name, forecast.DAY, forecast.DAY))
    allowed = Allowed(
        endpoint.max_parallel,
        endpoint.requests_per_minute,
        endpoint.tokens_per_minute,
        seen.taken if seen.refused else 0,
        endpoint.tokens_per_day,
        used,
    )
    return forecast.duration(totals, pace, allowed)


def _widened(totals: Totals, schema_share: float) -> Totals:
    """Intervals of an estimate without a pilot: a tokenizer may differ, schemas may count, replies may be shorter or longer than assumed."""
    less, more = standin.SPREAD
    tokens_in = forecast.stretched(totals.tokens_in, 1 - tokens.SPREAD, (1 + tokens.SPREAD) * (1 + schema_share))
    return totals._replace(
        tokens_in=tokens_in, tokens_out=forecast.stretched(totals.tokens_out, less, more), usd=forecast.stretched(totals.usd, less, more),
        affordable=forecast.stretched(totals.affordable, 1 / more, 1.0), rows=Interval(None, 0.0, totals.rows.value), seconds=Interval(None),
    )  # fmt: skip


def _pilot(sample: Sample) -> dict[str, Any]:
    return {
        "chunks": len(sample.trials), "examples": sum(len(t.examples) for t in sample.trials),
        "left_out": sum(len(t.dropped) for t in sample.trials), **sample.measured.whole(),
    }  # fmt: skip


def _assumptions(sample: Sample, endpoint: Endpoint | None, in_batches: dict[str, Any] | None, replies: bool) -> list[str]:
    """What the estimate takes for granted, in words. `replies`: whether any model is asked at all."""
    said = []
    if sample.assumed and replies:
        said += [tokens.assumption(), f"replies: {standin.ASSUMED}; half to twice as long"]
        if sample.schema_share:
            said.append(f"endpoints that count JSON schemas as tokens in count {sample.schema_share:.0%} more: within the interval")
    if endpoint and in_batches:
        said += plan_batch.assumptions(in_batches, endpoint, sample.measured.calls > 0)
    elif sample.assumed:
        said.append("time is not measured without a pilot")
    elif endpoint and sample.measured.latency is None:
        said.append("time is not measured: every reply of the pilot was in the journal; a larger --pilot asks about new chunks")
    elif endpoint and sample.measured.refused:
        said.append(
            f"time at {sample.measured.taken} calls at once, as the endpoint refused more in the pilot; "
            f"the longest at the pilot's pace of {sample.measured.calls / sample.measured.seconds:.1f} calls/s"
        )
    elif endpoint:
        said.append(
            f"time if the endpoint takes {endpoint.max_parallel} calls at once at the pilot's {sample.measured.latency:.2f} s a call; "
            f"the longest at the pilot's pace of {sample.measured.calls / sample.measured.seconds:.1f} calls/s"
        )
    if not sample.assumed and 0 < len(sample.trials) < FEW:
        said.append(f"{len(sample.trials)} chunks are a small pilot: the intervals are rough")
    if endpoint and not (endpoint.price_in or endpoint.price_out):
        said.append("money is not known: price_in and price_out (USD per million tokens) are not set for this model")
    return said
