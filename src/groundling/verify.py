"""Every mistake of a project that can be found before anything is spent: names, options, questions, the base model."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Mapping
from types import MappingProxyType

from . import grounding, registry, rounds
from .config import Config, Endpoint
from .errors import ConfigError, MachineError, UserError
from .llm import hosted
from .llm.weights import RUN, Weights, scores_only
from .records import Example, Pair
from .runs import Run

EXTRAS = {
    "train": ["torch", "transformers", "trl", "peft", "datasets", "accelerate"],
    "serve": ["fastapi", "uvicorn"],
    "pdf": ["pypdfium2"],
    "dense": ["torch", "transformers"],
    "search": ["optuna"],
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


def _endpoints(c: Config) -> dict[str, Endpoint]:
    """Those that are asked while examples are made."""
    named = (c.synthesize.teacher, c.synthesize.student, c.synthesize.judge)
    return {name: c.models[name] for name in named if name in c.models}


def _prices(c: Config) -> None:
    for name, endpoint in _endpoints(c).items():
        if c.budget_usd and not (endpoint.price_in or endpoint.price_out):
            raise ConfigError(
                f"budget_usd is set, but models.{name} has no prices, so the budget could not stop anything. Give price_in and price_out "
                "(USD per million tokens), or use budget_tokens."
            )


def keys(run: Run, stages: Collection[str]) -> None:
    """Raise ModelError where the key of an endpoint that these stages ask is missing: before those that come first have taken their time."""
    from .llm.api import Api

    asked = [*_endpoints(run.config).items()] if "synthesize" in stages else []
    if run.hosted and {"train", "evaluate"} & {*stages}:
        asked.append(hosted.started_from(run.config, run.beside))
    for name, endpoint in asked:
        Api(name, endpoint).ready()


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


def _format(c: Config) -> None:
    """Refuse to teach a format for which the recipe makes no examples."""
    from .synthesize import options_of

    recipe = registry.load("recipe", c.synthesize.recipe)
    made = getattr(recipe, "FORMATS", ())
    if callable(made):
        made = made(options_of(recipe, c.synthesize.options))
    if made and c.train.format not in made:
        raise ConfigError(f"The recipe {c.synthesize.recipe} makes examples for train.format={made[0]}, not for {c.train.format}. Set it so.")
    if c.train.format == "step" and not made:
        raise ConfigError(f"train.format step takes an agent's steps, and the recipe {c.synthesize.recipe} makes none. Use rest with rows: steps.")
    if c.train.format == "labels" and not made:
        raise ConfigError(f"train.format labels takes examples with labels, and the recipe {c.synthesize.recipe} makes none. Use classification.")


def kinds(c: Config) -> None:
    """Raise ConfigError where recipe, filters and objective do not speak of the same: examples, or preference pairs."""
    from .curate import check_kind
    from .synthesize import makes

    made = makes(c.synthesize.recipe)
    check_kind(c.curate, made)
    if getattr(registry.load("objective", c.train.objective), "READS", Example) is made:
        return
    fitting = [n for n in registry.names("objective") if getattr(registry.load("objective", n), "READS", Example) is made]
    there, wanted = ("preference pairs", "examples") if made is Pair else ("examples", "preference pairs")
    raise ConfigError(
        f"The recipe {c.synthesize.recipe} makes {there}, and train.objective {c.train.objective} learns from {wanted}. Set train.objective to one "
        f"of {', '.join(fitting)}, or take another recipe{' (preference makes pairs)' if made is Example else ''}."
    )


def _parts(c: Config) -> None:
    """Raise ConfigError for a plug-in or an option that is not there, and for parts that do not go together."""
    from .synthesize import options_of
    from .train.options import options_of as objective_options

    for kind, name in plugins(c):
        registry.load(kind, name)
    options_of(registry.load("recipe", c.synthesize.recipe), c.synthesize.options)
    objective_options(registry.load("objective", c.train.objective), c.train.options)
    hosted.check(c)
    kinds(c)


def settings(c: Config) -> None:
    """Raise ConfigError for the first mistake that the config alone shows: names, options, parts that do not go together, models not named."""
    from .synthesize import check

    _parts(c)
    _format(c)
    check(c.synthesize)


def files(run: Run) -> None:
    """Raise the UserError of the first file named in the recipe's options that is not there, or that the recipe cannot use."""
    from .synthesize import files_of, options_of

    chosen = run.config.synthesize
    recipe, names = registry.load("recipe", chosen.recipe), files_of(chosen.recipe, chosen.options)
    for name in names:
        run.path(name)
    if names and hasattr(recipe, "looked"):
        recipe.looked(options_of(recipe, chosen.options), run.path, run.project.secret)


