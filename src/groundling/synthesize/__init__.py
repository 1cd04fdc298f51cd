"""Chunks to training examples: the runner. It owns the bench (teacher, search, randomness), counting and writing; recipes own the method."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
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
from .choose import Enough, Target, drawn
from .window import Made, in_order

LANES = 64  # units under way at once, where the teacher does not say what it takes


class RecipeOptions(BaseModel):
    """Base of every recipe's options: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Bench(NamedTuple):
    """What a recipe may use. `drop` and `fail` count what it leaves out; `split_of` tells a document's side of the split.

    `finished` are units that an interrupted run was done with: they come last, so that new calls go out at once. `finish` notes one more.
    """

    teacher: Model
    search: Callable[[str, int], list[Hit]]
    chunks: Sequence[Chunk]
    seed: int
    recipe: str
    drop: Callable[[str, Any], None]
    fail: Callable[[str, Any, str], None]
    split_of: Callable[[str], Split]
    finished: Collection[str] = ()
    finish: Callable[[str], None] = lambda unit: None

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


class _Written:
    """What is written, counted."""

    def __init__(self, out: Output) -> None:
        self.out = out
        self.supports, self.positions, self.shown = Counter[str](), Counter[str](), Counter[str]()

    def write(self, made: Made) -> None:
        for example in made.records:
            self.out.keep(example)
            self.supports[example.support] += 1
            self.shown[str(len(example.passages))] += 1
            if example.oracle is not None:
                self.positions[str(example.oracle)] += 1
        for reason, what in made.dropped:
            self.out.drop(reason, what)
        for reason, what, detail in made.failed:
            self.out.fail(reason, what, detail)


async def synthesize(options: Synthesize, bench: Bench, units: Sequence[Chunk], out: Output) -> None:
    """Run the recipe over the units, as many at once as the teacher takes; what comes of them is written in the order of the units.

    `options.limit` and `options.target` draw from them by the seed. However it ends, calls in flight are waited for and stored: they are paid for.
    """
    recipe = registry.load("recipe", options.recipe)
    chosen = options_of(recipe, options.options)
    bench = bench._replace(chunks=sorted(bench.chunks, key=lambda c: c.id))  # what is drawn from them must not depend on their order
    every, units = len(units), drawn(units, options, bench.seed)
    written = _Written(out)
    target = Target(options.target, out, written.write)

    async def make(number: int) -> Made:
        made = Made()
        made.records = await recipe.make(units[number], bench._replace(drop=made.drop, fail=made.fail), chosen)
        bench.finish(units[number].id)
        return made

    # With a target the order is kept from the start: what comes late may not be needed, and would be paid for.
    old = [n for n, unit in enumerate(units) if unit.id in bench.finished and not options.target]
    finished = set(old)
    new = [n for n in range(len(units)) if n not in finished]
    lanes = getattr(bench.teacher, "parallel", LANES)
    try:
        await in_order(make, new, old, min(lanes, options.target or lanes), target.write)
    except Enough:
        pass
    finally:
        if hasattr(bench.teacher, "drain"):
            await bench.teacher.drain()
    out.check(options.max_failed, "units")
    out.note(realised=realised(written.supports), **target.notes(options, every))
    out.note(oracle_at=dict(sorted(written.positions.items())), passages_shown=dict(sorted(written.shown.items())))


def realised(supports: Mapping[str, int]) -> dict[str, float]:
    """The share of each kind of support among the examples."""
    total = sum(supports.values()) or 1
    return {kind: round(count / total, 4) for kind, count in sorted(supports.items())}


def example_id(recipe: str, unit: str, question: str, draw: int) -> str:
    """A stable id for what one draw about one unit made."""
    return digest(recipe, unit, question, draw)


__all__ = ["Bench", "Example", "RecipeOptions", "example_id", "options_of", "realised", "synthesize"]
