"""Which of several examples is the best. All filters that keep one of many, or some of many, mean this.

In this order: the higher `score` of a judge or reward model (one without a score comes after all with one); quotes that stand verbatim in the
passages they name; an answer of up to LONG characters before a longer one; of two such answers the longer, of two overlong ones the shorter.
What is equal in all this is told apart by its id, and by its content where ids are equal too: never by its place in the file.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence

from ..records import Example, to_line
from ..seeds import seed_of
from .words import CJK

LONG = 800


def length(text: str) -> int:
    """Characters; one of Japanese, Chinese or Korean says about as much as two of an alphabet, and counts for two."""
    return len(text) + len(CJK.findall(text))


def verified(example: Example) -> bool:
    """Whether it quotes, and each quote stands verbatim in the passage it names."""
    passages = example.passages
    return bool(example.quotes) and all(
        0 <= q.passage < len(passages) and bool(q.text.strip()) and q.text in passages[q.passage].text for q in example.quotes
    )


def quality(example: Example) -> tuple[float, bool, int]:
    """Larger is better."""
    long, score = length(example.answer.strip()), example.score
    worth = -math.inf if score is None or math.isnan(score) else score
    return worth, verified(example), long if long <= LONG else LONG - long


def _told_apart(examples: Sequence[Example]) -> list[tuple[str, bytes]]:
    """A key for each example that no other has, unless it is the same in everything."""
    often = Counter(e.id for e in examples)
    return [(e.id, hashlib.sha256(to_line(e)).digest() if often[e.id] > 1 else b"") for e in examples]


def ranked(examples: Sequence[Example]) -> list[int]:
    """The places of the examples, the best first."""
    apart, worth = _told_apart(examples), [quality(e) for e in examples]
    order = sorted(range(len(examples)), key=apart.__getitem__)
    return sorted(order, key=worth.__getitem__, reverse=True)  # stable, also in reverse


def drawn(examples: Sequence[Example], seed: int, what: str) -> list[int]:
    """The places of the examples in an order that the seed draws, whatever order they came in."""
    apart = _told_apart(examples)
    return sorted(range(len(examples)), key=lambda n: (seed_of(seed, what, apart[n][0]), apart[n]))
