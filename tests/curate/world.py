"""What the tests of the filters share: examples, a judge of one filter, a run of the stage, and vectors without a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy

from groundling import config
from groundling.curate import Context, curate, judged
from groundling.records import Example, Passage, Question, Quote
from groundling.workspace import Output, read_lines

PASSAGES = [Passage(id="a", title="Leave", text="Staff have 25 days."), Passage(id="b", title="", text="Ask Kirsi.")]


def embed(texts: Sequence[str]) -> numpy.ndarray:
    """A vector of length 1 for each text: its runs of three characters, counted."""
    rows = numpy.zeros((len(texts), 64), "float32")
    for n, text in enumerate(texts):
        for run, count in Counter(text[at : at + 3] for at in range(max(1, len(text) - 2))).items():
            rows[n, crc32(run.encode()) % 64] += count
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


ASKED = Context(questions=[Question(id="q", question="Who approves the leave?", answers=["Kirsi"], answerable=True)], seed=3, embed=embed)
NOTHING = Context(questions=[], seed=3, embed=embed)


def example(**changes: Any) -> Example:
    plain = {
        "id": "1", "recipe": "raft", "unit": "a", "document": "d", "question": "How many days?", "passages": list(PASSAGES), "oracle": 0,
        "support": "cited", "quotes": [Quote(text="Staff have 25 days.", passage=0)], "answer": "25 days",
    }  # fmt: skip
    return Example(**plain | changes)


def abstaining(**changes: Any) -> Example:
    return example(**{"oracle": None, "support": "abstain", "quotes": [], "answer": "Not in the documents."} | changes)


def verdicts(name: str, examples: list[Example], context: Context = NOTHING, **options: Any) -> list[str | None]:
    return judged(name, examples, context, options)


def kept(name: str, examples: list[Example], context: Context = NOTHING, **options: Any) -> list[str]:
    """The ids of what a filter keeps, sorted."""
    return sorted(e.id for e, reason in zip(examples, verdicts(name, examples, context, **options), strict=True) if reason is None)


def run(folder: Path, examples: list[Example], context: Context = NOTHING, filters: list[Any] | None = None) -> tuple[list[Example], Output]:
    out = Output(folder)
    try:
        curate(examples, config.Curate(**({"filters": filters} if filters is not None else {})), context, out)
    finally:
        out.close()
    return list(read_lines(folder / "data.jsonl", Example)), out
