"""A search agent's trajectories: it searches until it can answer, checks its answer twice, and the best of what it did becomes training data.

Source: ReST meets ReAct (arXiv 2312.10003). Makes: for each question the answer that a judge ranks first of several trajectories, with the passages
found; or with rows: steps every step of them as a row, to teach the agent itself. Costs: for each trajectory `samples` calls for each of about six
to nine steps, and a ranking where samples differ. Use when: answers take several searches, or a model is to learn from its own best tries.

What was published leaves open and this does not: quotes are proved word for word, what is empty or faulty is never ranked, the ranking is held to
its form, equal samples are one, their places are drawn, and no trajectory looks into documents of the other side of the split.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Literal

from pydantic import Field

from ...agent import Agent, Find, JsonSearch, Settings, Trajectory
from ...agent.find import Endpoint
from ...answer import passages_of
from ...errors import SearchError
from ...records import Chunk, Example, Passage
from .. import Bench, RecipeOptions
from ..topics import Topic, of_chunks, of_file, questions_of
from ..trajectories import answer_row, best, step_rows, usable

INPUT = Topic
NEEDS_MODEL = True
INSTEAD = ("student", "judge")  # the rules of `template` can ask the questions


class Options(RecipeOptions):
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # The paper's second generation: four trajectories a question.
        "rest-paper": {"searches": 10, "snippets": 3, "samples": 4, "temperature": 0.5, "trajectories": 4},
        # One sample a step, nothing to rank: what a first look costs least.
        "rest-cheap": {"searches": 4, "snippets": 3, "samples": 1, "temperature": 0.5, "trajectories": 1},
    }
    preset: str = ""  # rest-paper or rest-cheap: their values where none is given here
    rows: Literal["answers", "steps"] = "answers"  # answers, for any grounded train.format; or the agent's steps, for train.format step
    questions: str = ""  # a file of questions (.jsonl, .txt) beside the config; empty: made from the chunks
    count: int = Field(1, ge=1)  # questions made from each chunk
    trajectories: int = Field(2, ge=1)  # of each question; the paper found that more than two add little
    searches: int = Field(10, ge=1)  # most searches of a trajectory
    snippets: int = Field(3, ge=1)  # passages that a search shows
    samples: int = Field(4, ge=1)  # of each step
    temperature: float = Field(0.5, ge=0, le=2)  # of the samples
    passages: int = Field(6, ge=1)  # most passages that an answer's row shows; those it quotes are always there
    abstentions: bool = True  # keep rows of questions for which nothing was found
    endpoint: Endpoint | None = None  # a JSON search endpoint to search instead of the run's index


def formats(options: Options) -> tuple[str, ...]:
    """The formats that the rows are made for."""
    return ("step",) if options.rows == "steps" else ("raft", "two-turn", "ja")


FORMATS = formats


def asks(options: Options, named: Collection[str]) -> bool:
    """Whether the teacher is asked: for questions where there is no file of them, to search or to rank where student or judge is not named."""
    return not (options.questions and {*INSTEAD} <= {*named})


ASKS = asks


def files(options: Options) -> list[str]:
    return [options.questions] if options.questions else []


def units(chunks: Sequence[Chunk], bench: Bench, options: Options) -> list[Topic]:
    """A topic for each question of the file, else for each chunk."""
    if options.questions:
        return of_file(bench.path(options.questions), chunks, bench, options.endpoint is None)
    return of_chunks(chunks, bench)


async def make(unit: Topic, bench: Bench, options: Options) -> list[Example]:
    """Grow: trajectories of each question. Improve: what is ranked best of them."""
    judge = bench.judge or bench.teacher
    rows: list[Example] = []
    async with AsyncExitStack() as closing:
        agent = Agent(bench.student or bench.teacher, _search(unit, bench, options, closing.push_async_callback), _settings(options), judge)
        for question in await questions_of(unit, bench, options.count):
            try:
                grown = [await agent.ask(question, draw) for draw in range(options.trajectories)]
            except SearchError as error:
                bench.fail("the search endpoint did not answer", {"unit": unit.id, "question": question}, str(error))
                continue
            rows += await _improved(usable(grown, unit, bench, options.abstentions), unit, bench, options, judge)
    return rows


async def _improved(grown: list[Trajectory], unit: Topic, bench: Bench, options: Options, judge: Any) -> list[Example]:
    if options.rows == "steps":
        return await step_rows(grown, unit, bench, judge)
    first = await best(grown, unit, bench, judge)
    return [answer_row(first, unit, bench, options.passages)] if first else []


def _settings(options: Options) -> Settings:
    return Settings(options.searches, options.snippets, options.samples, options.temperature)


def _search(unit: Topic, bench: Bench, options: Options, closing: Callable[[Callable[[], Any]], Any]) -> Find:
    """The endpoint; else the run's index, of which only the unit's side of the split is seen."""
    if options.endpoint is not None:
        found = JsonSearch(options.endpoint)
        closing(found.close)
        return found

    async def own_side(query: str, count: int) -> Sequence[Passage]:
        asked = 4 * count + 10
        while True:
            hits = bench.search(query, asked)
            kept = [h for h in hits if bench.split_of(h.chunk.document) == unit.split]
            if len(kept) >= count or len(hits) < asked:
                return passages_of(kept[:count])
            asked *= 4

    return own_side


def advice(options: Options, noted: Mapping[str, int], rows: int) -> list[str]:
    """What the reader of a result should know of the trajectories."""
    failed, all_told = noted.get("trajectories that failed", 0), sum(n for what, n in noted.items() if what.startswith("trajectories that "))
    if failed <= all_told * 0.2:
        return []
    return [
        f"{failed} of {all_told} trajectories came to no answer, most of them because a step's replies could not be used: dropped.jsonl has the "
        "reasons. Raise synthesize.options.samples, or let a stronger model begin (synthesize.teacher alone, without a student)."
    ]
