"""Chunks to training examples: the runner. It owns the bench (teacher, search, randomness), counting and writing; recipes own the method.

A recipe is a module with `Options` and `make(unit, bench, options)`. It may also have

INPUT          what one call of make gets; a Chunk where it does not say
units          (chunks, bench, options) -> the units, where they are no chunks. It raises ConfigError where there are too few for one.
NEEDS_MODEL    True where the rules of `template` cannot be its teacher; or what says why not with the options given, "" where they can
INSTEAD        roles ("student", "judge") that do all that the teacher would do: with all of them named, no teacher is needed
ASKS           False where no teacher is asked; or (options, roles that the config names) -> whether one is. It is, where it does not say
SIEVE          True where most of what it is given may rightly come to nothing
MAKES          Pair where its records are preferences; Example where it does not say
check          (options, the config's section) raises ConfigError where the section does not name what the recipe needs besides a teacher
DOCUMENTS      False where it reads no documents: the stages before it are passed over then
FORMATS        the formats that its examples are made for, where not every one will do; or (options) -> them
runs           (options, the config's section) -> other runs, as `run:NAME`, whose examples it reads: where theirs change, the stage is stale
files          (options) -> names of the files that its output hangs on: where one changes, the stage is stale
quoted         (options) -> of the files the one with questions, of which `doctor` sees whether they stand in the documents word for word; or ""
looked         (options, path, asked) -> a sentence for `doctor` on the files; ConfigError or InputError for one that cannot be used. `path` finds
               a file that the options name, `asked` is the evaluation's, or None
advice         (options, noted, rows) -> sentences for who reads the result: what was noted how often, how many examples were written
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from .. import registry
from ..config import Synthesize
from ..errors import ConfigError
from ..grounding import FORMATS, Format
from ..llm.base import Model
from ..records import Chunk, Document, Example, Hit, Pair, Split
from ..seeds import digest, rng
from ..workspace import Output
from .barren import Barren
from .choose import Enough, Target, Unit, drawn
from .presets import RecipeOptions, options_of, preset_of
from .shelf import Shelf
from .window import Made, in_order
from .written import Written, realised

LANES = 64  # units under way at once, where the teacher does not say what it takes


def _no_other_run(name: str) -> list[Example]:
    raise ConfigError(f"There is no run beside this one that {name} could name.")


class Bench(NamedTuple):
    """What a recipe may use. `drop` and `fail` count what it leaves out; `split_of` tells a document's side of the split.

    `student` and `judge` are None where the config names none; a judge is a model, or a reward model (`llm.reward.Reward`). `examples` gives the
    curated examples of another run by its `run:NAME`, `path` a file that the recipe's options name, `documents` what the chunks were cut from;
    `format` is the prompt format that is taught, `held_out` the share to be held out, for recipes that split their rows by themselves.

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
    student: Model | None = None
    judge: Any = None
    examples: Callable[[str], list[Example]] = _no_other_run
    path: Callable[[str], Path] = Path
    documents: Callable[[], Iterable[Document]] = tuple
    format: Format = FORMATS["raft"]
    held_out: float = 0.2
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


def need_model(name: str, teacher: str, given: dict[str, Any], named: Collection[str] = ()) -> None:
    """Raise ConfigError where a recipe with these options needs a language model and the teacher is none. `named`: roles that the config fills."""
    recipe = registry.load("recipe", name)
    if (instead := getattr(recipe, "INSTEAD", ())) and set(instead) <= set(named):
        return
    needs = getattr(recipe, "NEEDS_MODEL", False)
    why = needs(options_of(recipe, given)) if callable(needs) else ""
    if teacher == "template" and (why or needs is True):
        raise ConfigError(
            f'The recipe {name} needs a language model{why}, and synthesize.teacher is "template", which only knows rules. Set it to a name under '
            "models (see docs/endpoints.md), to a model's folder, or rehearse with `groundling fake-teacher`."
        )


def roles(options: Synthesize) -> list[str]:
    """Those of student and judge that the config names."""
    return [role for role in ("student", "judge") if getattr(options, role)]


def asks_teacher(section: Synthesize) -> bool:
    """Whether the section's recipe, with its options and roles, asks a teacher for anything, be it the rules of `template`."""
    recipe = registry.load("recipe", section.recipe)
    asks = getattr(recipe, "ASKS", True)
    return bool(asks(options_of(recipe, section.options), roles(section))) if callable(asks) else asks


def units_of(name: str, chunks: Sequence[Chunk], bench: Bench, options: RecipeOptions) -> Sequence[Unit]:
    """What the recipe is run over: the chunks, or what it makes of them. Raises ConfigError where they are too few."""
    recipe = registry.load("recipe", name)
    return recipe.units(chunks, bench, options) if hasattr(recipe, "units") else chunks


def makes(name: str) -> type[Example] | type[Pair]:
    """What a recipe's records are: examples, or preferences."""
    return getattr(registry.load("recipe", name), "MAKES", Example)


def check(section: Synthesize) -> None:
    """Raise ConfigError where the section does not name what its recipe needs: options, a teacher that is a model, a student, a judge."""
    recipe = registry.load("recipe", section.recipe)
    options = options_of(recipe, section.options)
    need_model(section.recipe, section.teacher, section.options, roles(section))
    if hasattr(recipe, "check"):
        recipe.check(options, section)


def files_of(name: str, given: dict[str, Any]) -> list[str]:
    """The files that the output of a recipe with these options hangs on, as the config names them."""
    recipe = registry.load("recipe", name)
    return recipe.files(options_of(recipe, given)) if hasattr(recipe, "files") else []


def called(name: str) -> str:
    """What a recipe's units are called: chunks, clusters …"""
    return f"{getattr(registry.load('recipe', name), 'INPUT', Chunk).__name__.lower()}s"


async def synthesize(options: Synthesize, bench: Bench, units: Sequence[Unit], out: Output) -> None:
    """Run the recipe over the units (see `units_of`), as many at once as the teacher takes; what comes of them is written in the order of the units.

    `options.limit` and `options.target` draw from them by the seed. However it ends, calls in flight are waited for and stored: they are paid for.
    """
    recipe = registry.load("recipe", options.recipe)
    chosen = options_of(recipe, options.options)
    bench = bench.ready()
    every, units = len(units), drawn(units, options, bench.seed)
    models = [bench.teacher, *(getattr(bench, role) for role in getattr(recipe, "INSTEAD", ()))]
    written = Written(out, Barren(options, models, getattr(recipe, "SIEVE", False)))
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
        await leave(bench)
    out.check(options.max_failed, "units")
    out.note(**written.notes(), **target.notes(options, every), units_called=called(options.recipe))
    if preset := preset_of(recipe, options.options):
        out.note(preset=preset)
    if hasattr(recipe, "advice"):
        out.note(advice=recipe.advice(chosen, written.noted, out.kept))


async def leave(bench: Bench) -> None:
    """Send nothing more, and wait until what is in flight is stored. All stop before one is waited for: what is in flight is shared."""
    models = [m for m in (bench.teacher, bench.student, bench.judge) if hasattr(m, "drain")]
    for model in models:
        model.stop()
    for model in models:
        await model.drain()


def example_id(recipe: str, unit: str, question: str, draw: object) -> str:
    """A stable id for what one draw about one unit made."""
    return digest(recipe, unit, question, draw)


__all__ = [
    "Bench", "Example", "RecipeOptions", "asks_teacher", "called", "check", "example_id", "files_of", "leave", "makes", "need_model", "options_of",
    "realised", "roles", "synthesize", "units_of",
]  # fmt: skip
