"""One unit, watched: what the recipe made of it, what each check said, and what it asked of the teacher."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

import msgspec

from ..choosing import Scorer, scorer
from ..llm.base import Message, Model, Reply, Request
from ..records import Example
from . import Bench, RecipeOptions

FRAME = 200  # bytes of a call's body beside its messages and schema, about


class Dropped(NamedTuple):
    """What a recipe left out: on purpose (`failed` False), or because it did not work."""

    reason: str
    what: Any
    detail: str = ""
    failed: bool = False


class Used(NamedTuple):
    """What a model beside the teacher was asked for: calls, and tokens as it counts them."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class Trial(NamedTuple):
    """What one unit came to. `waves` are the calls that went out together, wave after wave; `seconds` from the unit's start to its end.

    `most_in` and `most_out` are the most tokens that its calls could have cost: every byte one, and replies of full length. All these are the
    teacher's (and those of roles that the same model fills); `beside` holds what the student and the judge were asked, by the model's name.
    """

    unit: Any
    examples: list[Example]
    dropped: list[Dropped]
    calls: int
    waves: tuple[int, ...]
    tokens_in: int
    tokens_out: int
    seconds: float
    most_in: int = 0
    most_out: int = 0
    beside: Mapping[str, Used] = MappingProxyType({})

    @property
    def rounds(self) -> int:
        """How many calls waited for each other."""
        return len(self.waves)


class Counting:
    """A model that counts what is asked through it, also what the journal answers."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.tokens_in = self.tokens_out = self.most_in = self.most_out = 0
        self.waves: list[int] = []

    def __getattr__(self, name: str) -> Any:
        if name == "scores" and (found := scorer(self._model)):
            return partial(self._scores, found)
        return getattr(self._model, name)

    async def _scores(self, found: Scorer, messages: list[Message], replies: list[str]) -> list[float]:
        """How likely a model of this machine finds some replies: one call, in which it writes nothing."""
        self.waves.append(1)
        return await found(messages, replies)

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        found = await self._model.replies(requests)
        self.waves += [len(requests)] if requests else []
        self.most_in += sum(len(msgspec.json.encode([r.messages, r.schema])) + FRAME for r in requests)
        self.most_out += sum(r.max_tokens for r in requests)
        self.tokens_in += sum(r.tokens_in for r in found)
        self.tokens_out += sum(r.tokens_out for r in found)
        return found


async def attempt(recipe: ModuleType, unit: Any, bench: Bench, options: RecipeOptions) -> Trial:
    """Run the recipe on one unit; what it drops and fails is in the trial and goes nowhere else."""
    counted: dict[int, Counting] = {}

    def counting(model: Any) -> Any:
        """One counter for each model, whichever roles it has. A reward model replies to nobody and costs nothing."""
        return counted.setdefault(id(model), Counting(model)) if hasattr(model, "replies") else model

    dropped, start = [], time.perf_counter()
    teacher, student, judge = counting(bench.teacher), counting(bench.student), counting(bench.judge)
    watched = bench._replace(
        teacher=teacher,
        student=student,
        judge=judge,
        drop=lambda reason, what: dropped.append(Dropped(reason, what)),
        fail=lambda reason, what, detail="": dropped.append(Dropped(reason, what, detail, failed=True)),
    )
    made = await recipe.make(unit, watched, options)
    seconds = time.perf_counter() - start
    return Trial(
        unit,
        made,
        dropped,
        sum(teacher.waves),
        tuple(teacher.waves),
        teacher.tokens_in,
        teacher.tokens_out,
        seconds,
        teacher.most_in,
        teacher.most_out,
        {c.name: Used(sum(c.waves), c.tokens_in, c.tokens_out) for c in counted.values() if c is not teacher},
    )
