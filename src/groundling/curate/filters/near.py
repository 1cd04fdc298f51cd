"""Drops near repeats, found by the words and by the characters they share (MinHash; works in Japanese); the best of them stays.
For: a teacher that asks the same in slightly other words. Options: threshold, words, characters, of, numbers. No model.

Two examples repeat each other where the share of their runs of words, or of their runs of characters, reaches the threshold, they have the same
kind of support, are on the same side of the split, follow the same conversation and name the same numbers. "Best" is what `curate/best.py` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from ...options import Options as Base
from ...records import Example
from .. import Context
from ..best import ranked
from ..likeness import Alike
from ..words import kin, said


class Options(Base):
    threshold: float = Field(0.8, ge=0.3, le=1)  # share of runs in common (Jaccard) from which two examples are the same
    words: int = Field(2, ge=0)  # words in a run; 0: words are not compared
    characters: int = Field(4, ge=0)  # characters in a run; 0: they are not compared
    of: Literal["question", "question and answer"] = "question and answer"  # what is compared; an abstention's answer never is
    numbers: bool = True  # examples whose numbers differ are not the same, however alike their words


def sift(examples: Sequence[Example], context: Context, options: Options) -> list[str | None]:
    """For each example the reason it is dropped, or None. The best of those alike stays."""
    order = ranked(examples)
    texts = [said(examples[n], options.of != "question") for n in order]
    family = [kin(examples[n], text, options.numbers) for n, text in zip(order, texts, strict=True)]
    alike = Alike(texts, family, options.threshold, options.words, options.characters)
    verdicts: list[str | None] = [None] * len(examples)
    for place, n in enumerate(order):
        if alike.near(place) is None:
            alike.add(place)
        else:
            verdicts[n] = "nearly a better one"
    return verdicts
