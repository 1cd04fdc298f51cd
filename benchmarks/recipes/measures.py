"""What a recipe's project came to: its lines of the table, each a metric that its page names, base against tuned, over what was held out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import folds
import numpy as np
import projects
import world

from groundling import matching, pipeline, stats
from groundling.answer import Answerer, Asked
from groundling.evaluate import prompts
from groundling.evaluate.scoring import Metric, Row, tested
from groundling.grounding import FORMATS, conversation
from groundling.llm.local import Local
from groundling.records import Answer, Example, Pair
from groundling.registry import load
from groundling.runs import Run, open_run, tuned

TOKENS = 60  # longest reply to a held-out row
FOLDS = "five folds"


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


def measure(name: str, folder: Path, url: str) -> tuple[list[Line], str]:
    """Make the project of a recipe, run it to its end, and read its lines; with the fingerprint of the weights that it started from."""
    project = projects.PROJECTS[name]
    projects.write(name, folder, url)
    if project.setting == "pairs":
        return _preferred(folder)
    if project.setting == FOLDS:
        return _folded(folder)
    run = opened(folder, name)
    pipeline.run_stages(run)
    if project.setting == "held-out rows":
        return asyncio.run(_conversed(run, project)), run.base().fingerprint
    return [_evaluated(run, project.metric, project.setting)], run.base().fingerprint


def _evaluated(run: Run, metric: str, setting: str) -> Line:
    """The cell of evaluate's table, with its test."""
    scores, tests = (json.loads((run.space.folder("evaluate") / f"{what}.json").read_text("utf-8")) for what in ("scores", "tests"))

    def figure(model: str) -> tuple[Figure, int]:
        [s] = [s for s in scores if (s["model"], s["setting"], s["metric"], s["questions"]) == (model, setting, metric, "all")]
        return Figure(s["value"], s["low"], s["high"]), s["n"]

    (base, _), (tuned, n) = figure("base"), figure("tuned")
    [test] = [t for t in tests if (t["setting"], t["metric"]) == (setting, metric)]
    return Line(f"{metric}, {setting}", n, base, tuned, test["p"], test["method"])


def _folded(folder: Path) -> tuple[list[Line], str]:
    """Accuracy and macro F1 over all texts of the table: each was held out of one fold's training, and asked of that fold's model and of the base."""
    said: dict[str, dict[str, Row]] = {"base": {}, "tuned": {}}
    weights = ""
    for n, settings in enumerate(folds.write(folder, "messages.csv")):
        run = opened(folder, f"fold-{n}", *settings)
        pipeline.run_stages(run)
        weights = run.base().fingerprint
        for row in run.space.read("evaluate", Row):
            if said[row.model].setdefault(row.question, row) is not row:
                raise SystemExit(f"A text is held out twice: {row.question}")
    pairs = [(said["base"][text], said["tuned"][text]) for text in sorted(said["tuned"])]
    print(folds.beside([(b.gold[0], b.question, b.answer, t.answer) for b, t in pairs]), flush=True)
    right = paired(f"accuracy, {FOLDS}", [b.correct for b, _ in pairs], [t.correct for _, t in pairs])
    metric = Metric("macro_f1", load("metric", "macro_f1"))
    return [right, scored(metric, FOLDS, [(_parts(b, metric), _parts(t, metric)) for b, t in pairs])], weights


def _parts(row: Row, metric: Metric) -> tuple[float, ...]:
    found = row.scores[metric.name]
    return tuple(found) if isinstance(found, list) else (float(found or 0), 1.0)


