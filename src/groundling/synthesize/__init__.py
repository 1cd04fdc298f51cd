"""Chunks to training examples: the runner. It owns the bench (teacher, search, randomness), counting and writing; recipes own the method."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from random import Random
from types import ModuleType
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from .. import registry
from ..config import Synthesize
from ..errors import ConfigError
from ..llm.base import Model
from ..records import Chunk, Example, Hit, Split
from ..seeds import digest, rng
from ..workspace import Output

GROUP = 64  # units in flight together


class RecipeOptions(BaseModel):
    """Base of every recipe's options: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Bench(NamedTuple):
    """What a recipe may use. `drop` and `fail` count what it leaves out; `split_of` tells a document's side of the split."""

    teacher: Model
    search: Callable[[str, int], list[Hit]]
    chunks: Sequence[Chunk]
    seed: int
    recipe: str
    drop: Callable[[str, Any], None]
    fail: Callable[[str, Any, str], None]
    split_of: Callable[[str], Split]

    def rng(self, unit: str, draw: object) -> Random:
        """Randomness for one choice about one unit: independent of order and of other units."""
        return rng(self.seed, self.recipe, unit, draw)


def options_of(recipe: ModuleType, given: dict[str, Any]) -> RecipeOptions:
    """The recipe's options, checked. Raises ConfigError with the nearest name for an unknown one."""
    try:
        return recipe.Options(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(p) for p in first["loc"])
        known = sorted(recipe.Options.model_fields)
        if first["type"] == "extra_forbidden":
            raise ConfigError(f'synthesize.options: there is no option "{name}".{registry.nearest(name, known)}') from None
        raise ConfigError(f"synthesize.options.{name} = {first['input']!r}: {first['msg']}.") from None


async def synthesize(options: Synthesize, bench: Bench, units: Sequence[Chunk], out: Output) -> None:
    """Run the recipe over all units, in groups; examples are written in the order of the units."""
    recipe = registry.load("recipe", options.recipe)
    chosen = options_of(recipe, options.options)
    bench = bench._replace(chunks=sorted(bench.chunks, key=lambda c: c.id))  # what is drawn from them must not depend on their order
    supports, positions, shown = Counter[str](), Counter[str](), Counter[str]()
    for at in range(0, len(units), GROUP):
        for examples in await asyncio.gather(*(recipe.make(unit, bench, chosen) for unit in units[at : at + GROUP])):
            for example in examples:
                out.keep(example)
                supports[example.support] += 1
                shown[str(len(example.passages))] += 1
                if example.oracle is not None:
                    positions[str(example.oracle)] += 1
    out.check(options.max_failed, "units")
    out.note(realised=realised(supports), oracle_at=dict(sorted(positions.items())), passages_shown=dict(sorted(shown.items())))


def realised(supports: Mapping[str, int]) -> dict[str, float]:
    """The share of each kind of support among the examples."""
    total = sum(supports.values()) or 1
    return {kind: round(count / total, 4) for kind, count in sorted(supports.items())}


def example_id(recipe: str, unit: str, question: str, draw: int) -> str:
    """A stable id for what one draw about one unit made."""
    return digest(recipe, unit, question, draw)


__all__ = ["Bench", "Example", "RecipeOptions", "example_id", "options_of", "realised", "synthesize"]
