"""The state machine: decide → search → summarise → decide … → answer → relevance check → grounding check → final."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from msgspec import structs
from pydantic import BaseModel

from ..answer import nothing_found
from ..grounding import ABSTAIN, is_refusal, language
from ..llm.base import Model, Request
from ..llm.structured import Failed, schema_of, structured_all
from ..records import Passage, Quote
from . import ranking, steps
from .find import Find
from .trajectory import Lookup, Sample, Step, Trajectory

_MARGIN = 400  # tokens that a re-ask may take beyond the first reply


class Settings(NamedTuple):
    """How long it may search, and how it samples. The published values."""

    searches: int = 10
    snippets: int = 3
    samples: int = 4
    temperature: float = 0.5


@dataclass
class _Walk:
    """What is known so far about one question; what of it is final becomes the trajectory."""

    question: str
    draw: int
    passages: list[Passage] = field(default_factory=list)
    lookups: list[Lookup] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    revised: list[str] = field(default_factory=list)
    query: str = ""
    answer: str = ""
    quotes: list[Quote] = field(default_factory=list)
    fault: str = ""

    def trajectory(self) -> Trajectory:
        outcome = "failed" if not self.answer else "abstained" if is_refusal(self.answer) else "answered"
        return Trajectory(
            question=self.question, outcome=outcome, answer=self.answer, quotes=self.quotes, passages=self.passages, lookups=self.lookups,
            steps=self.steps, revised=self.revised, fault=self.fault,
        )  # fmt: skip


class Agent:
    """Answers questions by searching. Nothing of one question is kept for another: many may be asked side by side.

    Of several samples of a step, that goes on which the model itself finds likeliest (lowest perplexity), where it tells; else the one that the
    judge ranks first; else the first that was said. Samples with a fault never go on.
    """

    def __init__(self, model: Model, find: Find, settings: Settings | None = None, judge: Any = None) -> None:
        self.model, self.judge, self.settings = model, judge, settings or Settings()
        self._find = find
        self._states: dict[str, Callable[[_Walk], Awaitable[str]]] = {
            "decide": self._decide, "search": self._search, "summarise": self._summarise, "answer": self._answer,
            "relevance": self._relevance, "grounding": self._grounding,
        }  # fmt: skip

    def searching(self, find: Find, snippets: int) -> Agent:
        """The same agent with another search, of which each shows so many passages."""
        return Agent(self.model, find, self.settings._replace(snippets=max(1, snippets)), self.judge)

    async def ask(self, question: str, draw: int = 0) -> Trajectory:
        """One trajectory. `draw` tells repeats of the same question apart. Raises SearchError where an endpoint for searching is down."""
        walk, state = _Walk(question, draw), "decide"
        while state != "final":
            state = await self._states[state](walk)
        return walk.trajectory()

    async def _decide(self, walk: _Walk) -> str:
        if len(walk.lookups) >= self.settings.searches:
            return "answer"
        value = await self._take("decide", walk, ())
        if isinstance(value, steps.Decision):
            walk.query = value.query
            return "search" if value.action == "search" else "answer"
        if walk.fault == steps.SEARCHED:  # whatever it says, it has nothing new to look for
            return "answer"
        return "final"

    async def _search(self, walk: _Walk) -> str:
        numbers = []
        for passage in list(await self._find(walk.query, self.settings.snippets))[: self.settings.snippets]:
            known = [n for n, p in enumerate(walk.passages) if p.id == passage.id]
            numbers.append(known[0] if known else len(walk.passages))
            walk.passages += [] if known else [passage]
        walk.lookups.append(Lookup(query=walk.query, passages=list(dict.fromkeys(numbers))))
        return "summarise" if numbers else "decide"

    async def _summarise(self, walk: _Walk) -> str:
        look = walk.lookups[-1]
        value = await self._take("summarise", walk, look.passages)
        if not isinstance(value, steps.Summary):
            return "final"
        relevant = list(dict.fromkeys(value.relevant))
        walk.lookups[-1] = Lookup(query=look.query, passages=look.passages, summary=value.summary, relevant=relevant)
        return "decide"

    async def _answer(self, walk: _Walk) -> str:
        if not walk.passages:
            walk.answer = nothing_found(walk.question).text  # nothing could be cited, so nobody is asked
            return "final"
        value = await self._take("answer", walk, _of_use(walk))
        settled = isinstance(value, steps.Answered) and self._settle(walk, value)
        return "relevance" if settled else "final"

    async def _relevance(self, walk: _Walk) -> str:
        return "grounding" if await self._check("relevance", walk) else "final"

    async def _grounding(self, walk: _Walk) -> str:
        await self._check("grounding", walk)
        return "final"

    async def _check(self, kind: str, walk: _Walk) -> bool:
        """One self-check. An answer that does not pass is replaced by the better one; False where nothing is left to check."""
        value = await self._take(kind, walk, _of_use(walk))
        if not isinstance(value, steps.Checked):
            walk.answer, walk.quotes = "", []  # a check that did not come about has not passed
            return False
        if value.passed:
            return True
        walk.revised.append(kind)
        return self._settle(walk, value)

    def _settle(self, walk: _Walk, value: steps.Answered | steps.Checked) -> bool:
        """Take an answer over. False where it says that the passages do not hold one."""
        if is_refusal(value.answer):
            walk.answer, walk.quotes = ABSTAIN[language(walk.question)], []
            return False
        walk.answer, walk.quotes = value.answer, steps.quotes_of(value, walk.passages)
        return True

    async def _take(self, kind: str, walk: _Walk, shown: Sequence[int]) -> BaseModel | None:
        """One step: its samples, and the value of the one that is gone on with. None where none will do; the walk's fault says why."""
        left = self.settings.searches - len(walk.lookups)
        state = steps.State(walk.question, walk.passages, walk.lookups, left, shown, walk.answer, walk.quotes)
        asked = self._fitting(kind, state)
        if asked is None:
            walk.fault = f"{kind}: the prompt does not fit into the model's context"
            return None
        said = await self._said(kind, asked, walk.draw)
        step = Step(kind=kind, prompt=steps.prompt(kind, asked), samples=[s for s, _ in said], left_out=len(shown) - len(asked.shown))
        step = await self._choose(step)
        walk.steps.append(step)
        if step.chosen is None:
            fault = max(step.samples, key=lambda s: s.times).fault
            walk.fault = fault if fault == steps.SEARCHED else f"{kind}: {fault}"
            return None
        return said[step.chosen][1]

    def _fitting(self, kind: str, state: steps.State) -> steps.State | None:
        """The state with as many of its passages as the model's context holds; the last ones are left out. None where not even one fits."""
        fits = getattr(self.model, "fits", None)
        shape = steps.STEPS[kind]
        while fits:
            request = steps.request(kind, state, 0, 0)
            room = Request(
                messages=request.messages, schema=schema_of(shape.shape), max_tokens=2 * shape.max_tokens + _MARGIN
            )  # a re-ask shows the first reply
            if fits(room):
                break
            if len(state.shown) < 2:
                return None
            state = state._replace(shown=state.shown[:-1])
        return state

    async def _said(self, kind: str, state: steps.State, draw: int) -> list[tuple[Sample, BaseModel | None]]:
        """What the model says when asked several times, equal replies as one, in the order in which they were first said."""
        count = self.settings.samples
        requests = [steps.request(kind, state, self.settings.temperature, draw * count + n) for n in range(count)]
        found: dict[tuple[str, str], tuple[Sample, BaseModel | None]] = {}
        for value in await structured_all(self.model, requests, steps.STEPS[kind].shape):
            if isinstance(value, Failed):
                sample, kept = Sample(said="", fault=value.reason), None
            else:
                sample, kept = Sample(said=value.model_dump_json(), fault=steps.fault_of(value, state)), value
            key = (sample.said, sample.fault)
            times = found[key][0].times + 1 if key in found else 1
            found[key] = (Sample(said=sample.said, fault=sample.fault, times=times), kept)
        return list(found.values())

    async def _choose(self, step: Step) -> Step:
        """The step with the sample that is gone on with, where one will do."""
        valid = step.valid
        if len(valid) < 2:
            return structs.replace(step, chosen=valid[0], by="only") if valid else step
        saw, said = steps.whole(step.kind, step.prompt), [step.samples[n].said for n in valid]
        if (best := await ranking.likeliest(self.model, saw, said)) is not None:
            return structs.replace(step, chosen=valid[best], by="perplexity")
        if self.judge is not None:
            order = await ranking.ranked(self.judge, step.prompt, said)
            if not isinstance(order, Failed):
                return structs.replace(step, chosen=valid[order[0]], by="judge", order=[valid[n] for n in order])
        return structs.replace(step, chosen=valid[0], by="first")


def _of_use(walk: _Walk) -> list[int]:
    """The passages that summaries named as of use; all where none was."""
    named = sorted({n for look in walk.lookups for n in look.relevant})
    return named or list(range(len(walk.passages)))
