"""Examples sorted into groups by one of their fields, and so many of each group taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from ..records import Example
from .best import drawn, ranked

By = Literal["support", "answer", "recipe", "kind", "document", "unit"]
Choose = Literal["random", "best"]


def group_of(example: Example, by: By) -> str:
    """The group of an example. Answers, which are the labels of a classification, are compared without letter case and white space."""
    return " ".join(example.answer.casefold().split()) if by == "answer" else getattr(example, by)


def trained(examples: Sequence[Example], by: By) -> dict[str, list[int]]:
    """The places of the training examples by their group. Held-out ones are not counted: they are what the evaluation asks."""
    found: dict[str, list[int]] = {}
    for n, example in enumerate(examples):
        if example.split == "train":
            found.setdefault(group_of(example, by), []).append(n)
    return dict(sorted(found.items()))


def preferred(examples: Sequence[Example], choose: Choose, seed: int, what: str) -> list[int]:
    """The places of the examples, those to be taken first in front."""
    return ranked(examples) if choose == "best" else drawn(examples, seed, what)


def beyond(order: Sequence[int], groups: Mapping[str, Sequence[int]], most: Mapping[str, int]) -> set[int]:
    """The places that are left over when of each group the first so many in the order are taken."""
    group = {n: name for name, places in groups.items() for n in places}
    taken: dict[str, int] = {}
    left = set()
    for n in order:
        if n in group:
            name = group[n]
            taken[name] = taken.get(name, 0) + 1
            if taken[name] > most[name]:
                left.add(n)
    return left
