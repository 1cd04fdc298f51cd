"""Values as YAML and the command line write them, turned into what the settings of the configuration mean."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError


def numbers(value: Any) -> Any:
    """Numbers such as 3e-05, which YAML takes for words, as what they are."""
    if isinstance(value, str):
        return float(value) if re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value) else value
    if isinstance(value, dict):
        return {name: numbers(inner) for name, inner in value.items()}
    return [numbers(inner) for inner in value] if isinstance(value, list) else value


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
