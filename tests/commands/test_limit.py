"""A limited run is never taken for a whole one, and a later whole one pays only for what is new."""

from __future__ import annotations

from pathlib import Path

from groundling import pipeline
from groundling.runs import Run, open_run

from .conftest import Teacher


def opened(docs: Path, said: list[str], *settings: str) -> Run:
    return open_run(docs, docs.parent / "run", list(settings), said.append)


def test_a_limited_run_says_so_and_is_stale_for_a_whole_one(docs: Path, teacher: Teacher) -> None:
    said: list[str] = []
    pipeline.run_stages(opened(docs, said, "synthesize.limit=6"), "ingest", "synthesize")
    assert "from 6 of 32 chunks (synthesize.limit 6)" in said[-1]
    asked = teacher.stats()["answered"]
    found = {s.name: (s.state, s.why) for s in pipeline.states(opened(docs, said))}
    assert found["synthesize"] == ("stale", "synthesize.limit: 6 -> 0") and found["index"][0] == "done"
    assert pipeline.states(opened(docs, said, "synthesize.limit=6"))[3].state == "done"

    pipeline.run_stages(opened(docs, said), "ingest", "synthesize")
    told = teacher.stats()
    assert told["answered"] > asked and told["answered_again"] == 0
    assert "synthesize.limit" not in said[-1]


def test_a_target_pays_for_little_more_than_it_needs(docs: Path, teacher: Teacher) -> None:
    said: list[str] = []
    run = opened(docs, said, "synthesize.target=5")
    pipeline.run_stages(run, "ingest", "synthesize")
    assert run.space.record("synthesize")["counts"]["kept"] == 5 and "target of 5 examples reached" in said[-1]
    asked = teacher.stats()["answered"]
    assert asked <= (2 + 5 + 1) * 4, "two chunks give five rows; five lanes and one more may have begun another each"
    pipeline.run_stages(opened(docs, said, "synthesize.target=5"), "ingest", "synthesize", redo=["synthesize"])
    assert teacher.stats()["answered_again"] == 0
