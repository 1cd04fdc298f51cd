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
    return [*one, *(("filter", name) for name, _ in c.curate.steps()), *(("metric", m) for m in c.evaluate.metrics)]


def _prices(c: Config) -> None:
    endpoint = c.models.get(c.synthesize.teacher)
    if c.budget_usd and endpoint and not (endpoint.price_in or endpoint.price_out):
        raise ConfigError(
            f"budget_usd is set, but models.{c.synthesize.teacher} has no prices, so the budget could not stop anything. Give price_in and price_out "
            "(USD per million tokens), or use budget_tokens."
        )


def _filters(run: Run) -> None:
    from .curate import needs_model

    name = needs_model(run.config.curate)
    if name and not run.config.index.model:
        raise ConfigError(
            f"The filter {name} needs an embedding model: set index.model, for example to intfloat/multilingual-e5-small (index.retriever may stay "
            f"{run.config.index.retriever}), or take {name} out of curate.filters."
        )
    if name and (absent := missing("dense")):
        raise MachineError(f'The filter {name} needs the extra [dense] (missing: {", ".join(absent)}): pip install "groundling[dense]".')


def verify(run: Run, wanted: Collection[str]) -> None:
    """Raise the UserError of the first mistake found that would stop one of the wanted stages."""
    from .evaluate import cases
    from .synthesize import need_model, options_of

    c = run.config
    for kind, name in plugins(c):
        registry.load(kind, name)
    options_of(registry.load("recipe", c.synthesize.recipe), c.synthesize.options)
    _filters(run)
    if "synthesize" in wanted:
        need_model(c.synthesize.recipe, c.synthesize.teacher, c.synthesize.options)
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
