"""One unit, watched: what the recipe made of it, what each check said, and what it asked of the teacher."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

from ..llm.base import Model, Reply, Request
from ..records import Chunk, Example
from . import Bench, RecipeOptions


class Dropped(NamedTuple):
    """What a recipe left out: on purpose (`failed` False), or because it did not work."""

    reason: str
    what: Any
    detail: str = ""
    failed: bool = False


class Trial(NamedTuple):
    """What one unit came to. `rounds` is how many calls waited for each other, `seconds` from the unit's start to its end."""

    unit: Chunk
    examples: list[Example]
    dropped: list[Dropped]
    calls: int
    rounds: int
    tokens_in: int
    tokens_out: int
    seconds: float


class Counting:
    """A model that counts what is asked through it, also what the journal answers."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.calls = self.rounds = self.tokens_in = self.tokens_out = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        found = await self._model.replies(requests)
        self.calls += len(requests)
        self.rounds += bool(requests)
        self.tokens_in += sum(r.tokens_in for r in found)
        self.tokens_out += sum(r.tokens_out for r in found)
        return found


async def attempt(recipe: ModuleType, unit: Any, bench: Bench, options: RecipeOptions) -> Trial:
    """Run the recipe on one unit; what it drops and fails is in the trial and goes nowhere else."""
    teacher, dropped, start = Counting(bench.teacher), [], time.perf_counter()
    watched = bench._replace(
        teacher=teacher,
        drop=lambda reason, what: dropped.append(Dropped(reason, what)),
        fail=lambda reason, what, detail="": dropped.append(Dropped(reason, what, detail, failed=True)),
    )
    made = await recipe.make(unit, watched, options)
    seconds = time.perf_counter() - start
    return Trial(unit, made, dropped, teacher.calls, teacher.rounds, teacher.tokens_in, teacher.tokens_out, seconds)
