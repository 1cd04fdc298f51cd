"""Mixes sources: of each recipe's examples the share that its weight says, as many in all as the scarcest of them allows, or `n`.
For: training data of several recipes. Options: weights, n, choose. Training side only; nothing is ever repeated to fill a share.

A recipe of weight 0 is left out. One without a weight, or a weight without examples, is an error: the mixture would not be the one asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from ...errors import InputError
from ...options import Options as Base
from ...records import Example
from .. import Context
from ..groups import Choose, beyond, preferred, trained

WHOLE = True
_ROUNDING = 1e-9


class Options(Base):
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}  # by recipe, in any unit: {raft: 3, qa: 1}; empty: all is kept
    n: int = Field(0, ge=0)  # most examples in all; 0: as many as there are
    choose: Choose = "random"  # which of a recipe's stay: drawn by the seed, or the best


def shares(weights: Mapping[str, float], there: Mapping[str, int], n: int) -> dict[str, int]:
    """How many of each: in proportion to the weights, none more than there are, `n` in all at most. A mixture that is right already stays whole."""
    whole = sum(weights.values())
    parts = {name: weight / whole for name, weight in weights.items() if weight}
    total = min(there[name] / part for name, part in parts.items())
    exact = {name: part * (min(total, n) if n else total) for name, part in parts.items()}
    found = {name: min(there[name], math.ceil(value - _ROUNDING)) for name, value in exact.items()}
    rounded_up = sorted(exact, key=lambda name: (exact[name] - math.floor(exact[name]), name))
    for name in rounded_up[: max(0, sum(found.values()) - n) if n else 0]:
        found[name] -= 1
    return found | {name: 0 for name, weight in weights.items() if not weight}


def sift(examples: Sequence[Example], context: Context, options: Options) -> list[str | None]:
    """For each example the reason it is dropped, or None. Raises InputError where weights and recipes do not fit."""
    groups = trained(examples, "recipe")
    if not options.weights or not groups:
        return [None] * len(examples)
    odd = set(groups) ^ {name for name, weight in options.weights.items() if weight or name in groups}
    if odd or not any(options.weights.values()):
        there = ", ".join(f"{name} {len(places)}" for name, places in groups.items())
        raise InputError(
            f"curate.filters: mixture.weights must name each recipe there is, with one weight above 0 at least. Examples by recipe: {there}; "
            f"weights: {', '.join(f'{name} {weight:g}' for name, weight in sorted(options.weights.items()))}."
        )
    most = shares(options.weights, {name: len(places) for name, places in groups.items()}, options.n)
    left = beyond(preferred(examples, options.choose, context.seed, "mixture"), groups, most)
    return ["more than its recipe's share" if n in left else None for n in range(len(examples))]
