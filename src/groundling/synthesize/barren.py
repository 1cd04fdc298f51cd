"""A teacher that gives nothing at all is noticed early, before everything is asked and paid for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ..config import Synthesize
from ..errors import TooManyFailed
from ..workspace import Output
from .window import Made

FIRST = 25  # units, in their order, that come to nothing before it is given up


class Barren:
    """Watches the first results. Rules are not watched: asking them costs nothing, and of many chunks they know nothing.

    Of a sieve, a recipe that by its nature drops most of what it is given, only units that failed count.
    """

    def __init__(self, options: Synthesize, models: Iterable[Any], sieve: bool = False) -> None:
        self._watching = options.max_failed < 1 and any(getattr(m, "name", "") != "template" for m in models if m is not None)
        self._sieve = sieve
        self._units, self._reasons = 0, Counter[str]()

    def look(self, made: Made, out: Output) -> None:
        """Raise TooManyFailed where each of the first units came to nothing. In the order of the units, so speed has no say in it."""
        self._watching = self._watching and not out.kept
        if not self._watching or (self._sieve and not made.failed):
            return
        self._units += 1
        self._reasons.update(reason for reason, *_ in [*made.dropped, *made.failed])
        if self._units < FIRST:
            return
        worst = ", ".join(f"{n} × {reason}" for reason, n in self._reasons.most_common(3)) or "no reply held anything"
        raise TooManyFailed(
            f"None of the first {FIRST} units gave an example, so no more are asked: {worst}. See with `groundling preview` what the teacher "
            "says, and set synthesize.teacher to another model, or mend the documents; synthesize.max_failed=1 goes on all the same. Replies so far "
            f"are kept and not paid for again; failures are listed in {out.folder / 'failed.jsonl'}."
        )
