"""Drops from groups that are too large: none may be more than `ratio` times the smallest (labels, kinds of support, documents …).
For: classes of one size, or a few long documents that crowd out the rest. Options: by, ratio, smallest, choose. Training side only.

With `by: answer` the labels of a classification are balanced. Groups of fewer than `smallest` are kept whole and do not set the measure.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from ...options import Options as Base
from ...records import Example
from .. import Context
from ..groups import By, Choose, beyond, preferred, trained

WHOLE = True


class Options(Base):
    by: By = "support"  # what makes a group: support, answer (the label), recipe, kind, document or unit (the chunk)
    ratio: float = Field(1, ge=1)  # the largest group may be so many times the smallest
    smallest: int = Field(1, ge=1)  # smaller groups are kept whole and do not count as the smallest
    choose: Choose = "random"  # which of a group stay: drawn by the seed, or the best


def sift(examples: Sequence[Example], context: Context, options: Options) -> list[str | None]:
    """For each example the reason it is dropped, or None."""
    groups = {name: places for name, places in trained(examples, options.by).items() if len(places) >= options.smallest}
    most = int(options.ratio * min(map(len, groups.values()), default=0))
    order = preferred(examples, options.choose, context.seed, "balance")
    left = beyond(order, groups, dict.fromkeys(groups, most))
    return ["its group is larger than allowed" if n in left else None for n in range(len(examples))]
