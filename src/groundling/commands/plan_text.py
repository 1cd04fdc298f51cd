"""The plan in words: a small table of what is left to do, each with its interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..forecast import Interval
from ..panel import span
from . import plan_batch, plan_beside, plan_tune

_ENOUGH = {
    "yes": "enough", "no": "NOT enough", "perhaps": "perhaps not enough: the interval holds it", "not known": "not known whether it is enough",
}  # fmt: skip
_BARREN = "  NOTE: the pilot gave no example. See with `groundling preview` what the teacher says before anything more is paid."


def show(told: dict[str, Any], say: Callable[[str], None]) -> None:
    """Print the plan."""
    made = told["synthesize"]
    say(f"\nplan for {told['project']}")
    if made["state"] == "done":
        say("synthesize   done: nothing is left to ask or to pay")
    else:
        for text in _synthesize(made):
            say(text)
    for text in [*_train(told["train"]), *(f"  {note}" for note in told["train"]["notes"]), *_evaluate(told["evaluate"])]:
        say(text)


def plain(value: Any) -> Any:
    """For JSON: an interval is {"value", "low", "high"}."""
    if isinstance(value, Interval):
        return value._asdict()
    if isinstance(value, list):
        return [plain(v) for v in value]
    return {name: plain(v) for name, v in value.items()} if isinstance(value, dict) else value


def _synthesize(made: dict[str, Any]) -> list[str]:
    chunks, left = made["chunks"], made["left"]
    where = f", {made['endpoint']}" if made["endpoint"] else ""
    drawn = "" if chunks["drawn"] == chunks["all"] else f", {chunks['drawn']:,} drawn"
    paid = bool(made["endpoint"]) or any(one["endpoint"] for one in made["beside"])
    asks = bool(made["teacher"] or made["beside"])
    lines = [
        f"synthesize   recipe {made['recipe']}, " + (f"teacher {made['teacher']}{where}" if made["teacher"] else "which asks no teacher"),
        f"{made['called']:12s} {chunks['all']:,}{drawn}; {chunks['done']:,} done, {chunks['left']:,} left" + " to ask about" * asks,
        _pilot(made["pilot"], paid, made["called"]),
        *([_BARREN] if made["pilot"] and not made["pilot"]["examples"] else []),
        "",
        f"{'left to do':12s} {'expected':>14s}   95 % interval",
        *(_asked(left, paid) if asks else []),
        _row("time", left["seconds"], span, "not measured"),
        *plan_beside.lines(made["beside"], _row, (_number, _money)),
        *(plan_batch.lines(made["batches"]) if made["batches"] else []),
        _row("examples", made["examples"], _number) + "   in all, before the filters of curate",
        "",
    ]
    lines += [f"  · {text}" for text in made["assumed"]]
    if made["budget"]:
        lines += _budget(made["budget"])
    return lines


def _asked(left: dict[str, Any], paid: bool) -> list[str]:
    return [
        _row("calls", left["calls"], _number),
        _row("tokens in", left["tokens_in"], _number),
        _row("tokens out", left["tokens_out"], _number),
        _row("money", left["usd"], _money, "not known") if paid else f"{'money':12s} {'0':>14s}   no endpoint is paid",
    ]


def _pilot(pilot: dict[str, Any] | None, paid: bool, called: str) -> str:
    if pilot is None:
        return "pilot        none: nothing was asked"
    stored = f" ({pilot['from_journal']} replies were there already)" if pilot["from_journal"] else ""
    cost = f"{pilot['calls']} calls, {pilot['tokens_in']:,} tokens in, {pilot['tokens_out']:,} out, {_money(pilot['usd'])}, " if paid else ""
    kept = "; its replies are kept, the run does not pay for them again" if paid else ""
    made = f"{pilot['examples']} examples, {pilot['left_out']} left out"
    return f"pilot        {pilot['chunks']} {called}: {cost}{made}, {span(pilot['seconds'])}{stored}{kept}"


def _budget(budget: dict[str, Any]) -> list[str]:
    parts = [f"{budget['spent_usd']:.4f} of {budget['usd']:g} USD spent"] if budget["usd"] else []
    parts += [f"{budget['spent_tokens']:,} of {budget['tokens']:,} tokens spent"] if budget["tokens"] else []
    lines = [f"budget       {', '.join(parts)}; the rest is {_ENOUGH[budget['enough']]}"]
    if budget["enough"] in ("no", "perhaps"):
        lines.append(_row("it buys", budget["examples"], _number) + "   examples in all; then the run stops, and goes on when the budget is raised")
    return lines


def _train(train: dict[str, Any]) -> list[str]:
    if train["state"] == "done":
        return ["train        done", *_search(train.get("search"))]
    if train["examples"].value is None and train["examples"].high is None:
        return ["train        not known: no example yet"]
    if "charged" in train:
        return plan_tune.texts(train, _row, _number, _money)
    source = "counted" if train["counted"] else "expected"
    counted = f"in {train['base']}'s tokenizer, mean of {train['measured_in']} examples"
    tokens = f"not known: {train['tokens_why']}" if train["tokens_why"] else counted
    return [
        _row("train", train["examples"], _number) + f"   examples of the train split, {source}",
        _row("  tokens", train["tokens"], _number, "") + f"   {tokens}",
        _row("  steps", train["steps"], _number) + (f"   {train['epochs']:.3g} epochs" if train["epochs"] else "   as train.steps says"),
        _row("  time", train["seconds"], span, "not measured")
        + ("   by the last training of this run" if train["seconds"].value else "   train once, and the next plan tells"),
        *(f"  {line}" for line in train["memory"]),
        *_search(train["search"]),
    ]


def _search(search: dict[str, Any] | None) -> list[str]:
    if search is None:
        return []
    told = f"   {search['trials']} trials, {search['done']} done; each as long as a training, those that are given up shorter"
    return [_row("search", search["seconds"], span, "not measured") + told]


def _evaluate(told: dict[str, Any]) -> list[str]:
    if told["state"] in ("done", "none"):
        return [f"evaluate     {'done' if told['state'] == 'done' else told['why']}"]
    if told["why"]:
        return [f"evaluate     not known: {told['why']}"]
    counted = f"{told['questions']:,} questions, {told['models']} model{'s' * (told['models'] > 1)}: " + ", ".join(
        f"{name} {count:,}" for name, count in told["settings"].items()
    )
    trial = [_row("  trial", Interval(told["trial"]), _number) + "   answers at most, by which the base's way to be asked is chosen"]
    return [
        _row("evaluate", Interval(told["answers"]), _number) + f"   answers; {counted}",
        *(trial if told["trial"] else []),
        _row("  time", told["seconds"], span, "not measured")
        + ("   by the last evaluation of this run" if told["seconds"].value else "   evaluate once with these settings, and the next plan tells"),
    ]


def _row(name: str, interval: Interval, form: Callable[[float], str], unknown: str = "not known") -> str:
    value = unknown if interval.value is None else form(interval.value)
    if interval.value is None and interval.low is not None:
        value = f"at least {form(interval.low)}" if interval.high is None else f"at most {form(interval.high)}"
    between = f"{form(interval.low)} – {form(interval.high)}" if None not in (interval.value, interval.low, interval.high) else ""
    return f"{name:12s} {value:>14s}   {between}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}"


def _money(value: float) -> str:
    return f"{value:,.2f} USD" if value >= 10 else f"{value:.4f} USD"
