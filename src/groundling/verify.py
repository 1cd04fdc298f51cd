"""Every mistake of a project that can be found before anything is spent: names, options, questions, the base model."""

from __future__ import annotations

from . import registry
from .config import Config
from .runs import Run


def plugins(c: Config) -> list[tuple[str, str]]:
    """Kind and name of every plug-in that a config names."""
    one = [("splitter", c.chunk.splitter), ("retriever", c.index.retriever), ("recipe", c.synthesize.recipe), ("objective", c.train.objective)]
    return [*one, *(("filter", f) for f in c.curate.filters), *(("metric", m) for m in c.evaluate.metrics)]


def verify(run: Run, training: bool, evaluating: bool) -> None:
    """Raise the UserError of the first mistake found."""
    from .evaluate import cases
    from .synthesize import options_of

    c = run.config
    for kind, name in plugins(c):
        registry.load(kind, name)
    options_of(registry.load("recipe", c.synthesize.recipe), c.synthesize.options)
    if training:
        run.base()
    if evaluating:
        cases.settings(c.evaluate)
    if run.questions:
        cases.check(run.questions)
