"""What a recipe's project came to: one line with the metric that its page names, base against tuned, over what was held out."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

import projects

from groundling import pipeline, stats
from groundling.answer import Answerer, Asked
from groundling.evaluate import prompts
from groundling.grounding import FORMATS, conversation
from groundling.llm.local import Local
from groundling.records import Example, Pair
from groundling.runs import Run, open_run, tuned


class Figure(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Line(NamedTuple):
    """A line of the table. `p` is of a paired test over the same questions (or pairs), whose name is `method`."""

    metric: str
    n: int
    base: Figure
    tuned: Figure
    p: float
    method: str


def opened(project: Path, name: str, *settings: str) -> Run:
    """A run of a project, silent but for the stages' own last lines."""
    return open_run(project, project / "runs" / name, list(settings), lambda text: print(f"  {text}", flush=True))


def measure(name: str, folder: Path, url: str) -> tuple[Line, str]:
    """Make the project of a recipe, run it to its end, and read its line; with the fingerprint of the weights that it started from."""
    project = projects.PROJECTS[name]
    projects.write(name, folder, url)
    if project.setting == "pairs":
        return _preferred(folder)
    run = opened(folder, name)
    if project.setting == "held-out rows":
        pipeline.run_stages(run, "ingest", "train")
        return asyncio.run(_identified(run)), run.base().fingerprint
    pipeline.run_stages(run)
    return _evaluated(run, project.metric, project.setting), run.base().fingerprint


def _evaluated(run: Run, metric: str, setting: str) -> Line:
    """The cell of evaluate's table, with its test."""
    scores, tests = (json.loads((run.space.folder("evaluate") / f"{what}.json").read_text("utf-8")) for what in ("scores", "tests"))

    def figure(model: str) -> tuple[Figure, int]:
        [s] = [s for s in scores if (s["model"], s["setting"], s["metric"], s["questions"]) == (model, setting, metric, "all")]
        return Figure(s["value"], s["low"], s["high"]), s["n"]

    (base, _), (tuned, n) = figure("base"), figure("tuned")
    [test] = [t for t in tests if (t["setting"], t["metric"]) == (setting, metric)]
    return Line(f"{metric}, {setting}", n, base, tuned, test["p"], test["method"])


async def _identified(run: Run) -> Line:
    """The share of held-out rows of which exactly the relevant documents are named: one, several, or none where the documents do not answer.

    What search finds would not do: of a question that names its sheet the first document is the right one. The rows' order is drawn. The base is
    asked in the same form, in its own words and with two worked examples; the better of both is told.
    """
    every, fmt = list(run.space.read("curate", Example)), FORMATS[run.config.train.format]
    rows = [e for e in every if e.split == "held_out" and not e.history]
    model = Local(*run.base())
    ways = [c for c in prompts.candidates(fmt, [e for e in every if e.split == "train"], model.documents_role) if c.name != "plain"]
    by_base = [await _named(Answerer(model, fmt, way.prompt, 60), rows) for way in ways]
    return paired("ids exactly right", max(by_base, key=sum), await _named(Answerer(tuned(run), fmt, None, 60), rows))


async def _named(answerer: Answerer, rows: list[Example]) -> list[bool]:
    found = await answerer.answers([Asked(e.question, e.passages) for e in rows])
    return [not a.invalid and set(a.citations) == {q.passage for q in e.quotes} for a, e in zip(found, rows, strict=True)]


def _preferred(folder: Path) -> tuple[Line, str]:
    """The share of held-out pairs whose better reply is the likelier one, to the base and after training on other documents' pairs.

    Likelier by the sum over tokens or by their mean: whichever the base is right by more often, for both.
    """
    first = opened(folder, "examples", "synthesize.recipe=raft", "synthesize.options={questions: 3, distractors: 2}", "train.objective=sft")
    pipeline.run_stages(first, "ingest", "curate")
    run = opened(folder, "preference")
    pipeline.run_stages(run, "ingest", "train")
    pairs = [p for p in run.space.read("curate", Pair) if p.split == "held_out"]
    base, form = Local(*run.base()), run.config.train.format
    ways = {mean: asyncio.run(_likelier(base, pairs, form, mean)) for mean in (False, True)}
    mean = max(ways, key=lambda way: sum(ways[way]))
    return paired("pair accuracy", ways[mean], asyncio.run(_likelier(tuned(run), pairs, form, mean))), run.base().fingerprint


async def _likelier(model: Any, pairs: list[Pair], form: str, mean: bool) -> list[bool]:
    """Of each pair, whether the model finds the better reply likelier."""
    found = []
    for pair in pairs:
        messages = conversation(FORMATS[form], pair, model.documents_role)
        better, worse = await model.scores(messages, [pair.chosen, pair.rejected], mean=mean)
        found.append(better > worse)
    return found


def paired(metric: str, base: list[bool], tuned: list[bool]) -> Line:
    """Two models' rights and wrongs on the same things: shares with Wilson's intervals, and McNemar's exact test."""
    only_base, only_tuned = (sum(a and not b for a, b in zip(x, y, strict=True)) for x, y in ((base, tuned), (tuned, base)))

    def figure(said: list[bool]) -> Figure:
        low, high = stats.wilson(sum(said), len(said))
        return Figure(sum(said) / len(said), low, high)

    return Line(metric, len(base), figure(base), figure(tuned), stats.mcnemar(only_base, only_tuned), "exact McNemar")