async def _conversed(run: Run, project: projects.Project) -> list[Line]:
    """Over the held-out rows that stand alone: are exactly the relevant documents named (one, several, or none where they do not answer), and how
    much of the answer is said (of a row without an answer: is it refused)?

    What search finds would not do: of a question that names its sheet the first document is the right one. The rows' order is drawn. The base is
    asked in three ways, and each metric is told of the way that is best by it.
    """
    every, fmt = list(run.space.read("curate", Example)), FORMATS[run.config.train.format]
    rows = [e for e in every if e.split == "held_out" and not e.history]
    values = {f.sentence: f.answer for sheet in world.sheets(project.sheets, project.facts) for f in sheet.facts}
    asked, model = [Asked(e.question, e.passages) for e in rows], Local(*run.base())
    by_base = {}
    for way in prompts.candidates(fmt, [e for e in every if e.split == "train"], model.documents_role):
        by_base[way.name] = await Answerer(model, way.format, way.prompt, TOKENS).answers(asked)
    by_tuned = await Answerer(tuned(run), fmt, None, TOKENS).answers(asked)
    for name, answers in {**by_base, "tuned": by_tuned}.items():
        print(f"  {name}: {_refused(answers, rows)}", flush=True)
    ids = max(([identified(a, e) for a, e in zip(found, rows, strict=True)] for found in by_base.values()), key=sum)
    said = max(([answered(a, e, values) for a, e in zip(found, rows, strict=True)] for found in by_base.values()), key=sum)
    now = [answered(a, e, values) for a, e in zip(by_tuned, rows, strict=True)]
    f1 = Metric("answer f1", load("metric", "f1"))
    return [
        paired(f"ids exactly right, {project.setting}", ids, [identified(a, e) for a, e in zip(by_tuned, rows, strict=True)]),
        scored(f1, project.setting, [((b, 1.0), (t, 1.0)) for b, t in zip(said, now, strict=True)]),
    ]


def identified(answer: Answer, row: Example) -> bool:
    """Whether just the documents that hold the answer are named."""
    return not answer.invalid and set(answer.citations) == {q.passage for q in row.quotes}


def answered(answer: Answer, row: Example, values: dict[str, str]) -> float:
    """Token F1 of an answer: bare values are as good as the teacher's sentences around them. Of a row without an answer, whether it is refused."""
    if row.support == "abstain" or answer.abstained:
        return float(answer.abstained and row.support == "abstain")
    return matching.best(matching.f1, answer.text, [row.answer, " ".join(values[q.text] for q in row.quotes)])


def _refused(answers: Sequence[Answer], rows: Sequence[Example]) -> str:
    """How many of the rows without an answer are refused, and how many of those with one."""
    of = {kind: [a.abstained for a, e in zip(answers, rows, strict=True) if (e.support == "abstain") == kind] for kind in (True, False)}
    return f"{sum(of[True])} of {len(of[True])} without an answer refused, {sum(of[False])} of {len(of[False])} with one"


def _preferred(folder: Path) -> tuple[list[Line], str]:
    """The share of held-out pairs whose better reply is the likelier one, to the base and after training on other documents' pairs.

    Likelier by the sum over tokens or by their mean: whichever the base is right by more often, for both.
    """
    first = opened(folder, "examples", "synthesize.recipe=raft", "synthesize.options={questions: 3, distractors: 2}", "train.objective=sft")
    pipeline.run_stages(first, "ingest", "curate")
    run = opened(folder, "preference")
    pipeline.run_stages(run)
    pairs = [p for p in run.space.read("curate", Pair) if p.split == "held_out"]
    base, form = Local(*run.base()), run.config.train.format
    ways = {mean: asyncio.run(_likelier(base, pairs, form, mean)) for mean in (False, True)}
    mean = max(ways, key=lambda way: sum(ways[way]))
    return [paired("pair accuracy", ways[mean], asyncio.run(_likelier(tuned(run), pairs, form, mean)))], run.base().fingerprint


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


def scored(metric: Metric, setting: str, both: Sequence[tuple[tuple[float, ...], tuple[float, ...]]]) -> Line:
    """What a metric says of two models on the same things, part by part: values with bootstrap intervals, and the permutation test."""
    test = tested(metric, setting, both, seed=0)
    if test.base is None or test.tuned is None or test.p is None:
        raise SystemExit(f"{metric.name} is not defined for what was asked.")

    def figure(value: float, which: int) -> Figure:
        low, high = stats.bootstrap(np.asarray([pair[which] for pair in both], dtype=float), metric.combine)
        return Figure(value, value if low is None else low, value if high is None else high)

    return Line(f"{metric.name}, {setting}", test.n, figure(test.base, 0), figure(test.tuned, 1), test.p, test.method)
