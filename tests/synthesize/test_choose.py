"""Limit and target: which units are used hangs on the seed alone, and a target is met exactly, whoever is faster."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from groundling import config
from groundling.llm.base import Reply, Request
from groundling.llm.template import Template
from groundling.records import Example
from groundling.seeds import seed_of
from groundling.synthesize import Bench, synthesize
from groundling.synthesize.choose import drawn, seeded
from groundling.workspace import Output, read_lines

from .test_raft import searcher, world

CHUNKS = world(8)


class Hurried(Template):
    """The rules, but each reply takes its own while, and so many are under way at once."""

    def __init__(self, seed: int, parallel: int) -> None:
        self.parallel, self._random, self.calls = parallel, random.Random(seed), 0

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.calls += len(requests)
        await asyncio.sleep(self._random.random() * 0.01)
        return await super().replies(requests)


def made(folder: Path, teacher: object, **settings: object) -> tuple[list[Example], Output]:
    options = config.Synthesize(**settings)
    out = Output(folder)
    bench = Bench(
        teacher=teacher, search=searcher(CHUNKS), chunks=CHUNKS, seed=42, recipe="raft", drop=out.drop, fail=out.fail, split_of=lambda d: "train",
    )  # fmt: skip
    asyncio.run(synthesize(options, bench, CHUNKS, out))
    out.close()
    return list(read_lines(folder / "data.jsonl", Example)), out


def test_the_order_hangs_on_seed_and_ids_alone() -> None:
    mixed = random.Random(3).sample(CHUNKS, len(CHUNKS))
    assert seeded(mixed, 42) == seeded(CHUNKS, 42) != seeded(CHUNKS, 43)
    assert sorted(c.id for c in seeded(CHUNKS, 42)) == sorted(c.id for c in CHUNKS)
    assert [c.id for c in seeded(CHUNKS, 42)] == sorted((c.id for c in CHUNKS), key=lambda i: seed_of(42, "order of units", i))


def test_without_limit_and_target_the_units_stay_as_they_are() -> None:
    assert drawn(CHUNKS, config.Synthesize(), 42) == CHUNKS


def test_a_limit_is_a_beginning_of_a_larger_limit() -> None:
    few, more = (drawn(CHUNKS, config.Synthesize(limit=n), 42) for n in (3, 7))
    assert more[:3] == few and len(more) == 7
    assert len(drawn(CHUNKS, config.Synthesize(limit=500), 42)) == len(CHUNKS)


def test_a_limit_uses_so_many_units_and_says_so(tmp_path: Path) -> None:
    rows, out = made(tmp_path, Template(), limit=5)
    assert {r.unit for r in rows} <= {c.id for c in seeded(CHUNKS, 42)[:5]}
    assert out.notes["units"] == {"of": len(CHUNKS), "used": 5, "limit": 5}


@pytest.mark.parametrize("target", [1, 4, 10, 17])
def test_a_target_is_met_exactly_and_the_same_however_fast_who_answers(tmp_path: Path, target: int) -> None:
    results = []
    for n, (seed, parallel) in enumerate([(1, 1), (2, 64), (3, 7), (4, 64)]):
        rows, out = made(tmp_path / str(n), Hurried(seed, parallel), target=target)
        assert len(rows) == target and out.notes["target"] == {"rows": target, "kept": target, "reached": True}
        counts = out.counts()
        assert counts["in"] == counts["kept"] + sum(counts["dropped"].values()) + sum(counts["failed"].values())
        results.append(((tmp_path / str(n) / "data.jsonl").read_bytes(), (tmp_path / str(n) / "dropped.jsonl").read_bytes(), out.notes))
    assert all(r == results[0] for r in results)


def test_calls_beyond_a_target_are_bounded_by_the_window(tmp_path: Path) -> None:
    narrow, wide = Hurried(1, 1), Hurried(1, 64)
    made(tmp_path / "a", narrow, target=4)
    made(tmp_path / "b", wide, target=4)
    assert narrow.calls <= wide.calls <= narrow.calls + 4 * 5, "a target of 4 needs no more than 4 units at once, and one lane beside"


def test_a_target_out_of_reach_uses_everything_and_says_so(tmp_path: Path) -> None:
    rows, out = made(tmp_path, Template(), target=5000)
    assert out.notes["target"] == {"rows": 5000, "kept": len(rows), "reached": False} and len(rows) < 5000
    assert out.notes["units"] == {"of": len(CHUNKS), "used": len(CHUNKS)}
    full, _ = made(tmp_path / "full", Template())
    assert sorted(r.id for r in rows) == sorted(r.id for r in full)


def test_a_smaller_target_is_a_beginning_of_a_larger(tmp_path: Path) -> None:
    few, _ = made(tmp_path / "few", Template(), target=5)
    more, _ = made(tmp_path / "more", Template(), target=12)
    assert [r.id for r in more[:5]] == [r.id for r in few]
