"""How far a judge's scores can be trusted: held against a small set that a person scored on the same scale."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from ..errors import InputError
from ..imports.files import rows
from ..llm.shapes import Text, Whole

LOW, HIGH = 1, 5
THRESHOLDS = {4: 4.0, 5: 4.5}  # what is kept as 4 or better, and as 5: a score of shares counts as 5 from 4.5 on, as in the paper
_NOTE = re.compile(r"labelled (\d), scored ([\d.]+)")


class Labelled(BaseModel):
    """A record of the labelled file."""

    instruction: Annotated[Text, Field(min_length=1)]
    output: Annotated[Text, Field(min_length=1)]
    score: Annotated[Whole, Field(ge=LOW, le=HIGH)]


def labelled(name: str, bench: Any) -> list[Labelled]:
    """The labelled pairs of a file; a record that is none fails, with its line. Raises InputError where none is left."""
    found = []
    for raw in rows(bench.path(name)):
        where = {"file": name, "line": raw.line, "record": (raw.text or str(raw.value))[:500]}
        if raw.fault:
            bench.fail(raw.fault, where, f"line {raw.line}: {raw.detail}")
            continue
        try:
            found.append(Labelled.model_validate(raw.value))
        except ValidationError as error:
            first = error.errors()[0]
            bench.fail("not a labelled pair", where, f"line {raw.line}: {'.'.join(map(str, first['loc']))}: {first['msg']}")
    if not found:
        raise InputError(
            f'{name} holds no labelled pair. Each record has "instruction", "output" and a "score" from {LOW} to {HIGH}, given by a person.'
        )
    return found


def note(label: int, score: float) -> str:
    """What is counted of one labelled pair."""
    return f"labelled {label}, scored {score:g}"


def told(noted: Mapping[str, int]) -> list[str]:
    """Precision and recall at each threshold, and the agreement, as a sentence; nothing where no pair was labelled."""
    pairs = [(int(m[1]), float(m[2]), count) for what, count in sorted(noted.items()) if (m := _NOTE.fullmatch(what))]
    every = sum(count for *_, count in pairs)
    if not every:
        return []
    parts = [_at(label, least, pairs) for label, least in THRESHOLDS.items()]
    kappa = weighted_kappa(pairs)
    agreed = "no agreement can be told (only one score was given)" if kappa is None else f"weighted kappa {kappa:.2f}"
    return [f"the judge beside a person on {every} labelled pairs: {'; '.join(parts)}; {agreed}"]


def round_half_up(score: float) -> int:
    return int(score + 0.5)


def _at(label: int, least: float, pairs: list[tuple[int, float, int]]) -> str:
    right = sum(n for a, b, n in pairs if a >= label and b >= least)
    said, true = sum(n for _, b, n in pairs if b >= least), sum(n for a, _, n in pairs if a >= label)

    def share(of: int) -> str:
        return f"{right / of:.2f} ({right}/{of})" if of else "undefined"

    return f"{'at' if label == HIGH else 'from'} {label}: precision {share(said)}, recall {share(true)}"


def weighted_kappa(pairs: list[tuple[int, float, int]]) -> float | None:
    """Cohen's kappa with quadratic weights, of (a person's score, the judge's, how often); None where both gave one score throughout."""
    counts: dict[tuple[int, int], int] = {}
    for a, b, n in pairs:
        counts[a, round_half_up(b)] = counts.get((a, round_half_up(b)), 0) + n
    total = sum(counts.values())
    first = {k: sum(n for (a, _), n in counts.items() if a == k) for k in range(LOW, HIGH + 1)}
    second = {k: sum(n for (_, b), n in counts.items() if b == k) for k in range(LOW, HIGH + 1)}
    seen = sum((a - b) ** 2 * n for (a, b), n in counts.items())
    by_chance = sum((a - b) ** 2 * first[a] * second[b] for a in first for b in second) / total
    return 1 - seen / by_chance if by_chance else None
