"""Runs of one to four words that the replies share with the accepted ones, over all replies together, with a penalty for being short.

Denominator: all examples; a refusal counts as an empty reply. Source: Papineni et al., 2002 (corpus BLEU), with clipped counts, the nearest length of
the accepted replies, and orders without a match smoothed as in sacreBLEU (half, a quarter … of one). From 0 to 1. Words are those of the other
metrics (small letters, no punctuation, characters where no spaces are written), so figures differ from sacreBLEU's where it splits otherwise.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ...records import Answer
from .. import text
from ..cases import Case

FORMATS = ("backward", "instruct")
ORDERS = 4


def score(case: Case, answer: Answer) -> tuple[float, ...] | None:
    """The parts of one reply: its matches and its runs, by their length from 1 to 4; its length, and that of the nearest accepted reply."""
    if not case.question.answerable:
        return None
    said = [] if answer.abstained else text.tokens(answer.text, articles=True)
    accepted = [text.tokens(gold, articles=True) for gold in case.question.answers]
    matches, totals = [], []
    for n in range(1, ORDERS + 1):
        own = _runs(said, n)
        most: Counter[tuple[str, ...]] = Counter()
        for gold in accepted:
            most |= _runs(gold, n)
        matches.append(float((own & most).total()))
        totals.append(float(own.total()))
    near = min((abs(len(gold) - len(said)), len(gold)) for gold in accepted)[1]
    return *matches, *totals, float(len(said)), float(near)


def _runs(tokens: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1))


def summarise(*sums: Any) -> Any:
    """The geometric mean of the four precisions, times the penalty for replies that are shorter than the accepted ones."""
    import numpy as np

    parts = [np.asarray(s, float) for s in sums]
    matches, totals, (said, near) = parts[:ORDERS], parts[ORDERS : 2 * ORDERS], parts[2 * ORDERS :]
    misses, logs = np.zeros_like(said), np.zeros_like(said)
    for match, total in zip(matches, totals, strict=True):
        missed = (match == 0) & (total > 0)
        misses = misses + missed
        with np.errstate(divide="ignore"):  # an order without a single run makes the whole 0
            logs = logs + np.log(np.where(missed, 0.5**misses, match) / np.maximum(total, 1))
    penalty = np.exp(np.minimum(0.0, 1 - near / np.maximum(said, 1)))
    return np.where(sum(matches) > 0, penalty * np.exp(logs / ORDERS), 0.0)
