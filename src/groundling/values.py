"""Values as YAML and the command line write them, turned into what the settings of the configuration mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError


def numbers(value: Any) -> Any:
    """Numbers such as 3e-05, which YAML takes for words, as what they are."""
    if isinstance(value, str):
        return float(value) if re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value) else value
    if isinstance(value, dict):
        return {name: numbers(inner) for name, inner in value.items()}
    return [numbers(inner) for inner in value] if isinstance(value, list) else value


def several(value: Any) -> Any:
    """One number, where a list of them is wanted, as a list."""
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def unsaid(given: dict[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """The settings without the sections that are written with nothing in them, and the lists and mappings that are empty by default anyway."""
    defaults = {name: fields[name].get_default(call_default_factory=True) for name, value in given.items() if value is None and name in fields}
    return {name: value for name, value in given.items() if not (isinstance(defaults.get(name), BaseModel) or defaults.get(name) in ([], {}))}


def switch(value: Any) -> Any:
    """The words `on` and `off`, which YAML takes for true and false, as the words they were."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def below_size(overlap: int, info: ValidationInfo) -> int:
    """The overlap of chunks, where it is smaller than they are."""
    if overlap >= info.data.get("size", overlap + 1):
        raise PydanticCustomError(
            "overlap", "It must be smaller than chunk.size = {size}, or a chunk would hold nothing new. Try a tenth of the size", info.data
        )
    return overlap


def step(value: Any) -> Any:
    """A filter as the config names it: alone, or with its options. `{near: {}}` and `{near: null}` are `near`."""
    if isinstance(value, dict) and len(value) == 1:
        name, options = next(iter(value.items()))
        if isinstance(name, str) and (options is None or isinstance(options, dict)):
            return {name: options} if options else name
    elif isinstance(value, str):
        return value
    raise PydanticCustomError("filter", "A filter is a name, or one name with its options, such as {near: {threshold: 0.8}}")


def no_key(name: str) -> str:
    """A key that is pasted where the name of its variable belongs is refused, under a type of error whose sentence does not repeat it."""
    lower, digits = re.search("[a-z]", name), len(re.findall("[0-9]", name))
    if _KEY.match(name) or (len(name) >= 24 and lower and digits >= 4 and (name.lower() != name or "_" not in name)):
        raise PydanticCustomError("string_pattern_mismatch", "this is a key")
    return name


_KEY = re.compile(r"(sk|gsk|csk|hf|xai|nvapi|pplx|AIza)_?[A-Za-z0-9]{16,}\Z")