def trainable(run: Run, before: Mapping[str, Run] = MappingProxyType({}), fetch: bool = False) -> None:
    """Raise the UserError of the first mistake in how the run would be trained that its settings, this machine and the base show.

    `before` are the rounds that come first: what they train need not be there yet. With `fetch`, the configuration and the
    tokenizer of a base that is not on this machine are fetched. Without the extra [train] nothing is looked at.
    """
    if not run.hosted and not missing("train"):
        from .train.checks import Base, check

        check(run.config.train, Base(*_origin(run, before), fetch))


def _origin(run: Run, before: Mapping[str, Run]) -> tuple[Weights | None, bool]:
    """What training starts from, and whether an adapter is on it. Of a round that is still to come it is known what that goes back to."""
    adapter: bool | None = None
    while parent := before.get(run.config.train.base.removeprefix(RUN)) if run.config.train.base.startswith(RUN) else None:
        if parent.space.record("train") is not None:
            break
        if parent.hosted:
            return None, False
        if parent.mute:
            raise scores_only(run.config.train.base)
        if adapter is None:
            adapter = parent.config.train.method != "full" and "method" not in parent.config.train.sized()
        run = parent
    weights = run.base()
    return weights, bool(weights.adapters) if adapter is None else adapter


def ready(run: Run, stages: Collection[str]) -> None:
    """Raise the UserError of what these stages, which are to run now, lack: before those that come first have cost time or money."""
    keys(run, stages)
    if "train" in stages:
        trainable(run, fetch=True)


def every_round(first: Run, train: bool = True, fetch: bool = False) -> None:
    """The same of all rounds before the first of them begins, as far as their configs tell. Raises a UserError that names the round."""
    before: dict[str, Run] = {}
    for run in rounds.runs(first):
        try:
            settings(run.config)
            files(run)
            judge = run.config.synthesize.judge
            if judge.startswith(RUN) and (judging := before.get(judge.removeprefix(RUN))) and judging.mute:
                run.same_format(judge, grounding.fingerprint(judging.config.train.format))
            if train and run.space.record("train") is None:
                trainable(run, before, fetch)
        except UserError as error:
            raise type(error)(f"Round {run.project.name}: {error}") from None
        before[run.project.name] = run


def verify(run: Run, wanted: Collection[str]) -> None:
    """Raise the UserError of the first mistake found that would stop one of the wanted stages."""
    from .evaluate import cases
    from .evaluate.scoring import metrics
    from .synthesize import check

    c = run.config
    _parts(c)
    _filters(run)
    if "synthesize" in wanted:
        check(c.synthesize)
        _prices(c)
        files(run)
    retriever = registry.load("retriever", c.index.retriever)
    if hasattr(retriever, "check"):
        retriever.check(run.index_options)
    if run.hosted and {"train", "evaluate"} & {*wanted}:
        hosted.prices(c, *hosted.started_from(c, run.beside), wanted)
    if "train" in wanted and run.hosted:
        _format(c)
    elif "train" in wanted:
        _trainer()
        run.base()
        _format(c)
    if "evaluate" in wanted:
        cases.settings(c.evaluate)
        metrics(c.evaluate.metrics, c.train.format)
    if run.questions:
        cases.check(run.questions)
