"""A recipe's options, with presets: the values of a published system under its name, each of which can be set by hand."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

from pydantic import model_validator

from .. import registry
from ..errors import ConfigError
from ..options import Options, checked


class RecipeOptions(Options):
    """Base of every recipe's options: unknown ones are refused.

    A recipe with `PRESETS` also has an option `preset`, the name of one or empty; a value that is given beside it wins.
    """

    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _preset_first(cls, given: Any) -> Any:
        name = given.get("preset") if isinstance(given, dict) else None
        return {**cls.PRESETS.get(name, {}), **given} if isinstance(name, str) else given


def options_of(recipe: ModuleType, given: dict[str, Any]) -> RecipeOptions:
    """The recipe's options, checked. Raises ConfigError with the nearest name for an unknown one."""
    presets = recipe.Options.PRESETS
    if presets and (name := given.get("preset") or "") and name not in presets:
        raise ConfigError(f'synthesize.options.preset: there is no preset "{name}".{registry.nearest(str(name), sorted(presets))}')
    return checked(recipe.Options, given, "synthesize.options")


def preset_of(recipe: ModuleType, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the preset chose, and which of its values were set by hand; None where no preset is named."""
    name = given.get("preset") or ""
    values = recipe.Options.PRESETS.get(name)
    if not values:
        return None
    return {"name": name, "chose": {k: v for k, v in values.items() if k not in given}, "by_hand": {k: given[k] for k in values if k in given}}
