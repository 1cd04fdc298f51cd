"""Every mistake of a project that can be found before anything is spent: names, options, questions, the base model."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection

from . import registry
from .config import Config
from .errors import ConfigError, MachineError
from .runs import Run

EXTRAS = {
    "train": ["torch", "transformers", "trl", "peft", "datasets", "accelerate"],
    "serve": ["fastapi", "uvicorn"],
    "pdf": ["pypdfium2"],
    "dense": ["torch", "transformers"],
}


def missing(extra: str) -> list[str]:
    """The packages of an extra that are not installed. None of them is imported to find out."""
    return [name for name in EXTRAS[extra] if importlib.util.find_spec(name) is None]


def _trainer() -> None:
    if absent := missing("train"):
        raise MachineError(
            f'Training needs the extra [train] (missing: {", ".join(absent)}): pip install "groundling[train]". '
            "Without it, groundling run … --to curate makes the examples."
        )


def plugins(c: Config) -> list[tuple[str, str]]:
    """Kind and name of every plug-in that a config names."""
    one = [("splitter", c.chunk.splitter), ("retriever", c.index.retriever), ("recipe", c.synthesize.recipe), ("objective", c.train.objective)]
    return [*one, *(("filter", f) for f in c.curate.filters), *(("metric", m) for m in c.evaluate.metrics)]


def _prices(c: Config) -> None:
    endpoint = c.models.get(c.synthesize.teacher)
    if c.budget_usd and endpoint and not (endpoint.price_in or endpoint.price_out):
        raise ConfigError(
            f"budget_usd is set, but models.{c.synthesize.teacher} has no prices, so the budget could not stop anything. Give price_in and price_out "
            "(USD per million tokens), or use budget_tokens."
        )


def verify(run: Run, wanted: Collection[str]) -> None:
    """Raise the UserError of the first mistake found that would stop one of the wanted stages."""
    from .evaluate import cases
    from .synthesize import options_of

    c = run.config
    for kind, name in plugins(c):
        registry.load(kind, name)
    options_of(registry.load("recipe", c.synthesize.recipe), c.synthesize.options)
    if "synthesize" in wanted:
        _prices(c)
    retriever = registry.load("retriever", c.index.retriever)
    if hasattr(retriever, "check"):
        retriever.check(run.index_options)
    if "train" in wanted:
        _trainer()
        run.base()
    if "evaluate" in wanted:
        cases.settings(c.evaluate)
    if run.questions:
        cases.check(run.questions)
