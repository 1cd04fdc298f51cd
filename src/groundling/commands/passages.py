"""How many passages an answer is best made from, as far as the evaluation tells."""

from __future__ import annotations

from ..runs import Run
from ..sections import GROUNDED
from .verdict import SURE


def fewer(run: Run) -> str:
    """A sentence where the tuned model was right more often from the fewest passages asked about than from as many as it is served with.

    Only the fewest are held against `serve.k`, and only where the paired test shows a difference: the best of several would look better by chance.
    """
    from ..evaluate.scoring import HEADLINE, Metric, Row, tested
    from ..registry import load

    if run.space.record("evaluate") is None or run.config.train.format not in GROUNDED:
        return ""
    found: dict[int, dict[str, float]] = {}
    for row in run.space.read("evaluate", Row):
        right = row.scores.get(HEADLINE)
        if row.model == "tuned" and row.setting.startswith("k=") and isinstance(right, float):
            found.setdefault(int(row.setting.removeprefix("k=")), {})[row.id] = right
    served, fewest = run.config.serve.k, min(found, default=0)
    if served not in found:
        return ""
    both = [((right, 1.0), (found[fewest][i], 1.0)) for i, right in found[served].items() if i in found[fewest]]
    test = tested(Metric(HEADLINE, load("metric", HEADLINE)), f"k={fewest}", both, run.config.seed)
    if test.p is None or test.base is None or test.tuned is None or test.tuned <= test.base or test.p >= SURE:
        return ""
    return (
        f"Answers from {fewest} passage{'' if fewest == 1 else 's'} were right more often than from {served} ({100 * test.tuned:.1f} % against "
        f"{100 * test.base:.1f} % of {test.n} questions, p = {test.p:.2g}): set serve.k: {fewest}, or give --k {fewest} to chat, serve and predict."
    )
