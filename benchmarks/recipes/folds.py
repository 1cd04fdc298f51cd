"""Cross-validation of a labelled table: each text is held out exactly once, over folds of which each is a run with a training of its own."""

from __future__ import annotations

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from groundling.matching import tokens
from groundling.synthesize.labelled import Row, sides

FOLDS = 5
CHOSEN_ON = (1, 0.25)  # the seed and the share of the split on which the example's rate and epochs were chosen
Said = tuple[str, str, str, str]  # a text's label, the text, what the base and the tuned model gave it
Text = dict[str, str]  # `text` and `label`


def folds(rows: Sequence[Text], count: int = FOLDS, seed: int = 0) -> list[list[Text]]:
    """The rows in `count` parts. Each label's rows are shuffled by the seed and dealt out in turn, so every part has as many of each, or one more."""
    of_label: dict[str, list[Text]] = defaultdict(list)
    for row in rows:
        of_label[row["label"]].append(row)
    r, found, dealt = random.Random(seed), [[] for _ in range(count)], 0
    for label in sorted(of_label):
        own = sorted(of_label[label], key=lambda row: row["text"])
        r.shuffle(own)
        for row in own:
            found[dealt % count].append(row)
            dealt += 1
    return found


def write(folder: Path, table: str) -> list[list[str]]:
    """For each fold its own table beside the whole one, and the rest as the table to train on. Returns each fold's settings of the run."""
    with (folder / table).open(encoding="utf-8", newline="") as handle:
        parts = folds(list(csv.DictReader(handle)))
    settings = []
    for n, held_out in enumerate(parts):
        trained = [row for m, part in enumerate(parts) if m != n for row in part]
        names = {"data": f"fold-{n}-train.csv", "test": f"fold-{n}-test.csv"}
        for name, rows in zip(names.values(), (trained, held_out), strict=True):
            _table(folder / name, rows)
        settings.append([f"synthesize.options.{option}={name}" for option, name in names.items()])
    return settings


def _table(path: Path, rows: Sequence[Text]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerows([("text", "label"), *((row["text"], row["label"]) for row in rows)])


def beside(said: Sequence[Said]) -> str:
    """What else is told of the texts: which labels were given, and whether the gain is that of texts like those trained on, or chosen on."""
    given = {name: Counter(one[n] for one in said).most_common() for n, name in ((2, "base"), (3, "tuned"))}
    lines = [f"  {name} gave: {', '.join(f'{label} {count}' for label, count in found)}" for name, found in given.items()]
    parts = [{row["text"] for row in part} for part in folds([{"text": text, "label": label} for label, text, *_ in said])]
    words = {text: set(tokens(text)) for _, text, *_ in said}
    near = {text: max(_alike(words[text], words[other]) for other in words if other not in own) for own in parts for text in own}
    ranked = sorted(said, key=lambda one: (near[one[1]], one[1]))
    half = len(ranked) // 2
    lines.append(f"  least like what was trained on: {_right(ranked[:half])}; most: {_right(ranked[half:])}")
    ids = {label: [Row(text, label, "").id for own, text, *_ in said if own == label] for label in {one[0] for one in said}}
    side = sides(ids, CHOSEN_ON[1], CHOSEN_ON[0])
    unseen = [one for one in said if side[Row(one[1], one[0], "").id] == "train"]
    return "\n".join([*lines, f"  without the texts that rate and epochs were chosen on: {_right(unseen)}"])


def _alike(a: set[str], b: set[str]) -> float:
    return len(a & b) / max(1, len(a | b))


def _right(said: Sequence[Said]) -> str:
    base, tuned = (sum(one[0] == one[n] for one in said) for n in (2, 3))
    return f"of {len(said)} right {base} before, {tuned} after"
