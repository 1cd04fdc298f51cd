"""Examples to kept examples: filters in the order of the config, each reason counted, each reject kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .. import registry
from ..config import Curate
from ..records import Example, Question
from ..workspace import Output


class Context(NamedTuple):
    """What a filter may know besides the example: the questions of the evaluation, which nothing in training may repeat."""

    questions: Sequence[Question]


def curate(examples: Iterable[Example], options: Curate, context: Context, out: Output) -> None:
    """Run the filters. One with `sift` sees all examples at once, one with `check` a single example."""
    kept = list(examples)
    for name in options.filters:
        module = registry.load("filter", name)
        if hasattr(module, "sift"):
            verdicts = module.sift(kept, context)
        else:
            verdicts = [module.check(example, context) for example in kept]
        for example, reason in zip(kept, verdicts, strict=True):
            if reason is not None:
                out.drop(f"{name}: {reason}", example)
        kept = [e for e, reason in zip(kept, verdicts, strict=True) if reason is None]
    for example in kept:
        out.keep(example)
    supports: dict[str, int] = {}
    for example in kept:
        supports[f"{example.split} {example.support}"] = supports.get(f"{example.split} {example.support}", 0) + 1
    out.note(kept_by=dict(sorted(supports.items())))
