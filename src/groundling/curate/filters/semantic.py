"""Drops repeats in meaning: embeddings (index.model) with a cosine at or above the threshold; the best of them stays.
For: paraphrases that `near` cannot see. Options: threshold, of, numbers. Needs the extra [dense]; compares all with all, in blocks.

The threshold of 0.9 is that of Vikhr's published curation, whose code keeps whichever comes first and lets repeats in different batches live on;
here the best stays and every pair is compared. A model puts its cosines where it likes (the E5 family's lie above 0.7): look at what is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ...errors import ConfigError
from ...options import Options as Base
from ...records import Example
from .. import Context
from ..best import ranked
from ..words import kin, said

if TYPE_CHECKING:
    import numpy

BLOCK = 256  # examples compared at once with all that stay
_ROUNDING = 1e-6


class Options(Base):
    threshold: float = Field(0.9, gt=0, le=1)  # cosine from which two examples are the same
    of: Literal["question", "question and answer"] = "question and answer"  # what is compared; an abstention's answer never is
    numbers: bool = True  # examples whose numbers differ are not the same, however near in meaning


def needs_model(options: Options) -> bool:
    return True


def _first_of_kind(vectors: numpy.ndarray, threshold: float) -> list[bool]:
    """For each row, whether no row before it that stays is as near as the threshold."""
    import numpy as np

    held = np.empty_like(vectors)
    count, stays = 0, []
    for at in range(0, len(vectors), BLOCK):
        block = vectors[at : at + BLOCK]
        told = (block @ held[:count].T).max(axis=1) >= threshold if count else np.zeros(len(block), bool)
        within = block @ block.T >= threshold
        mine: list[int] = []
        for n in range(len(block)):
            stay = not told[n] and not within[n, mine].any()
            stays.append(bool(stay))
            if stay:
                mine.append(n)
                held[count] = block[n]
                count += 1
    return stays


def sift(examples: Sequence[Example], context: Context, options: Options) -> list[str | None]:
    """For each example the reason it is dropped, or None. The best of those near in meaning stays."""
    if context.embed is None:
        raise ConfigError("The filter semantic needs an embedding model: set index.model, for example to intfloat/multilingual-e5-small.")
    verdicts: list[str | None] = [None] * len(examples)
    order = ranked(examples)
    texts = [said(examples[n], options.of != "question") for n in order]
    families: dict[tuple[str, ...], list[int]] = {}
    for place, (n, text) in enumerate(zip(order, texts, strict=True)):
        families.setdefault(kin(examples[n], text, options.numbers), []).append(place)
    if not texts:
        return verdicts
    vectors = context.embed(texts)
    for places in families.values():
        for place, stays in zip(places, _first_of_kind(vectors[places], options.threshold - _ROUNDING), strict=True):
            if not stays:
                verdicts[order[place]] = "means the same as a better one"
    return verdicts
