"""Drops preference pairs until as many teach to answer instead of refusing as to refuse instead of answering (or `ratio` to one).
For: preference training that is to teach which answer, and not how often to answer at all. Options: ratio. Pairs only, training side only.

Whether to refuse is the first word of a reply, and the easiest thing that pairs can teach: where more of them end in a refusal than begin with one, a
small student learns to refuse everywhere, and where none does, to answer everything. Pairs of two answers, or of two refusals, all stay.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from ...grounding import is_refusal
from ...options import Options as Base
from ...records import Example, Pair
from .. import Context
from ..best import drawn

WHOLE = True
READS = (Pair,)
SURPLUS = {"to refuse": "more teach to refuse than to answer", "to answer": "more teach to answer than to refuse"}


class Options(Base):
    ratio: float = Field(1, gt=0)  # pairs that teach to refuse for each that teaches to answer


def sift(pairs: Sequence[Pair | Example], context: Context, options: Options) -> list[str | None]:
    """For each pair the reason it is dropped, or None."""
    teaches = [_teaches(pair) for pair in pairs]
    refusing, answering = teaches.count("to refuse"), teaches.count("to answer")
    left = {"to refuse": int(min(refusing, answering * options.ratio)), "to answer": int(min(answering, refusing / options.ratio))}
    reasons: list[str | None] = [None] * len(pairs)
    for n in drawn(pairs, context.seed, "even"):
        if (what := teaches[n]) in left:
            reasons[n] = None if left[what] > 0 else SURPLUS[what]
            left[what] -= 1
    return reasons


def _teaches(pair: Pair | Example) -> str:
    """Whether a pair to train on teaches `to refuse` or `to answer`; else nothing of the kind."""
    if not isinstance(pair, Pair) or pair.split != "train":
        return ""
    better, worse = refuses(pair.chosen), refuses(pair.rejected)
    return "" if better == worse else "to refuse" if better else "to answer"


def refuses(reply: str) -> bool:
    """Whether a reply's last line, which holds the answer after a mark, says that the passages do not hold it."""
    last = reply.strip().rpartition("\n")[2]
    return is_refusal(last) or is_refusal(last.replace("：", ":").rpartition(":")[2])
