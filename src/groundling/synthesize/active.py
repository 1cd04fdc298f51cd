"""Which texts are worth a label: those between whose labels a model can least decide, and of these such as differ from each other.

Margin sampling (Scheffer et al. 2001) among candidates, then a spread: the most doubtful first, each further one as far as can be from those taken
(k-centre greedy, arXiv 1708.00489, here over the words of the texts), where a text that the model is sure of counts as near.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..choosing import Asking, Choice, choose
from ..grounding import FORMATS
from ..llm.base import Model
from ..records import Passage
from .labelled import Row, normal

POOL = 5  # times as many of the smallest margins as are wanted: among these the spread is looked for


def margin(choice: Choice) -> float:
    """How much likelier the first label is than the second: 0 where the model cannot decide."""
    first, second = sorted(choice.shares, reverse=True)[:2]
    return first - second


async def margins(model: Model, rows: Sequence[Row], prompts: Sequence[Sequence[Passage]]) -> dict[str, float]:
    """The margin of each text by its id; a text that the model cannot take in has none and is left out."""
    asked = [Asking(FORMATS["labels"].prompt(row.text, labels), [p.title for p in labels]) for row, labels in zip(rows, prompts, strict=True)]
    return {row.id: margin(made) for row, made in zip(rows, await choose(model, asked), strict=True) if made.shares}


def helpful(rows: Sequence[Row], known: dict[str, float], count: int) -> list[Row]:
    """`count` rows: of the smallest margins those that are far from each other. Ties are told apart by the texts' ids."""
    pool = sorted((row for row in rows if row.id in known), key=lambda row: (known[row.id], row.id))[: POOL * count]
    if len(pool) <= count:
        return pool
    words, doubt = [set(normal(row.text).split()) for row in pool], [1 - known[row.id] for row in pool]
    taken, far = [0], [2.0] * len(pool)
    while len(taken) < count:
        last = words[taken[-1]]
        far = [min(f, 1 - len(last & own) / (len(last | own) or 1)) for f, own in zip(far, words, strict=True)]
        for n in taken:
            far[n] = -1.0 / (doubt[n] or 1e-9)  # taken: never again
        worth = [f * d for f, d in zip(far, doubt, strict=True)]
        taken.append(worth.index(max(worth)))  # of equal ones that with the smallest margin
    return [pool[n] for n in taken]
