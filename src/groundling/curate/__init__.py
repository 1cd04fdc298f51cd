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


def judged(name: str, examples: Sequence[Example], context: Context) -> list[str | None]:
    """One filter's word on each example: the reason it is dropped, or None. A filter with `sift` sees all at once, one with `check` one by one."""
    module = registry.load("filter", name)
    return module.sift(examples, context) if hasattr(module, "sift") else [module.check(example, context) for example in examples]


def curate(examples: Iterable[Example], options: Curate, context: Context, out: Output) -> None:
    """Run the filters, each on what the ones before it kept."""
    kept = list(examples)
    for name in options.filters:
        verdicts = judged(name, kept, context)
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
