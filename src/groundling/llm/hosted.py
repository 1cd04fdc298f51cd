"""A model that a provider trained and holds: what the config says of it, where it starts from, and who asks it. There are no weights here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..config import Config, Endpoint, Train
from ..errors import ConfigError, ModelError
from ..registry import nearest
from ..sections import AT_PROVIDER
from .weights import RUN, described_run

METHOD = "api"
OBJECTIVES = ("sft", "dpo")
# Of train's settings a provider is told some (AT_PROVIDER); the others are what training on this machine does, some with a word to it.
_WHY = {
    "size": "it fits training to a machine", "preset": "its values are for training on a machine",
    "accumulate": "a provider's batch is train.batch", "rate": "it takes train.rate_multiplier, times its own",
}  # fmt: skip
_ONLY = ("rate_multiplier", "suffix")


class Place(NamedTuple):
    """Where a provider trains: the endpoint and its name in the config, the run's folder and journal, the config, the tuned model's suffix."""

    name: str
    endpoint: Endpoint
    root: Path
    journal: Path
    config: Config
    suffix: str
    say: Callable[[str], None]


def check(c: Config) -> None:
    """Raise ConfigError for settings of train that a provider does not take, or that only a provider takes: all of them are told."""
    if wrong := list(mistakes(c)):
        raise ConfigError(" ".join(wrong))


def mistakes(c: Config) -> Iterator[str]:
    """Each of them as a sentence or two."""
    t = c.train
    if t.method != METHOD:
        yield from (f"train.{name} is for train.method api, and the method is {t.method}. Take it out." for name in _ONLY if getattr(t, name))
        return
    if t.objective not in OBJECTIVES:
        yield f"train.objective {t.objective} trains what a provider does not: it needs the weights here. With train.method api it is sft or dpo."
    if refused := [name for name in type(t).model_fields if name not in {*AT_PROVIDER, *_ONLY} and _given(t, name)]:
        yield from (
            f"train.{name} is not for train.method api: the provider chooses it{f' ({_WHY[name]})' if name in _WHY else ''}. Take it out."
            for name in refused
        )
        yield "A provider takes epochs, batch, rate_multiplier and suffix, and max_length is held here."
    if t.epochs != int(t.epochs):
        yield f"train.epochs = {t.epochs:g}: a provider trains whole epochs. Set 1, 2, 3 …"
    if t.options.get("loss", "sigmoid") != "sigmoid":
        yield f"train.options.loss = {t.options['loss']}: a provider's dpo has no such loss. Take it out."
    if not t.base.startswith(RUN) and t.base not in c.models:
        yield (
            f'train.base = "{t.base}": with train.method api it is the name of an endpoint under models, whose `model` is what the provider trains; '
            f"or run:NAME of a run that was trained so.{nearest(t.base, sorted(c.models)) if c.models else ' There is no endpoint under models yet.'}"
        )


def _given(t: Train, name: str) -> bool:
    """Whether a setting was set. Some are written into every run's config: of those only another value than the default counts."""
    field = type(t).model_fields[name]
    chosen = (field.json_schema_extra or {}).get("chosen")  # type: ignore[union-attr]
    return name in t.model_fields_set if chosen else getattr(t, name) != field.get_default()


def prices(c: Config, name: str, endpoint: Endpoint, wanted: Collection[str] = ("train",)) -> None:
    """Raise ConfigError where a budget in money could not stop the job, or the questions of the evaluation, as a price is not known."""
    if wrong := list(unpriced(c, name, endpoint, wanted)):
        raise ConfigError(" ".join(wrong))


def unpriced(c: Config, name: str, endpoint: Endpoint, wanted: Collection[str]) -> Iterator[str]:
    """What of these stages a budget in money could not stop, as sentences."""
    if c.budget_usd and "train" in wanted and not endpoint.price_train:
        yield (
            f"budget_usd is set, but models.{name} has no price_train, so the budget could not stop a fine-tuning job. Give price_train (USD per "
            "million tokens trained on), or use budget_tokens."
        )
    asked = endpoint if c.evaluate.compare else Endpoint(**describe(name, endpoint, endpoint.model)["endpoint"])
    if c.budget_usd and "evaluate" in wanted and not (asked.price_in and asked.price_out):
        yield (
            f"budget_usd is set, but models.{name} lacks price_in or price_out, so the budget could not stop the evaluation, which asks its models. "
            "Give both (USD per million tokens), use budget_tokens, or stop before with --to train."
        )


def started_from(c: Config, beside: Path) -> tuple[str, Endpoint]:
    """The endpoint whose model the provider trains, by its name in the config. Raises ConfigError, or ModelError for a run held elsewhere."""
    base = c.train.base
    if not base.startswith(RUN):
        check(c)
        return base, c.models[base]
    described = described_run(base, beside)
    if described.get("method") != METHOD:
        raise ModelError(f'"{base}" was trained on a machine: a provider cannot go on from its weights. Name an endpoint as train.base.')
    return endpoint_of(described, c)


def origin(c: Config, beside: Path) -> str:
    """What stands for the weights that training starts from: the provider's name for the model, and where that is."""
    _, endpoint = started_from(c, beside)
    return f"{endpoint.model} at {endpoint.base_url}"


def describe(name: str, endpoint: Endpoint, tuned: str) -> dict[str, Any]:
    """What a run's groundling.json says of where its model is held: the endpoint, with the tuned model's name and its prices."""
    dear = {"price_in": endpoint.tuned_price_in or endpoint.price_in, "price_out": endpoint.tuned_price_out or endpoint.price_out}
    return {"endpoint_name": name, "endpoint": endpoint.model_copy(update={"model": tuned, **dear}).model_dump(mode="json")}


def endpoint_of(described: Mapping[str, Any], c: Config | None) -> tuple[str, Endpoint]:
    """Where a tuned model is asked: as it was when it was trained, with what the config says today of key, limits and prices."""
    name, kept = described["endpoint_name"], Endpoint(**described["endpoint"])
    now = c.models.get(name) if c else None
    if now is None or now.base_url != kept.base_url:
        return name, kept
    return name, Endpoint(**describe(name, now, kept.model)["endpoint"])
