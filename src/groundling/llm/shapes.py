"""The shapes that replies are constrained to: a choice, a score, a ranking, and text. Each is a pydantic model for `structured`.

What is accepted is exact. A score is a whole number of JSON (4, 4.0) or a string of digits ("4", " 4 "); "4/5", "four", 4.5, true and null
are not scores. A choice is one of the labels, whatever its case and the spaces around it, where that leaves no doubt. A reply of nothing
but the label or the number counts as the object. All else is asked for again once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

_STRICT = ConfigDict(extra="ignore", frozen=True)


def _text(value: Any) -> Any:
    """Numbers count as text; lists, objects, true and null do not."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _whole(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value in (float("inf"), float("-inf")) or value % 1:
        raise ValueError("this must be a whole number, written in digits")
    return int(value)


Text = Annotated[str, BeforeValidator(_text), AfterValidator(str.strip)]
Whole = Annotated[int, BeforeValidator(_whole)]


def _single(name: str, field: str, kind: Any) -> type[BaseModel]:
    return create_model(name, __config__=_STRICT, **{field: (kind, ...)})


def choice(labels: Sequence[str]) -> type[BaseModel]:
    """The shape `{"choice": label}`. Raises ValueError for no label, a label twice, or an empty one."""
    return _choice(tuple(labels))


@lru_cache(maxsize=256)
def _choice(labels: tuple[str, ...]) -> type[BaseModel]:
    if not labels or len(set(labels)) < len(labels) or not all(label.strip() == label and label for label in labels):
        raise ValueError(f"A choice needs different labels, without spaces around them: {list(labels)}.")
    return _single("Choice", "choice", Annotated[Literal[labels], BeforeValidator(_label(labels))])


def _label(labels: tuple[str, ...]) -> Callable[[Any], Any]:
    """The label that a value means: the same word, else the only one that differs in case."""

    def meant(value: Any) -> Any:
        if not isinstance(value, str) or value in labels:
            return value
        near = [label for label in labels if label.casefold() == value.strip().casefold()]
        return value.strip() if value.strip() in labels else near[0] if len(near) == 1 else value

    return meant


@lru_cache(maxsize=64)
def score(low: int = 1, high: int = 5) -> type[BaseModel]:
    """The shape `{"score": n}`, low and high included. Raises ValueError for an empty range."""
    if low >= high:
        raise ValueError(f"A score needs a range: {low} to {high} is none.")
    return _single("Score", "score", Annotated[int, Field(ge=low, le=high), BeforeValidator(_whole)])


@lru_cache(maxsize=64)
def ranking(n: int) -> type[BaseModel]:
    """The shape `{"ranking": [numbers]}`: each of 0…n-1 once, the best first. Raises ValueError for fewer than two."""
    if n < 2:
        raise ValueError(f"A ranking needs at least two items, not {n}.")

    def complete(order: list[int]) -> list[int]:
        if sorted(order) != list(range(n)):
            raise ValueError(f"each of the numbers 0 to {n - 1} must stand in it once")
        return order

    item = Annotated[int, Field(ge=0, le=n - 1), BeforeValidator(_whole)]  # bounds before validators: else the schema lacks them
    return _single("Ranking", "ranking", Annotated[list[item], Field(min_length=n, max_length=n), AfterValidator(complete)])
