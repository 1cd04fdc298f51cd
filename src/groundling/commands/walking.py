"""A search agent over a run's index: one question with every step shown, or a file of questions, auto-evaluated."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..agent import Agent, Find, JsonSearch, Settings, Trajectory, of_index
from ..agent.judging import Case, Verdict, auto_evaluate
from ..answer import sources
from ..errors import ConfigError, InputError, ModelError
from ..llm.journal import Journal
from ..llm.open import remembered
from ..records import Question, to_line
from ..runs import Run, Say, open_run, tuned
from ..synthesize import options_of
from ..workspace import read_lines, write_atomic
from .trials import together

LANES = 16  # questions under way at once


class Wanted(NamedTuple):
    """What the command was given."""

    question: str
    questions: Path | None
    model: str
    judge: str
    repeat: int
    samples: int | None
    trajectories: Path | None
    as_json: bool


def walk(path: Path, wanted: Wanted, say: Say) -> None:
    """Ask, or auto-evaluate. Every reply is kept in the run's journal: the same command again pays for nothing twice. Raises UserError."""
    if bool(wanted.question.strip()) == (wanted.questions is not None):
        raise ConfigError('Give --question "…" to ask one, or --questions FILE.jsonl to auto-evaluate; one of the two.')
    run = open_run(path, None, [], say)
    if run.space.record("index") is None:
        raise InputError(f"{run.space.root} has no search index yet. Run `groundling run {path} --to index` first.")
    asked = _questions(wanted.questions) if wanted.questions else []
    with run.space.lock():
        journal = Journal(run.space.journal)
        try:
            asyncio.run(_walk(run, wanted, asked, journal))
        finally:
            journal.close()


def _questions(path: Path) -> list[Question]:
    """Those that have an answer; whether one implies another says nothing of the rest."""
    if not path.is_file():
        raise InputError(f"{path} does not exist. Name a file with a question a line, as evaluate reads them (see docs/evaluate.md).")
    found = [q for q in read_lines(path, Question) if q.answerable and q.answers]
    if not found:
        raise InputError(f"{path} holds no question with an answer to judge by.")
    return found


async def _walk(run: Run, wanted: Wanted, asked: list[Question], journal: Journal) -> None:
    async with AsyncExitStack() as closing:
        seats: dict[str, Any] = {}

        def opened(model: Any) -> Any:
            """With the journal around it; one model in two roles is opened once, as its limits and its budget are one."""
            if model.fingerprint not in seats:
                seats[model.fingerprint] = remembered(model, journal, run.config, run.say)
                closing.push_async_callback(seats[model.fingerprint].drain)
            return seats[model.fingerprint]

        agent = _agent(run, wanted, opened(_model(run, wanted.model)), closing)
        if wanted.question:
            [told] = grown = await _grown(agent, [wanted.question], 0)
            run.say(msgspec.json.encode(told).decode() if wanted.as_json else _shown(run, told))
        else:
            judge = opened(_judge(run, wanted.judge))
            rounds = [await _grown(agent, [q.question for q in asked], draw) for draw in range(wanted.repeat)]
            verdict = await auto_evaluate(judge, [_cases(asked, one) for one in rounds])
            grown = [t for one in rounds for t in one]
            run.say(_told(verdict, grown, wanted.as_json))
        if wanted.trajectories:
            write_atomic(wanted.trajectories, b"".join(map(to_line, grown)))


def _model(run: Run, name: str) -> Any:
    if name:
        found = run.model(name)
        if found.name == "template":
            raise ConfigError('The rules of "template" cannot search. Name a language model with --model.')
        return found
    described = run.space.described()
    if described is None or described["format"] != "step":
        taught = f"was taught the format {described['format']}" if described else "is not trained yet"
        raise ModelError(
            f"The model of {run.space.root} {taught}, so it cannot take the agent's steps. Name another with --model: one under models in the "
            "config, or run:NAME of a run trained with train.format step (docs/recipes/rest.md)."
        )
    return tuned(run)


def _judge(run: Run, name: str) -> Any:
    name = name or run.config.synthesize.judge or run.config.synthesize.teacher
    found = run.judge(name)
    if name == "template" or not hasattr(found, "replies"):
        raise ConfigError(f'"{name}" cannot say whether an answer implies another. Name a language model with --judge.')
    return found


def _agent(run: Run, wanted: Wanted, model: Any, closing: AsyncExitStack) -> Agent:
    """With the settings and the search of the config where its recipe is rest, else the published ones over the run's index."""
    from ..synthesize.recipes import rest

    chosen = run.config.synthesize
    options: Any = options_of(rest, chosen.options if chosen.recipe == "rest" else {})
    find: Find = of_index(run.search)
    if options.endpoint is not None:
        find = JsonSearch(options.endpoint)
        closing.push_async_callback(find.close)
    return Agent(model, find, Settings(options.searches, options.snippets, wanted.samples or options.samples, options.temperature))


async def _grown(agent: Agent, questions: Sequence[str], draw: int) -> list[Trajectory]:
    """A trajectory of each question, so many at once."""
    lanes = asyncio.Semaphore(LANES)

    async def one(question: str) -> Trajectory:
        async with lanes:
            return await agent.ask(question, draw)

    return await together([one(q) for q in questions])


def _cases(asked: Sequence[Question], grown: Sequence[Trajectory]) -> list[Case]:
    return [Case(q.question, t.answer if t.outcome == "answered" else None, q.answers) for q, t in zip(asked, grown, strict=True)]


def _shown(run: Run, told: Trajectory) -> str:
    lines = [f"? {told.question}"]
    for look in told.lookups:
        use = f"of use: {look.relevant}" if look.relevant else "none of use"
        lines += [f"  searched: {look.query}", f"    found {look.passages or 'nothing'}, {use}. {look.summary}".rstrip()]
    lines += [f"  changed by the {check} check" for check in told.revised]
    lines.append(f"{told.answer} {''.join(f'[{n}]' for n in told.citations)}".strip() if told.answer else f"No answer: {told.fault}.")
    known = {s.number: s for s in sources(told.told, run.chunks)}
    for quote in told.quotes:
        place = known[quote.passage].path if quote.passage in known else told.passages[quote.passage].title
        lines.append(f"  [{quote.passage}] {place}: “{' '.join(quote.text.split())}”")
    return "\n".join(lines)


def _told(verdict: Verdict, grown: Sequence[Trajectory], as_json: bool) -> str:
    outcomes = dict(sorted(Counter(t.outcome for t in grown).items()))
    searches = sum(len(t.lookups) for t in grown) / len(grown)
    if as_json:
        found = {"mean": verdict.mean, "sd": verdict.sd, "shares": verdict.shares, "n": verdict.n, "unscored": verdict.unscored}
        return json.dumps({**found, "outcomes": outcomes, "searches": searches})
    mean = "nothing could be scored" if verdict.mean is None else f"{verdict.mean:.1%}"
    spread = "" if verdict.sd is None else f" ± {verdict.sd:.1%} (standard deviation of {len(verdict.shares)} repetitions)"
    ends = ", ".join(f"{n} {outcome}" for outcome, n in outcomes.items())
    asked = f"{verdict.n} questions asked, {verdict.unscored} of the answers could not be judged"
    return f"right: {mean}{spread}\n{asked}; {ends}; {searches:.1f} searches each"
