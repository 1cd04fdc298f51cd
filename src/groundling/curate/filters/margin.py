"""Drops preference pairs whose chosen reply is hardly better than the rejected one, by the scorer's own measure, or of unknown margin.
For: pairs scored by a judge or a reward model, whose small differences are noise. Options: minimum, maximum, unknown. Pairs only.

The margin is what the recipe `preference` noted: a difference of shares (0 to 1) with the scorer reference, of marks (1 to 5) with a judge, of
rewards with a reward model. A published curation keeps pairs of any margin, also of none. A very large margin may come of an outlier of the reward
model: `maximum` drops those.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ...options import Options as Base
from ...records import Example, Pair
from .. import Context

READS = (Pair,)
Number = Annotated[float, Field(allow_inf_nan=False)]


class Options(Base):
    minimum: Number = 0.0  # the smallest margin that stays; a margin of 0 or less never does
    maximum: Number | None = None  # the largest that stays
    unknown: Literal["drop", "keep"] = "drop"  # what becomes of pairs without a margin

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError("maximum is below minimum, so nothing could be kept")
        return self


def check(pair: Pair | Example, context: Context, options: Options) -> str | None:
    """The reason a pair is dropped, or None. An example has no margin to be judged by."""
    if isinstance(pair, Example):
        return None
    if pair.margin is None or math.isnan(pair.margin):
        return "no margin" if options.unknown == "drop" else None
    if pair.margin <= 0 or pair.margin < options.minimum:
        return "margin too small"
    return "margin too large" if options.maximum is not None and pair.margin > options.maximum else None
