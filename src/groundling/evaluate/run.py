"""The evaluate stage: every model answers every question in every setting, and what comes of it is scored.

The cases of a setting are asked in fixed groups and a fixed order. The models come with a journal that remembers replies, so a run that was
interrupted repeats the same groups and pays only for what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .. import stats
from ..answer import Answerer
from ..config import Evaluate
from ..grounding import Format
from ..llm.base import Model
from ..records import Example, Question, Score
from ..seeds import seed_of
from ..workspace import Output, write_json
from . import cases, prompts, scoring
from .cases import Books, Case
from .confusion import confusion
from .scoring import Metric, Replied

BASE, TUNED, RETRIEVAL = "base", "tuned", "retrieval"
Progress = Callable[[str, int, int], None]


class Contestant(NamedTuple):
    """A model to be scored. With `trial`, the best of three prompts is chosen for it first (the base model)."""

    label: str
    model: Model
    format: Format
    trial: bool = False


class Plan(NamedTuple):
    """All that evaluate needs. `examples`: the curated training examples, for the worked prompt. `progress`: label, done, total.

    `held_out`: where the format is not grounded, the examples that the models are asked instead of questions.
    """

    options: Evaluate
    seed: int
    questions: Sequence[Question]
    books: Books
    models: Sequence[Contestant]
    examples: Sequence[Example] = ()
    progress: Progress = lambda label, done, total: None
    held_out: Sequence[Example] = ()

    @property
    def format(self) -> str:
        return self.models[0].format.name

    @property
    def setting(self) -> str:
        """The setting that the headline speaks of, and in which prompts are tried."""
        return "given" if self.held_out else cases.headline(self.options)


def chosen(questions: Sequence[Question], limit: int, seed: int, purpose: str) -> list[Question]:
    """At most `limit` questions (0: all), drawn by their ids alone and left in their order."""
    if not limit or limit >= len(questions):
        return list(questions)
    drawn = {q.id for q in sorted(questions, key=lambda q: seed_of(seed, "evaluate", purpose, q.id))[:limit]}
    return [q for q in questions if q.id in drawn]


async def _asked(answerer: Answerer, asked: Sequence[Case], batch: int, tick: Callable[[int], None]) -> list[Replied]:
    """The cases answered in groups of `batch`. An empty reply is an answer (a wrong one); a failed one is no answer."""
    found: list[Replied] = []
    for start in range(0, len(asked), batch):
        group = asked[start : start + batch]
        for case, answer in zip(group, await answerer.answers([c.asked for c in group], retrieved=group[0].setting.startswith("k=")), strict=True):
            found.append(Replied(case, None if answer.finish == "error" else answer, answer.finish == "length"))
        tick(len(group))
    return found


async def _trial(plan: Plan, one: Contestant, trial: Sequence[Case], used: Metric) -> tuple[prompts.Candidate, list[Score]]:
    """The prompt with the best `correct` on the trial's cases, and every candidate's score. Ties go to the earlier."""
    candidates = prompts.candidates(one.format, plan.examples, one.model.documents_role)
    tried = []
    for number, candidate in enumerate(candidates, 1):
        answerer = Answerer(one.model, candidate.format, candidate.prompt, plan.options.max_tokens)
        replied = await _asked(answerer, trial, plan.options.batch, lambda done: None)
        plan.progress(f"{one.label}: ways to ask, tried", number, len(candidates))
        tried.append(scoring.score(used, replied, (one.label, candidate.name, "trial"), plan.seed))
    values = [s.value if s.value is not None else -1.0 for s in tried]
    return candidates[values.index(max(values))], tried


async def _choose(plan: Plan, one: Contestant, built: cases.Built, used: Metric, out: Output) -> prompts.Candidate:
    """How a model is asked: in its own format, or in the best of three ways."""
    if not one.trial:
        return prompts.Candidate("own", one.format, prompts.own(one.format, one.model.documents_role))
    setting = plan.setting
    found = built.cases[setting]
    drawn = {q.id for q in chosen([c.question for c in found], plan.options.prompt_trials, plan.seed, "trial")}
    trial = [c for c in found if c.question.id in drawn]
    best, tried = await _trial(plan, one, trial, used)
    figures = {s.setting: {"value": s.value, "low": s.low, "high": s.high, "n": s.n, "unscored": s.unscored} for s in tried}
    out.note(prompt={"model": one.label, "setting": setting, "questions": len(trial), "chosen": best.name, "tried": figures})
    return best


async def _contest(plan: Plan, one: Contestant, built: cases.Built, used: Sequence[Metric], out: Output) -> dict[str, list[Replied]]:
    """One model through all settings; its answers are kept as rows, its failures as failures."""
    way = await _choose(plan, one, built, used[0], out)
    total, done, found = sum(map(len, built.cases.values())), 0, {}

    def tick(more: int) -> None:
        nonlocal done
        done += more
        plan.progress(f"{one.label}: questions", done, total)

    for setting, asked in built.cases.items():
        answerer = Answerer(one.model, way.format, way.prompt, plan.options.max_tokens)
        found[setting] = await _asked(answerer, asked, plan.options.batch, tick)
        for replied in found[setting]:
            if replied.answer is None:
                out.fail("no reply", {"model": one.label, "setting": setting, "id": replied.case.question.id})
            else:
                out.keep(scoring.row(one.label, replied, used))
    return found


def _retrieval(built: cases.Built) -> list[Score]:
    """How often search shows the gold passage at all, per k: no model can cite what it is not shown."""
    found = []
    for setting, asked in built.cases.items():
        of_group = {"all": asked, "seen": [c for c in asked if c.seen is True], "unseen": [c for c in asked if c.seen is False]}
        for group, members in of_group.items() if setting.startswith("k=") else ():
            answerable = [c for c in members if c.question.answerable]
            known = [c for c in answerable if c.relevant is not None]
            hits = sum(bool(c.relevant) for c in known)
            low, high = stats.wilson(hits, len(known))
            found += [Score(
                model=RETRIEVAL, setting=setting, metric="hit_rate", value=hits / len(known) if known else None, low=low, high=high,
                n=len(known), unscored=len(answerable) - len(known), questions=group,
            )] if answerable or group == "all" else []  # fmt: skip
    return found


async def evaluate(plan: Plan, out: Output) -> list[Score]:
    """Score every model in every setting. Rows go to `out`, scores and paired tests to scores.json and tests.json in its folder.

    Raises InputError where the questions cannot be scored, ConfigError for an unknown metric.
    """
    used = scoring.metrics(plan.options.metrics, plan.format)
    built, questions = _built(plan)
    answered = {one.label: await _contest(plan, one, built, used, out) for one in plan.models}
    out.check(plan.options.max_failed, "answers")
    scores = _retrieval(built)
    for label, found in answered.items():
        for setting, replied in found.items():
            for group, members in scoring.groups(replied).items():
                scores += [scoring.score(m, members, (label, setting, group), plan.seed) for m in used]
    tests = _tests(plan, answered, used)
    out.note(**_notes(plan, built, answered, questions))
    write_json(out.folder / "scores.json", [_plain(s) for s in scores])
    write_json(out.folder / "tests.json", [_plain(t) for t in tests])
    return scores


def _built(plan: Plan) -> tuple[cases.Built, list[Question]]:
    """The cases of every setting, and the questions in them."""
    if plan.held_out:
        drawn = chosen(cases.questions_of(plan.held_out, plan.models[0].format), plan.options.limit, plan.seed, "limit")
        return cases.held_out(plan.held_out, plan.models[0].format, drawn), drawn
    wanted = cases.settings(plan.options)
    cases.check(plan.questions)
    drawn = chosen(plan.questions, plan.options.limit, plan.seed, "limit")
    built = cases.build(drawn, plan.books, wanted)
    if "none" in built.cases:
        asked = {q.id for q in without(drawn, plan.options, plan.seed)}
        built.cases["none"] = [c for c in built.cases["none"] if c.question.id in asked]
    return built, drawn


def without(questions: Sequence[Question], options: Evaluate, seed: int) -> list[Question]:
    """Those of the questions that are also asked without any passage."""
    return chosen(questions, options.without_limit, seed, "without")


def _tests(plan: Plan, answered: dict[str, dict[str, list[Replied]]], used: Sequence[Metric]) -> list[scoring.Comparison]:
    if BASE not in answered or TUNED not in answered:
        return []
    pairs = [(answered[BASE][setting], tuned) for setting, tuned in answered[TUNED].items() if tuned]
    return [scoring.compare(m, base, tuned, plan.seed) for base, tuned in pairs for m in used]


def _notes(plan: Plan, built: cases.Built, answered: dict[str, dict[str, list[Replied]]], asked: Sequence[Question]) -> dict[str, object]:
    kinds = Counter("answerable" if q.answerable else "unanswerable" for q in asked)
    every = [(label, r) for label, found in answered.items() for replied in found.values() for r in replied]
    more = {"confusion": confusion(answered, plan.setting)} if plan.format == "labels" else {}
    return more | {
        "headline": {"setting": plan.setting, "metric": scoring.headline(plan.format), "format": plan.format},
        "questions": dict(kinds) | {"left out by limit": len(plan.held_out or plan.questions) - len(asked)},
        "gold": built.gold,
        "passages_left_out": sum(r.answer.left_out for _, r in every if r.answer),
        "cut_at_max_tokens": dict(Counter(label for label, r in every if r.cut)),
    }  # fmt: skip


def _plain(record: Score | scoring.Comparison) -> dict[str, object]:
    import msgspec

    return msgspec.to_builtins(record)
