"""A few real rows before the many: their passages, question and answer, what every check said, and what they cost. Writes no stage's output."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from .. import config, registry
from ..config import override
from ..errors import ModelError
from ..records import Example, Pair
from ..runs import Run
from ..seats import teaching
from ..sections import GROUNDED
from ..synthesize import check, options_of
from ..synthesize.choose import Unit, seeded
from ..synthesize.trial import Dropped, Trial
from .looking import NO_ANSWER, unanswerable
from .plan_beside import others
from .trials import Desk, Measured, attempts, closed, desk, direct, judgements, prepare

FRUITLESS = 10  # chunks beyond the number of rows wanted that may come to nothing before it is given up
SHORT = 240  # characters of a passage that are shown
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def opened(opening: Callable[[list[str]], Run], settings: list[str], recipe: str) -> tuple[Run, dict[str, Any]]:
    """The run with the settings given, and the options among them where the recipe shown is another than the config's: they are meant for it."""
    run = opening(settings)
    theirs = [s for s in settings if s.partition("=")[0].strip().startswith("synthesize.options")]
    if recipe == run.config.synthesize.recipe or not theirs:
        return run, {}
    return opening([s for s in settings if s not in theirs]), override({}, theirs)["synthesize"]["options"] or {}


def preview(run: Run, recipe: str, count: int, as_json: bool, options: dict[str, Any] | None = None) -> None:
    """Make `count` rows by a recipe and show them. `options` are for one that is not the config's, which else has its defaults.

    Raises ConfigError for a recipe, option or teacher that will not do.
    """
    registry.load("recipe", recipe)
    say = run.say
    if as_json:
        run.say = lambda text: None
    wanted = _with(run, recipe, options or {})
    check(wanted.config.synthesize)
    prepare(run)
    chosen = direct(wanted)
    with run.space.lock(), teaching(chosen) as models:
        if why := closed(chosen, models.teacher, math.ceil(count / 3)):
            raise ModelError(f"No row can be asked for now: {why}.")
        at = desk(chosen, models)
        order = seeded(at.units, run.config.seed)
        trials, measured = attempts(at, lambda tried: _next(order, tried, count), math.ceil(count / 3))
    told = report(at, trials, measured, count)
    if as_json:
        say(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        show(told)


def _with(run: Run, recipe: str, options: dict[str, Any]) -> Run:
    """The run with that recipe; another one than the config's comes with these options and its defaults."""
    own = run.config.synthesize
    if recipe == own.recipe:
        return run
    changed = own.model_copy(update={"recipe": recipe, "options": options})
    whole: config.Config = run.config.model_copy(update={"synthesize": changed})
    return replace(run, project=run.project.model_copy(update={"config": whole}))


def _next(order: Sequence[Unit], tried: Sequence[Trial], count: int) -> Sequence[Unit]:
    """The chunks to try next: one, then as many as the rows that are missing ask for, by what a chunk gave so far."""
    rows, at = sum(len(t.examples) for t in tried), len(tried)
    if rows >= count or at >= count + FRUITLESS:
        return []
    return order[at : at + (math.ceil((count - rows) * at / rows) if rows else 1)]


def report(at: Desk, trials: Sequence[Trial], measured: Measured, count: int) -> dict[str, Any]:
    """Everything that is shown, as plain values."""
    made = [e for t in trials for e in t.examples][:count]
    said = judgements(at.run, made)
    price = getattr(at.bench.teacher, "usd", None) or getattr(getattr(at.bench.teacher, "inner", None), "usd", None)
    return {
        "recipe": at.bench.recipe,
        "teacher": at.bench.teacher.name,
        "wanted": count,
        "chunks": [_chunk(at, t, {e.id for e in made}, said, price) for t in trials],
        "cost": measured.whole(),
    }


def _chunk(at: Desk, trial: Trial, shown: set[str], said: dict[str, dict[str, str | None]], price: Any) -> dict[str, Any]:
    from ..llm.base import Reply

    bill = Reply(text="", tokens_in=trial.tokens_in, tokens_out=trial.tokens_out)
    beside, usd = list(trial.beside.values()), sum(one.usd(trial.beside[one.name]) for one in others(at) if one.name in trial.beside)
    return {
        "id": trial.unit.id, "path": trial.unit.path, "title": trial.unit.title,
        "rows": [_row(at, e, said[e.id]) for e in trial.examples if e.id in shown],
        "left_out": [_left_out(d) for d in trial.dropped],
        "calls": trial.calls + sum(u.calls for u in beside), "tokens_in": trial.tokens_in + sum(u.tokens_in for u in beside),
        "tokens_out": trial.tokens_out + sum(u.tokens_out for u in beside), "usd": (price(bill) if price else 0.0) + usd,
    }  # fmt: skip


def _pair(pair: Pair) -> dict[str, Any]:
    """A preference in the places of an example: its chosen reply as the answer."""
    shown = [{"title": p.title, "text": p.text, "oracle": False} for p in pair.passages]
    told = {"support": f"chosen, margin {pair.margin:g}" if pair.margin is not None else "chosen", "quotes": [], "reasoning": ""}
    return {"id": pair.id, "question": pair.question, "answer": pair.chosen, "rejected": pair.rejected, "split": pair.split, "passages": shown} | told


def _row(at: Desk, example: Example | Pair, checks: dict[str, str | None]) -> dict[str, Any]:
    dropped = next((f"{name}: {reason}" for name, reason in checks.items() if reason), None)
    said = {"checks": {at.bench.recipe: "made", **{name: reason or "kept" for name, reason in checks.items()}}, "kept": dropped is None}
    if isinstance(example, Pair):
        return _pair(example) | said
    return said | {
        "grounded": _grounded(at), "unanswerable": unanswerable(example),
        "id": example.id, "question": example.question, "answer": example.answer, "support": example.support, "split": example.split,
        "passages": [{"title": p.title, "text": p.text, "oracle": n == example.oracle} for n, p in enumerate(example.passages)],
        "quotes": [q.text for q in example.quotes], "reasoning": example.reasoning,
    }  # fmt: skip


def _grounded(at: Desk) -> bool:
    """Whether the recipe's answers rest on the passages shown. Where they do not, the passages are labels, or a text to be worked on."""
    recipe = registry.load("recipe", at.bench.recipe)
    made = getattr(recipe, "FORMATS", GROUNDED)
    return any(f in GROUNDED for f in (made(options_of(recipe, at.run.config.synthesize.options)) if callable(made) else made))


def _left_out(dropped: Dropped) -> dict[str, Any]:
    return {"failed": dropped.failed, "reason": dropped.reason, "what": dropped.what, "detail": dropped.detail}


def show(told: dict[str, Any]) -> None:
    """The report in the terminal; plain lines where there is none."""
    from rich.console import Console
    from rich.text import Text

    console = Console()

    def line(text: str = "", style: str = "", indent: int = 0) -> None:
        clean = Text(" " * indent + _CONTROL.sub("", text).replace("\n", " "), style=style)
        console.print(clean, soft_wrap=not console.is_terminal)

    number = 0
    for chunk in told["chunks"]:
        for row in chunk["rows"]:
            number += 1
            _show_row(row, f"{number} of {told['wanted']} · {chunk['path'] or 'unanswerable'} · {row['split']} split", line)
        for out in chunk["left_out"]:
            line(f"left out by {told['recipe']}: {out['reason']}", "red" if out["failed"] else "yellow")
            what = out["what"] if isinstance(out["what"], str) else json.dumps(out["what"], ensure_ascii=False)
            line(_short(" · ".join(filter(None, (what, out["detail"])))), "dim", 2)
        line(f"cost of this chunk: {_bill(chunk)}", "dim")
        line()
    _show_sum(told, number, line)


def _show_row(row: dict[str, Any], head: str, line: Any) -> None:
    line(f"── {head}", "bold cyan")
    line(f"? {row['question']}", "bold")
    for n, passage in enumerate(row["passages"]):
        mark, style = ("oracle → ", "green") if passage["oracle"] else ("         ", "")
        line(f"{mark}[{n}] {passage['title']}", style, 2)
        line(_short(passage["text"]), "dim", 15)
    grounded = row.get("grounded", False)
    if grounded and not any(p["oracle"] for p in row["passages"]):
        refused = f"unanswerable: {NO_ANSWER}" if row["unanswerable"] else "to be refused: none of these answers it"
        line(f"({refused})" if row["support"] == "abstain" else "(the passage with the answer is left out on purpose)", "yellow", 2)
    support = f" ({row['support']})" if grounded or "rejected" in row else ""
    line(f"answer{support}: {row['answer']}", "bold")
    if "rejected" in row:
        line(f"rejected: {row['rejected']}", "red")
    for quote in row["quotes"]:
        line(f"quote: “{quote}”", "italic", 2)
    if row["reasoning"]:
        line(f"reasoning: {row['reasoning']}", "italic", 2)
    line("checks: " + ", ".join(f"{name} {word}" for name, word in row["checks"].items()), "green" if row["kept"] else "red")


def _many(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"


def _bill(part: dict[str, Any]) -> str:
    money = f", {part['usd']:.6f} USD" if part["usd"] else ""
    return f"{_many(part['calls'], 'call')}, {part['tokens_in']:,} tokens in, {part['tokens_out']:,} out{money}"


def _show_sum(told: dict[str, Any], number: int, line: Any) -> None:
    rows = [r for c in told["chunks"] for r in c["rows"]]
    left_out = sum(len(c["left_out"]) for c in told["chunks"])
    kept = sum(r["kept"] for r in rows)
    line(f"{_many(number, 'row')} from {_many(len(told['chunks']), 'chunk')}: {kept} kept by every check; {left_out} more were left out.", "bold")
    if number < told["wanted"]:
        line(f"Fewer than the {told['wanted']} wanted: the chunks that were tried gave no more.", "yellow")
    cost = told["cost"]
    stored = f"; {cost['from_journal']} replies were there already" if cost["from_journal"] else ""
    if told["teacher"] == "template" and not cost["calls"]:
        line("Teacher: template (rules, no cost).", "dim")
    else:
        line(f"Paid now: {_bill(cost)}{stored}. The replies are kept: the run does not pay for them again.", "dim")
