"""The plan for recipes whose units are clusters: it counts those, and the run takes what it said."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Teacher
from .test_plan import planned, run_it, written


@pytest.mark.parametrize("recipe", ["grounded", "qa"])
def test_the_plan_counts_clusters_and_the_run_takes_what_it_said(docs: Path, teacher: Teacher, recipe: str) -> None:
    setting = f"synthesize.recipe={recipe}"
    told = planned(docs, 12, setting)["synthesize"]
    pilot = teacher.stats()
    assert told["called"] == "clusters" and told["chunks"]["done"] == 12 and told["chunks"]["left"] == told["chunks"]["all"] - 12
    assert (told["chunks"]["all"] == 32) == (recipe == "grounded"), "qa has clusters beside its chunks"
    record = run_it(docs, setting)
    after = teacher.stats()
    assert record["notes"]["units"]["of"] == told["chunks"]["all"]
    assert after["answered_again"] == 0, "no reply of the pilot is asked for again"
    # A fifth: conversations are of drawn lengths, so twelve of them tell the mean no better.
    assert after["answered"] - pilot["answered"] == pytest.approx(told["left"]["calls"]["value"], rel=0.2)
    assert record["counts"]["kept"] == pytest.approx(told["examples"]["value"], rel=0.2)


@pytest.mark.parametrize(("recipe", "calls"), [("grounded", (3.0, 7.0)), ("qa", (1.0, 1.0))])
def test_without_a_pilot_every_prompt_is_rendered_and_replies_of_usual_length_are_assumed(
    docs: Path, teacher: Teacher, recipe: str, calls: tuple
) -> None:
    setting = f"synthesize.recipe={recipe}"
    told = planned(docs, 0, setting)["synthesize"]
    assert teacher.stats()["requests"] == 0 and told["pilot"] is None
    units, expected = told["chunks"]["all"], told["left"]["calls"]["value"]
    assert calls[0] * units <= expected <= calls[1] * units, "every answer is kept, so nothing is asked again"
    assert told["left"]["usd"]["value"] > 0 and told["examples"]["high"] >= 2 * units
    record = run_it(docs, setting)
    stats = teacher.stats()
    assert record["counts"]["kept"] <= told["examples"]["high"]
    assert 0.5 * expected <= stats["answered"] <= 2 * expected
    assert told["left"]["tokens_in"]["low"] <= record_tokens(docs) <= told["left"]["tokens_in"]["high"] * 2


def record_tokens(docs: Path) -> int:
    """Tokens in of all replies that the run paid for."""
    import sqlite3

    with sqlite3.connect(docs.parent / "run" / "journal.sqlite") as journal:
        return journal.execute("SELECT sum(tokens_in) FROM replies").fetchone()[0]


def test_the_page_speaks_of_clusters(docs: Path) -> None:
    assert "clusters     " in written(docs, 2, "synthesize.recipe=qa") and "pilot        2 clusters:" in written(docs, 2, "synthesize.recipe=qa")


@pytest.mark.parametrize("recipe", ["grounded", "qa"])
def test_a_pilot_of_every_cluster_leaves_the_run_nothing_to_ask(docs: Path, teacher: Teacher, recipe: str) -> None:
    setting = f"synthesize.recipe={recipe}"
    told = planned(docs, 100, setting)["synthesize"]
    asked = teacher.stats()["requests"]
    assert told["chunks"]["left"] == 0 and told["left"]["calls"]["value"] == 0 and asked > 32
    record = run_it(docs, setting)
    assert teacher.stats()["requests"] == asked, "pilot and run ask in the very same words"
    assert record["counts"]["kept"] == told["examples"]["value"]
