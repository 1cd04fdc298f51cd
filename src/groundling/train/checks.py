"""The mistakes of train settings that show before anything is spent: from the settings, this machine, and the base's configuration and tokenizer.

One list. The training asks it before it begins; `run`, `plan`, `doctor` and the rounds ask it before the first stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from .. import grounding
from ..config import Train
from ..errors import ConfigError, MachineError, ModelError, UserError
from ..llm.local import need_torch
from ..llm.weights import Weights
from ..registry import nearest
from . import kernels
from .dial import Work, refuse_too_large, settle
from .model import precision, why_not
from .options import needs_of
from .several import wanted
from .sizing import kind_of, shape
from .tracking import need_trackers

SHORT = 64  # tokens of the shortest example that is worth training on: the least that `max_length` may be


class Base(NamedTuple):
    """What training starts from, as far as it is known: its weights (for a round that is still to come those that it goes back to), and whether an
    adapter is on them. `fetch`: what is not on this machine yet may be fetched, as training is about to do so anyway."""

    weights: Weights | None
    adapter: bool = False
    fetch: bool = False


def base_of(weights: Weights, fetch: bool = False) -> Base:
    return Base(weights, bool(weights.adapters), fetch)


def check(options: Train, base: Base) -> None:
    """Raise the UserError of the first mistake."""
    for mistake in mistakes(options, base):
        raise mistake


def mistakes(options: Train, base: Base) -> Iterator[UserError]:
    """All mistakes, the settings' own first. Settings that a `size` chooses are looked at as it would choose them."""
    if base.weights is not None:
        try:
            options, _ = settle(options, base.weights)
        except UserError as error:
            yield error
            return
    for one in CHECKS:
        try:
            one(options, base)
        except UserError as error:
            yield error


def _dropout(options: Train, base: Base) -> None:
    if options.dropout and needs_of(options).still:
        raise ConfigError(
            f"train.dropout = {options.dropout:g}: the objective {options.objective} compares likelihoods, and dropout would make them differ by "
            "chance. Set it to 0."
        )


def _format(options: Train, base: Base) -> None:
    needs, turns = needs_of(options), grounding.FORMATS[options.format].turns
    if needs.format and options.format != needs.format:
        raise ConfigError(
            f"The objective {options.objective} chooses between labels: it needs train.format: {needs.format}, not {options.format}. Examples of "
            "that format come from the recipe classification."
        )
    if not needs.turns and turns > 1:
        raise ConfigError(f"train.format {options.format} answers in {turns} turns, and a pair holds one reply each. Use another format.")


def _several(options: Train, base: Base) -> None:
    wanted(options)


def _packages(options: Train, base: Base) -> None:
    if find_spec("bitsandbytes") is not None:
        return
    for value, named, instead in ((options.method, "method = qlora", "lora"), (options.optimizer, "optimizer = adamw_8bit", "adamw")):
        if named.endswith(f" {value}"):
            setting = named.split()[0]
            raise MachineError(f'train.{named} needs bitsandbytes: pip install "groundling[train]". Or use train.{setting}={instead}.')


def _trackers(options: Train, base: Base) -> None:
    need_trackers(options)


def _arithmetic(options: Train, base: Base) -> None:
    if options.precision in ("bf16", "fp16"):
        precision(options)


def _computing(options: Train, base: Base) -> None:
    """An attention, kernels or packing by name that is not to be had."""
    arithmetic: str = options.precision
    supported: tuple[str, ...] | None = None
    with suppress(UserError):  # what is wrong with precision or architecture is said already
        arithmetic = precision(options)
        supported = _network(base.weights.base, base.fetch).attentions if base.weights else None
    kernels.refuse(options, kind_of(base.weights) if base.weights else "", arithmetic, supported)


def _whole_base(options: Train, base: Base) -> None:
    if options.method == "qlora" and base.adapter:
        raise ModelError(
            f"train.method = qlora starts from a whole model, but {options.base} is a base with an adapter, which cannot be merged in four bits. "
            "Use train.method=lora."
        )


def _targets(options: Train, base: Base) -> None:
    """PEFT would pass over a name that fits nothing where another does."""
    if options.method == "full" or options.targets == "all-linear":
        return
    if "lm_head" in options.targets:
        raise ModelError(
            "train.targets names lm_head: the loss reads its weights directly, so an adapter there would never be trained. Leave it out."
        )
    layers = _network(base.weights.base, base.fetch).layers if base.weights else ()
    for name in options.targets:
        if layers and name not in layers:
            raise ModelError(f'train.targets: {options.base} has no layer "{name}" for an adapter.{nearest(name, list(layers))}')


def _architecture(options: Train, base: Base) -> None:
    if base.weights:
        _network(base.weights.base, base.fetch)


class Network(NamedTuple):
    """The names of the layers that can have an adapter, and the attentions that the network is written for."""

    layers: tuple[str, ...] = ()
    attentions: tuple[str, ...] | None = None


_FLAGS = {kernels.PLAIN: "_supports_sdpa", kernels.FLASH: "_supports_flash_attn", kernels.FLEX: "_supports_flex_attn"}


@lru_cache(maxsize=8)
def _network(base: str, fetch: bool) -> Network:
    """What is known of the network that the configuration describes, without its weights; nothing where the configuration is not here.

    Raises ModelError where no such network is known.
    """
    need_torch()
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.pytorch_utils import Conv1D

    try:
        found = AutoConfig.from_pretrained(base, local_files_only=not fetch)
        with torch.device("meta"):
            network = AutoModelForCausalLM.from_config(found)
    except OSError as error:
        if fetch or Path(base).is_dir():
            raise ModelError(why_not(base, error)) from error
        return Network()
    except (ValueError, KeyError) as error:
        raise ModelError(why_not(base, error)) from error
    kinds = (torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv1d, torch.nn.Conv2d, Conv1D)
    layers = {name.rpartition(".")[2] for name, module in network.named_modules() if isinstance(module, kinds)}
    return Network(tuple(sorted(layers)), tuple(name for name, flag in _FLAGS.items() if getattr(network, flag, False)))


def _length(options: Train, base: Base) -> None:
    found = shape(base.weights) if base.weights else None
    if found and options.max_length > found.positions and "max_length" not in options.chosen():
        raise ConfigError(
            f"train.max_length = {options.max_length}, but {options.base} reads {found.positions} tokens at most. Set it to that or less: longer "
            "examples are dropped and counted."
        )


def _room(options: Train, base: Base) -> None:
    """Whether a single short example fits: longer ones are refused when they are known."""
    if base.weights:
        refuse_too_large(options, base.weights, Work(SHORT, needs_of(options).replies, 0.5))


def _tokenizer(options: Train, base: Base) -> None:
    """A tokenizer without end or chat template, and a template under which the answer's tokens cannot be told apart."""
    if base.weights is None or not (base.fetch or Path(base.weights.outermost).is_dir()):
        return
    from ..llm.local import accepts_documents, load_tokenizer
    from .tokens import row_of

    tokenizer: Any = load_tokenizer(base.weights.outermost)
    row_of(grounding.fixtures()[0], options.format, tokenizer, accepts_documents(tokenizer))


CHECKS: tuple[Callable[[Train, Base], None], ...] = (
    _dropout, _format, _several, _packages, _trackers, _arithmetic, _whole_base, _architecture, _computing, _targets, _length, _room, _tokenizer,
)  # fmt: skip
