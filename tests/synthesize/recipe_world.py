"""A world of documents and teachers for the tests of recipes: the fake teacher without its server, and one that says what the test wants."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from groundling import config, registry
from groundling.llm.base import Reply, Request
from groundling.llm.fake.content import Call, Message, name_of, say
from groundling.llm.schema import prompted
from groundling.records import Chunk, Example, Hit
from groundling.synthesize import Bench, options_of, synthesize, units_of
from groundling.workspace import Output, read_lines

PLACES = "Turku Oulu Espoo Vantaa Lahti Kuopio Pori Lappi Kotka Rauma".split()
HELD_OUT = {"d1", "d4"}


def handbook(documents: int = 6, parts: int = 2) -> list[Chunk]:
    """Documents about as many towns, each of some chunks with a heading, sentences, a list and a table, rich enough for a dozen questions."""
    chunks = []
    for d in range(documents):
        place, at = PLACES[d % len(PLACES)] + (f" {d // len(PLACES)}" if d >= len(PLACES) else ""), 0
        for n in range(parts):
            k = 10 * d + 3 * n + 11
            text = (
                f"## Part {n} of {place}\n\nThe scale of {place} weighs {k} kg & stands in hall {k + 40}. Its battery in {place} lasts {k} months in use.\n"
                f"Repairs in {place} are done within {k} working days. The warranty of scale {n} costs {k + 500} EUR in {place}.\n\n"
                f"- The hall of {place} opens at {7 + n}:30.\n- A hotel night in {place} may cost at most {k + 90} EUR.\n\n"
                f"| Product of {place} | Price |\n|---|---|\n| Katla {k} | {k + 300} EUR |\n| Hekla {k} | {k + 800} EUR |"
            )
            chunks.append(
                Chunk(id=f"c{d}-{n}", document=f"d{d}", path=f"{d}.md", title=f"{place} > Part {n}", text=text, start=at, end=at + len(text))
            )
            at += len(text) + 2
    return chunks


def searcher(chunks: Sequence[Chunk]) -> Callable[[str, int], list[Hit]]:
    """Search by common words; ties by id."""

    def search(query: str, k: int) -> list[Hit]:
        words = set(query.lower().split())
        scored = [Hit(chunk=c, score=len(words & set(c.text.lower().split()))) for c in chunks]
        return sorted(scored, key=lambda h: (-h.score, h.chunk.id))[:k]

    return search


class Fake:
    """The fake teacher's own words, without its server. `hurried`: replies come in any order."""

    name, fingerprint, documents_role = "fake", "fake/1", False

    def __init__(self, hurried: int | None = None) -> None:
        self.requests: list[Request] = []
        self._random = random.Random(hurried) if hurried is not None else None

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.requests += requests
        if self._random:
            await asyncio.sleep(self._random.random() / 500)
        return [Reply(text=self.say(r)) for r in requests]

    def say(self, request: Request) -> str:
        call = Call(model="m", messages=[Message(role=m["role"], content=m["content"]) for m in prompted(request).messages])
        return say(call, name_of(call), 0, "").content or ""


class Scripted(Fake):
    """Says what the test says for a task: a value, or what a function of the request gives; else the fake's words."""

    def __init__(self, **said: Any) -> None:
        super().__init__()
        self._said = said

    def say(self, request: Request) -> str:
        if request.task not in self._said:
            return super().say(request)
        value = self._said[request.task]
        value = value(request) if callable(value) else value
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def made(
    folder: Path, recipe: str, chunks: Sequence[Chunk], teacher: Any = None, seed: int = 42, section: dict | None = None, seats: dict | None = None,
    **options: Any,
):  # fmt: skip
    """(examples, the stage's output) of a recipe over the chunks. `section` are further settings of synthesize, `seats` further fields of the bench."""
    out = Output(folder)
    bench = Bench(
        teacher=teacher or Fake(), chunks=chunks, seed=seed, recipe=recipe, drop=out.drop, fail=out.fail,
        split_of=lambda document: "held_out" if document in HELD_OUT else "train", **({"search": searcher(chunks)} | (seats or {})),
    )  # fmt: skip
    settings = config.Synthesize(recipe=recipe, options=options, **(section or {}))
    try:
        units = units_of(recipe, chunks, bench, options_of(registry.load("recipe", recipe), options))
        asyncio.run(synthesize(settings, bench, units, out))
    finally:
        out.close()
    return list(read_lines(folder / "data.jsonl", Example)), out


def checked(example: Example, chunks: dict[str, Chunk]) -> None:
    """What an example of every recipe promises."""
    side = "held_out" if example.document in HELD_OUT else "train"
    assert example.split == side and {("held_out" if chunks[p.id].document in HELD_OUT else "train") for p in example.passages} == {side}
    assert chunks[example.unit].document == example.document
    assert len({p.id for p in example.passages}) == len(example.passages)
    assert all(q.text and q.text in example.passages[q.passage].text for q in example.quotes), "every quote is verbatim"
    assert len(set(example.quotes)) == len(example.quotes)
    assert (example.support == "cited") == bool(example.quotes) == (example.oracle is not None)
    assert example.oracle is None or example.oracle == example.quotes[0].passage
