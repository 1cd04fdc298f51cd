"""Drops what a judge or a reward model scored too low, what has no score, and a score outside the scale that was asked for.
For: recipes that score, as backtranslation does from 1 to 5 (keep 4 or 5). Options: minimum, scale, unscored. Without minimum or scale all stay.

In a published run of that recipe a lenient reader let scores such as 8, 91 and 1986 through, and left 217,203 of 482,963 without one: `scale` catches
the first, and the second are dropped and counted under a reason of their own.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ...options import Options as Base
from ...records import Example
from .. import Context

Number = Annotated[float, Field(allow_inf_nan=False)]


class Options(Base):
    minimum: Number | None = None  # the lowest score that stays
    scale: tuple[Number, Number] | None = None  # the lowest and the highest score there is, such as [1, 5]
    unscored: Literal["drop", "keep"] = "drop"  # what becomes of examples without a score, once minimum or scale is set

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        if self.scale and not self.scale[0] < self.scale[1]:
            raise ValueError("a scale is written [lowest, highest]")
        if self.scale and self.minimum is not None and self.minimum > self.scale[1]:
            raise ValueError("minimum is above the scale, so nothing could be kept")
        return self


def check(example: Example, context: Context, options: Options) -> str | None:
    """The reason an example is dropped, or None."""
    if options.minimum is None and options.scale is None:
        return None
    if example.score is None or math.isnan(example.score):
        return "no score" if options.unscored == "drop" else None
    if options.scale and not options.scale[0] <= example.score <= options.scale[1]:
        return "score outside its scale"
    return "score too low" if options.minimum is not None and example.score < options.minimum else None
