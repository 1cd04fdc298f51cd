"""Examples, a student that replies what the test says, and judges, for the recipe preference."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from groundling import config, registry
from groundling.grounding import FORMATS
from groundling.llm.base import Reply, Request
from groundling.records import Example, Pair, Passage, Quote
from groundling.synthesize import Bench, options_of, synthesize, units_of
from groundling.workspace import Output, read_lines

PASSAGES = [Passage(id="c0", title="Leave", text="Staff have 25 days of leave."), Passage(id="c1", title="", text="The hall opens at 7:30.")]
RIGHT = "##begin_quote##Staff have 25 days of leave.##end_quote## [0]\n<ANSWER>: 25 days"
WRONG = "##begin_quote##The hall opens at 7:30.##end_quote## [1]\n<ANSWER>: 7 days"
UNCITED = "<ANSWER>: 25 days"
REFUSED = "<ANSWER>: Not in the documents."


def example(n: int = 0, **changes: Any) -> Example:
    plain = {
        "id": f"e{n}", "recipe": "raft", "unit": "c0", "document": "d", "question": f"How many days of leave, {n}?", "passages": list(PASSAGES),
        "oracle": 0, "support": "cited", "quotes": [Quote(text="Staff have 25 days of leave.", passage=0)], "answer": "25 days",
    }  # fmt: skip
    return Example(**plain | changes)


def abstaining(n: int = 0, **changes: Any) -> Example:
    return example(n, **{"oracle": None, "support": "abstain", "quotes": [], "answer": "Not in the documents."} | changes)


class Student:
    """Gives its replies by draw, the same for each prompt, or what a function of request gives. `hurried`: in any order."""

    name, fingerprint, documents_role, parallel = "run:handbook", "student/1", False, 8

    def __init__(self, replies: Sequence[str] | Callable[[Request], str | Reply], hurried: int | None = None) -> None:
        self.requests: list[Request] = []
        self._say = replies if callable(replies) else lambda r: replies[r.draw % len(replies)]
        self._random = random.Random(hurried) if hurried is not None else None

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.requests += requests
        if self._random:
            await asyncio.sleep(self._random.random() / 300)
        found = [self._say(r) for r in requests]
        return [f if isinstance(f, Reply) else Reply(text=f) for f in found]


class Rewards:
    """A reward model that looks a reply's score up; replies that it does not know are worth their length."""

    name = "run:reward"

    def __init__(self, known: dict[str, float]) -> None:
        self.known, self.asked = known, []

    async def scores(self, pairs: list[tuple[list[dict[str, str]], str]]) -> list[float]:
        self.asked += pairs
        return [self.known.get(reply, float(len(reply))) for _, reply in pairs]


def marks(scores: dict[str, Any]) -> Student:
    """A judge that gives each reply its mark, known by its text in the prompt."""

    def say(request: Request) -> str:
        mark = next(score for reply, score in scores.items() if f"Reply:\n{reply}" in request.messages[0]["content"])
        return mark if isinstance(mark, str) else json.dumps({"score": mark})

    judge = Student(say)
    judge.name = "judge"
    return judge


def made(
    folder: Path, examples: list[Example], student: Any, judge: Any = None, section: dict | None = None, **options: Any
) -> tuple[list[Pair], Output]:
    """(pairs, the stage's output) of the recipe over the examples."""
    out = Output(folder)
    more = dict(section or {})
    seed, form = more.pop("seed", 42), FORMATS[more.pop("format", "raft")]

    def find(name: str) -> list[Example]:
        assert name == (options.get("examples") or "run:handbook")
        return examples

    bench = Bench(
        teacher=registry.importlib.import_module("groundling.llm.template").Template(), search=lambda q, k: [], chunks=[], seed=seed,
        recipe="preference", drop=out.drop, fail=out.fail, split_of=lambda document: "train", student=student, judge=judge, examples=find, format=form,
    )  # fmt: skip
    settings = config.Synthesize(recipe="preference", student="run:handbook", options=options, **more)
    try:
        units = units_of("preference", [], bench, options_of(registry.load("recipe", "preference"), options))
        asyncio.run(synthesize(settings, bench, units, out))
    finally:
        out.close()
    return list(read_lines(folder / "data.jsonl", Pair)), out
