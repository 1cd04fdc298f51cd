"""The plan also counts what the student and the judge are asked: calls, tokens, and money at each one's own prices."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from groundling.commands.plan import plan
from groundling.commands.preview import preview
from groundling.forecast import Budget, Spent, between, predict
from groundling.runs import open_run

from .conftest import Teacher, project
from .test_plan import inside, planned, run_it, written

REST = ("synthesize.recipe=rest", "synthesize.student=s", "synthesize.judge=j", "synthesize.options={samples: 2, trajectories: 1}")
# For each segment the student writes an instruction and the judge scores it; the teacher is the rules, and is not asked.
BACKWARD = (
    "synthesize.recipe=backtranslation", "synthesize.teacher=template", "synthesize.student=s", "synthesize.judge=j", "train.format=instruct",
    "synthesize.options={make: augmented, shortest: 100, repeated: 1}", "models.s.price_in=1", "models.s.price_out=1",
)  # fmt: skip


def paid(docs: Path) -> dict[str, tuple[int, int, int, float]]:
    """For each model what the journal says that it was asked: calls, tokens in, tokens out, USD."""
    with sqlite3.connect(docs.parent / "run" / "journal.sqlite") as journal:
        rows = journal.execute("SELECT model, count(*), sum(tokens_in), sum(tokens_out), sum(usd) FROM replies GROUP BY model")
        return {model: tuple(rest) for model, *rest in rows}


@pytest.fixture
def three(tmp_path: Path, teacher: Teacher) -> Iterator[Path]:
    """The small project with three models behind the fake teacher: t, s at no price, and j, which is dear."""
    docs = project(tmp_path, teacher.url)
    config = (docs / "groundling.yaml").read_text()
    more = f"  s: {{base_url: '{teacher.url}', model: student}}\n  j: {{base_url: '{teacher.url}', model: judge, price_in: 20, price_out: 80}}\n"
    (docs / "groundling.yaml").write_text(config.replace("synthesize: {", more + "synthesize: {").replace("size: 330", "size: 700"))
    yield docs


def by_model(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["model"]: one for one in told["beside"]}


def test_student_and_judge_are_counted_as_the_run_then_asks_them(three: Path, teacher: Teacher) -> None:
    told = planned(three, 8, *BACKWARD)["synthesize"]
    before, beside = paid(three), by_model(told)
    assert {name: one["roles"] for name, one in beside.items()} == {"s": ["student"], "j": ["judge"]}
    assert told["pilot"]["calls"] == sum(calls for calls, *_ in before.values()) == teacher.stats()["requests"]
    assert told["pilot"]["usd"] == pytest.approx(sum(usd for *_, usd in before.values())) and told["pilot"]["usd"] > 0
    assert told["chunks"]["done"] == 8 and told["chunks"]["left"] > 5, "the pilot is in the journal, though the teacher has none"
    run_it(three, *BACKWARD)
    assert teacher.stats()["answered_again"] == 0
    after = {name: [a - b for a, b in zip(now, before[name], strict=True)] for name, now in paid(three).items()}
    assert after["s"][0] == told["chunks"]["left"] and after["j"][0] > 3, "both are asked"
    for name, one in beside.items():
        for value, what in zip(after[name], ("calls", "tokens_in", "tokens_out", "usd"), strict=True):
            assert value == pytest.approx(one[what]["value"], rel=0.25), (name, what)
    for n, what in enumerate(("calls", "tokens_in", "tokens_out", "usd")):
        assert sum(values[n] for values in after.values()) == pytest.approx(told["left"][what]["value"], rel=0.25)


def test_without_a_pilot_nobody_is_asked_and_all_are_counted(three: Path, teacher: Teacher) -> None:
    told = planned(three, 0, *REST)["synthesize"]
    assert teacher.stats()["requests"] == 0
    beside, units = by_model(told), told["chunks"]["left"]
    # Of each topic the teacher is asked for a question; the student walks three decisions, two summaries, an answer and two checks, twice each.
    assert beside["s"]["calls"]["value"] == 16 * units and told["left"]["calls"]["value"] == 17 * units + beside["j"]["calls"]["value"]
    assert told["left"]["usd"]["value"] is None and "are not set for s" in " ".join(told["assumed"]), "s has no prices"
    alone = planned(three, 0, "synthesize.recipe=rest", "synthesize.options={samples: 2, trajectories: 1}")["synthesize"]
    assert alone["beside"] == [] and alone["left"]["calls"]["value"] == pytest.approx(17 * units), "the teacher walks itself, and is told once"
    both = planned(three, 0, *BACKWARD)["synthesize"]
    s, j = (by_model(both)[name] for name in "sj")
    assert s["calls"]["value"] == j["calls"]["value"] == both["chunks"]["left"] and both["left"]["calls"]["value"] == 2 * both["chunks"]["left"]
    assert j["usd"]["value"] == pytest.approx((20 * j["tokens_in"]["value"] + 80 * j["tokens_out"]["value"]) / 1e6)
    assert both["left"]["usd"]["value"] == pytest.approx(s["usd"]["value"] + j["usd"]["value"]) and s["usd"]["value"] > 0


def test_the_budget_has_to_hold_what_all_models_cost(three: Path) -> None:
    whole = planned(three, 0, *BACKWARD)["synthesize"]["left"]["usd"]
    assert planned(three, 0, *BACKWARD, f"budget_usd={whole['low'] * 0.9}")["synthesize"]["budget"]["enough"] == "no"
    assert planned(three, 0, *BACKWARD, f"budget_usd={whole['high'] * 1.1}")["synthesize"]["budget"]["enough"] == "yes"


def test_the_table_names_each_model_with_its_share(three: Path) -> None:
    text = written(three, 0, *REST)
    assert "of it by s (student, student at http" in text and "of it by j (judge, judge at http" in text
    assert "of it by" not in written(three, 0, "synthesize.recipe=rest"), "with the teacher alone there is nothing to tell apart"
    assert "time by the teacher's calls alone: s and j may take longer" in text


def test_one_model_in_two_roles_is_told_once(three: Path) -> None:
    one = planned(three, 0, "synthesize.recipe=rest", "synthesize.student=s", "synthesize.judge=s")["synthesize"]["beside"]
    assert [(o["model"], o["roles"]) for o in one] == [("s", ["student", "judge"])]
    assert planned(three, 0, "synthesize.recipe=rest", "synthesize.student=t", "synthesize.judge=t")["synthesize"]["beside"] == []


def test_the_preview_tells_what_all_of_them_cost(three: Path, teacher: Teacher) -> None:
    said: list[str] = []
    preview(open_run(three, three.parent / "run", list(BACKWARD), said.append), "backtranslation", 2, as_json=True)
    told, spent = json.loads(said[-1]), paid(three)
    assert (
        told["cost"]["calls"] == sum(c["calls"] for c in told["chunks"]) == sum(calls for calls, *_ in spent.values()) == teacher.stats()["requests"]
    )
    assert told["cost"]["usd"] == pytest.approx(sum(usd for *_, usd in spent.values()))
    assert sum(c["usd"] for c in told["chunks"]) == pytest.approx(told["cost"]["usd"]) and spent["j"][3] > 0


def test_a_preference_round_counts_hypotheses_and_the_judge_s_scores(three: Path, teacher: Teacher) -> None:
    """The rules make the examples; then a student is asked for three replies to each, and a judge for the score of each that differs."""
    first = open_run(three, three.parent / "first", ["synthesize.teacher=template"], lambda text: None)
    from groundling import pipeline

    pipeline.run_stages(first, "ingest", "curate")
    rows = first.space.record("curate")["counts"]["kept"]
    settings = [
        "synthesize.recipe=preference", "train.objective=dpo", "synthesize.teacher=template", "synthesize.student=s", "synthesize.judge=j", "models.s.price_in=1",
        "synthesize.options={examples: 'run:first', hypotheses: 3, scorer: judge}",
    ]  # fmt: skip
    said: list[str] = []
    plan(open_run(three, three.parent / "run", settings, said.append), 0, as_json=True)
    told = json.loads(said[-1])["synthesize"]
    beside = by_model(told)
    assert teacher.stats()["requests"] == 0 and told["chunks"]["left"] == rows > 20
    assert beside["s"]["calls"]["value"] == 3 * rows and 2 * rows < beside["j"]["calls"]["value"] <= 3 * rows
    assert told["left"]["usd"]["value"] == pytest.approx(beside["s"]["usd"]["value"] + beside["j"]["usd"]["value"])
    text: list[str] = []
    plan(open_run(three, three.parent / "run", settings, text.append), 0, as_json=False)
    assert "no endpoint is paid" not in "\n".join(text), "the teacher costs nothing, the others do"


def test_what_others_are_asked_enters_the_sums_at_its_own_price() -> None:
    sample = [Spent(2, 100 + n, 10, 1, beside_calls=3, beside_in=1000, beside_out=5, beside_usd=0.01) for n in range(20)]
    told = predict(sample, 100, Budget(price_in=1.0, price_out=1.0), 1)
    assert told.calls.value == 500 and told.tokens_in.value == pytest.approx(100 * 1109.5) and told.tokens_out.value == pytest.approx(1500)
    assert told.usd.value == pytest.approx(1.0 + 100 * 119.5 / 1e6)
    assert predict(sample, 100, Budget(price_in=1.0, price_out=1.0, priced=False), 1).usd.value is None
    half = predict(sample, 100, Budget(usd=told.usd.value / 2, price_in=1.0, price_out=1.0), 1)
    assert half.affordable.value == pytest.approx(50, rel=0.01)
    wide = between(sample, (100, 50, 200), Budget(), 1)
    assert wide.calls.low < 260 and inside(500, {"low": wide.calls.low, "high": wide.calls.high}) and wide.calls.high > 990
