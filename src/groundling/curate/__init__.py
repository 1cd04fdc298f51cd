"""Examples to kept examples: filters in the order of the config, each reason counted, each reject kept.

A filter is a file in `filters/` with one door: `check(example, context)` where it judges one by one, or `sift(examples, context)` where it must
see all; both give the reason why an example is dropped, a short constant phrase, or None. One with `Options` takes them as a third argument.
`WHOLE = True` says that its word hangs on the whole set, and means nothing for a handful; `needs_model(options)`, that it asks `context.embed`.

A filter that judges preference pairs too says `READS = (Example, Pair)` and has a door of its own for them, `pairs(pairs, context)`. One that judges
nothing else says `READS = (Pair,)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .. import registry
from ..config import Curate
from ..errors import ConfigError
from ..options import Options, checked
from ..records import Example, Pair, Passage, Question
from ..workspace import Output

if TYPE_CHECKING:
    import numpy


R = TypeVar("R", Example, Pair)


class Context(NamedTuple):
    """What a filter may know besides the examples.

    `questions` are the evaluation's, which nothing in training may repeat; `seed` decides what is drawn; `embed` gives a row of length 1 for
    each text, None where the config names no embedding model. `held_out`: the evaluation asks the held-out examples too, whatever their kind.
    """

    questions: Sequence[Question]
    seed: int = 0
    embed: Callable[[Sequence[str]], numpy.ndarray] | None = None
    held_out: bool = False


def options_of(name: str, given: dict[str, Any]) -> Options:
    """A filter's options, checked. Raises ConfigError for a filter or an option that is not there."""
    return checked(getattr(registry.load("filter", name), "Options", Options), given, f"curate.filters: {name}")


def steps(options: Curate) -> Iterator[tuple[ModuleType, str, Options]]:
    """The config's filters with their names and checked options."""
    for name, given in options.steps():
        yield registry.load("filter", name), name, options_of(name, given)


def needs_model(options: Curate) -> str:
    """The first filter of the config that compares by meaning, for which an embedding model is needed; empty where none is."""
    return next((name for module, name, chosen in steps(options) if hasattr(module, "needs_model") and module.needs_model(chosen)), "")


def identity(options: Curate) -> list[str | dict[str, Any]]:
    """The filters and the options that are not as by default: what shapes the output, the same however the config writes it."""
    named = [(name, chosen.model_dump(mode="json", exclude_defaults=True)) for _, name, chosen in steps(options)]
    return [{name: chosen} if chosen else name for name, chosen in named]


def check_kind(options: Curate, kind: type[Example] | type[Pair]) -> None:
    """Raise ConfigError for the first filter of the config that does not understand what the recipe makes."""
    fitting = [name for name in registry.names("filter") if kind in reads(name)]
    for name, _ in options.steps():
        if kind not in reads(name):
            there, other = ("preference pairs", "examples") if kind is Pair else ("examples", "preference pairs")
            raise ConfigError(
                f"The filter {name} judges {other}, and the recipe makes {there}. Take it out of curate.filters; for {there} there are: "
                f"{', '.join(fitting)}."
            )


def reads(name: str) -> tuple[type[Example] | type[Pair], ...]:
    """What a filter can judge."""
    return getattr(registry.load("filter", name), "READS", (Example,))


def judged(name: str, examples: Sequence[Any], context: Context, given: dict[str, Any] | None = None) -> list[str | None]:
    """One filter's word on each example or pair: the reason it is dropped, or None."""
    module = registry.load("filter", name)
    options = options_of(name, given or {})
    more = (context, options) if hasattr(module, "Options") else (context,)
    if hasattr(module, "pairs") and any(isinstance(example, Pair) for example in examples):
        return module.pairs(examples, *more)
    return module.sift(examples, *more) if hasattr(module, "sift") else [module.check(example, *more) for example in examples]


def shared(examples: Iterable[R]) -> Iterator[R]:
    """The examples, equal passages held once: a chunk stands in many of them, and its text is what fills the memory."""
    known: dict[Passage, Passage] = {}
    for example in examples:
        example.passages[:] = [known.setdefault(passage, passage) for passage in example.passages]
        yield example


def curate(examples: Iterable[R], options: Curate, context: Context, out: Output) -> None:
    """Run the filters, each on what the ones before it kept. What is kept stays in its order."""
    kept = list(shared(examples))
    if kept:
        check_kind(options, type(kept[0]))
    for name, given in options.steps():
        verdicts = judged(name, kept, context, given)
        for example, reason in zip(kept, verdicts, strict=True):
            if reason is not None:
                out.drop(f"{name}: {reason}", example)
        kept = [e for e, reason in zip(kept, verdicts, strict=True) if reason is None]
    for example in kept:
        out.keep(example)
    supports: dict[str, int] = {}
    for example in kept:
        sort = f"{example.split} {'pairs' if isinstance(example, Pair) else example.support}"
        supports[sort] = supports.get(sort, 0) + 1
    out.note(kept_by=dict(sorted(supports.items())))
