"""Chunks to training examples: the runner. It owns the bench (teacher, search, randomness), counting and writing; recipes own the method.

A recipe is a module with `Options` and `make(unit, bench, options)`. It may also have

INPUT          what one call of make gets; a Chunk where it does not say
units          (chunks, bench, options) -> the units, where they are no chunks. It raises ConfigError where there are too few for one.
NEEDS_MODEL    True where the rules of `template` cannot be its teacher; or what says why not with the options given, "" where they can
advice         (options, noted, rows) -> sentences for who reads the result: what was noted how often, how many examples were written
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from .. import registry
from ..config import Synthesize
from ..errors import ConfigError
from ..llm.base import Model
from ..records import Chunk, Example, Hit, Split
from ..seeds import digest, rng
from ..workspace import Output
from .barren import Barren
from .choose import Enough, Target, Unit, drawn
from .presets import RecipeOptions, options_of, preset_of
from .shelf import Shelf
from .window import Made, in_order

LANES = 64  # units under way at once, where the teacher does not say what it takes


class Bench(NamedTuple):
    """What a recipe may use. `drop` and `fail` count what it leaves out; `split_of` tells a document's side of the split.

    `finished` are units that an interrupted run was done with: they come last, so that new calls go out at once. `finish` notes one more.
    `note` counts what a reader of the result should know of, though nothing was left out.
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
    note: Callable[[str], None] = lambda what: None
    kept_shelf: Shelf | None = None

    def ready(self) -> Bench:
        """The same bench with its chunks in the order of their ids, as what is drawn from them must not depend on another, and on a shelf."""
        chunks = sorted(self.chunks, key=lambda c: c.id)
        return self._replace(chunks=chunks, kept_shelf=Shelf(chunks, self.split_of))

    @property
    def shelf(self) -> Shelf:
        """The chunks as passages are drawn from them."""
        return self.kept_shelf or Shelf(self.chunks, self.split_of)

    def rng(self, unit: str, draw: object) -> Random:
        """Randomness for one choice about one unit: independent of order and of other units."""
        return rng(self.seed, self.recipe, unit, draw)


def need_model(name: str, teacher: str, given: dict[str, Any]) -> None:
    """Raise ConfigError where a recipe with these options needs a language model and the teacher is none."""
    recipe = registry.load("recipe", name)
    needs = getattr(recipe, "NEEDS_MODEL", False)
    why = needs(options_of(recipe, given)) if callable(needs) else ""
    if teacher == "template" and (why or needs is True):
        raise ConfigError(
            f'The recipe {name} needs a language model{why}, and synthesize.teacher is "template", which only knows rules. Set it to a name under '
            "models (see docs/endpoints.md), to a model's folder, or rehearse with `groundling fake-teacher`."
        )


def units_of(name: str, chunks: Sequence[Chunk], bench: Bench, options: RecipeOptions) -> Sequence[Unit]:
    """What the recipe is run over: the chunks, or what it makes of them. Raises ConfigError where they are too few."""
    recipe = registry.load("recipe", name)
    return recipe.units(chunks, bench, options) if hasattr(recipe, "units") else chunks


def called(name: str) -> str:
    """What a recipe's units are called: chunks, clusters …"""
    return f"{getattr(registry.load('recipe', name), 'INPUT', Chunk).__name__.lower()}s"


class _Written:
    """What is written, counted."""

    def __init__(self, out: Output, barren: Barren) -> None:
        self.out, self.barren = out, barren
        self.supports, self.positions, self.shown = Counter[str](), Counter[str](), Counter[str]()
        self.kinds, self.rows, self.noted = Counter[str](), Counter[int](), Counter[str]()

    def write(self, made: Made) -> None:
        self._write(made)
        self.rows[len(made.records)] += 1
        self.barren.look(made, self.out)

    def _write(self, made: Made) -> None:
        for example in made.records:
            self.out.keep(example)
            self.supports[example.support] += 1
            self.shown[str(len(example.passages))] += 1
            if example.kind:
                self.kinds[example.kind] += 1
            if example.oracle is not None:
                self.positions[str(example.oracle)] += 1
        self.noted.update(made.noted)
        for reason, what in made.dropped:
            self.out.drop(reason, what)
        for reason, what, detail in made.failed:
            self.out.fail(reason, what, detail)


async def synthesize(options: Synthesize, bench: Bench, units: Sequence[Unit], out: Output) -> None:
    """Run the recipe over the units (see `units_of`), as many at once as the teacher takes; what comes of them is written in the order of the units.

    `options.limit` and `options.target` draw from them by the seed. However it ends, calls in flight are waited for and stored: they are paid for.
    """
    recipe = registry.load("recipe", options.recipe)
    chosen = options_of(recipe, options.options)
    bench = bench.ready()
    every, units = len(units), drawn(units, options, bench.seed)
    written = _Written(out, Barren(options, bench.teacher))
    target = Target(options.target, out, written.write)

    async def make(number: int) -> Made:
        made = Made()
        made.records = await recipe.make(units[number], bench._replace(drop=made.drop, fail=made.fail, note=made.note), chosen)
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
    if preset := preset_of(recipe, options.options):
        out.note(preset=preset)
    if written.noted:
        out.note(noted=dict(sorted(written.noted.items())))
    if hasattr(recipe, "advice"):
        out.note(advice=recipe.advice(chosen, written.noted, out.kept))
    if written.kinds:
        out.note(kinds=realised(written.kinds))
    out.note(units_called=called(options.recipe), units_with_rows={str(n): count for n, count in sorted(written.rows.items())})
    out.note(oracle_at=dict(sorted(written.positions.items())), passages_shown=dict(sorted(written.shown.items())))


def realised(counted: Mapping[str, int]) -> dict[str, float]:
    """The share of each sort (support, kind of question) among the examples."""
    total = sum(counted.values()) or 1
    return {sort: round(count / total, 4) for sort, count in sorted(counted.items())}


def example_id(recipe: str, unit: str, question: str, draw: object) -> str:
    """A stable id for what one draw about one unit made."""
    return digest(recipe, unit, question, draw)


__all__ = ["Bench", "Example", "RecipeOptions", "called", "example_id", "need_model", "options_of", "realised", "synthesize", "units_of"]
