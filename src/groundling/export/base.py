"""What an export is asked for, what it counts, and what the run tells its card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..records import Example, Pair


class Training(NamedTuple):
    """What a trainer's config takes over from the run: `base` is a folder or a hub name."""

    base: str
    rank: int
    alpha: int
    dropout: float
    epochs: float
    batch: int
    rate: float
    max_length: int


class Order(NamedTuple):
    """What is to be exported, and how. `split` is one side of the split, empty for both."""

    target: str
    out: Path
    format: str
    name: str
    kind: type[Example] | type[Pair]
    split: str = ""
    licence: str = ""
    training: Training | None = None


class Counts:
    """What was written and what was left out."""

    def __init__(self) -> None:
        self.rows, self.other = Counter[str](), Counter[str]()
        self.unheld = 0  # dialogues, where the target has no place for them
        self.supports, self.recipes = Counter[str](), Counter[str]()
        self.documents: dict[str, Counter[str]] = {}  # side of the split -> rows of each document

    def add(self, record: Example | Pair, split: str) -> None:
        self.rows[split] += 1
        self.documents.setdefault(split, Counter())[record.document] += 1
        self.supports[f"{split} {record.support if isinstance(record, Example) else 'preference'}"] += 1
        self.recipes[record.recipe if isinstance(record, Example) else "preference"] += 1


class Told(NamedTuple):
    """What the run knows about the data: where the documents are, the records of its stages, the name of the teacher, the seed."""

    sources: Mapping[str, str]  # id of a document -> its path and title
    stages: Mapping[str, Mapping[str, Any]]  # name of a stage -> its record
    teacher: str = ""
    seed: int | None = None
