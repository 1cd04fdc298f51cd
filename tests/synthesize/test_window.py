"""Many units at once, results in order, nothing held up by a slow one."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from groundling import config
from groundling.errors import ModelError
from groundling.llm.base import Reply, Request
from groundling.llm.journal import Journal
from groundling.llm.journaled import Journaled
from groundling.llm.template import Template
from groundling.records import Passage
from groundling.synthesize import Bench, synthesize, window
from groundling.synthesize.window import InOrder, Made, in_order
from groundling.workspace import Output

from .test_raft import searcher, world


def made(number: int, text: str = "") -> Made:
    """A result that says which it is: a record, a drop, a failure."""
    result = Made()
    result.records = [Passage(id=str(number), title="", text=text)]
    result.drop("odd", {"n": number, "é": [1, None]})
    result.fail("broken", number, f"detail {number}")
    return result


def told(result: Made) -> tuple:
    return result.records, result.dropped, result.failed


@pytest.mark.parametrize("in_memory", [0, 3, 1000])
def test_results_come_out_in_order_and_whole_whether_they_waited_in_memory_or_in_the_file(in_memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "IN_MEMORY", in_memory)
    written: list[Made] = []
    sink, numbers = InOrder(written.append), list(range(200))
    random.Random(3).shuffle(numbers)
    for n in numbers:
        sink.put(n, made(n) if n % 7 else Made())
        assert len(sink._held) <= max(1, in_memory)
    sink.close()
    assert [told(m) for m in written] == [told(made(n) if n % 7 else Made()) for n in range(200)]


def test_a_first_unit_that_never_ends_does_not_fill_the_memory() -> None:
    sink, text = InOrder(lambda m: None), "x" * 10_000
    tracemalloc.start()
    for n in range(1, 4000):  # 40 MB of results
        sink.put(n, made(n, text + str(n)))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    sink.close()
    assert held < 12 << 20


def lanes(work, first: Sequence[int], later: Sequence[int], count: int) -> list[int]:
    written: list[int] = []
    asyncio.run(in_order(work, first, later, count, lambda m: written.append(int(m.records[0].id))))
    return written


@pytest.mark.parametrize("count", [1, 7, 500])
def test_at_most_so_many_are_under_way_and_always_so_many(count: int) -> None:
    under_way, most = 0, 0

    async def work(n: int) -> Made:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001 * (n % 5))
        under_way -= 1
        return made(n)

    assert lanes(work, range(100), (), count) == list(range(100))
    assert most == min(count, 100)


def test_a_slow_unit_holds_up_nobody() -> None:
    done: list[int] = []

    async def work(n: int) -> Made:
        if n == 0:
            while len(done) < 299:
                await asyncio.sleep(0)
        done.append(n)
        return made(n)

    assert lanes(work, range(300), (), 4) == list(range(300))
    assert done[-1] == 0


def test_new_units_start_at_once_and_finished_ones_go_along() -> None:
    begun: list[int] = []

    async def work(n: int) -> Made:
        begun.append(n)
        await asyncio.sleep(0)
        return made(n)

    first, later = list(range(50, 60)), [*range(50), *range(60, 100)]
    assert lanes(work, first, later, 5) == list(range(100))
    assert set(begun[:6]) == {0, 50, 51, 52, 53, 54}


def test_an_error_ends_the_others_and_is_raised() -> None:
    ended: list[int] = []

    async def work(n: int) -> Made:
        if n == 5:
            raise ModelError("no such model")
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(n)
        return made(n)

    with pytest.raises(ModelError, match="no such model"):
        lanes(work, range(20), (), 10)
    assert len(ended) == 9, "those under way are ended, those to come are not begun"


class Jittery(Template):
    """The template teacher behind a line on which replies take random times, and calls can be made to fail."""

    name, fingerprint, paid = "jittery", "jittery/1", True

    def __init__(self, seed: int, parallel: int, fail_after: int = 10**9) -> None:
        self.r, self.parallel, self.fail_after, self.asked = random.Random(seed), parallel, fail_after, 0

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += len(requests)
        if self.asked > self.fail_after:
            raise ModelError("the line is dead")
        late = self.asked > self.fail_after - 5  # still under way when the line goes dead
        await asyncio.sleep(0.2 if late else self.r.random() * 0.003)
        return await super().replies(requests)


def run(folder: Path, teacher, units: int = 60, journal: Journal | None = None) -> dict[str, bytes]:
    """The files of the stage."""
    out, chunks = Output(folder), world(units // 4)
    kept = {"finished": journal.finished("w"), "finish": lambda unit: journal.finish("w", unit)} if journal else {}
    bench = Bench(
        teacher=teacher, search=searcher(chunks), chunks=chunks, seed=1, recipe="raft", drop=out.drop, fail=out.fail,
        split_of=lambda document: "train", **kept,
    )  # fmt: skip
    try:
        asyncio.run(synthesize(config.Synthesize(), bench, chunks, out))
    finally:
        out.close()
    return {name: (folder / f"{name}.jsonl").read_bytes() for name in ("data", "dropped", "failed")}


@pytest.mark.parametrize(("seed", "parallel"), [(1, 1), (2, 5), (3, 200)])
def test_the_files_are_the_same_whatever_the_order_of_the_replies(tmp_path: Path, seed: int, parallel: int) -> None:
    plain = run(tmp_path / "plain", Template())
    assert plain["data"]
    assert run(tmp_path / "jittery", Jittery(seed, parallel)) == plain


def test_after_an_error_the_run_goes_on_with_what_it_has_and_gives_the_same(tmp_path: Path) -> None:
    plain = run(tmp_path / "plain", Template())
    asked = 0
    for attempt in range(3):
        journal = Journal(tmp_path / "j.sqlite")
        teacher = Jittery(attempt, 20, fail_after=30)
        with pytest.raises(ModelError):
            run(tmp_path / f"{attempt}", Journaled(teacher, journal), journal=journal)
        assert len(journal) == asked + 30, "every reply that came was stored"
        asked = len(journal)
        assert journal.in_flight == {}
        journal.close()
    journal = Journal(tmp_path / "j.sqlite")
    teacher = Jittery(9, 20)
    assert len(journal.finished("w")) > 5
    assert run(tmp_path / "last", Journaled(teacher, journal), journal=journal) == plain
    assert len(journal) == asked + teacher.asked, "no reply was asked for twice"
    journal.close()
