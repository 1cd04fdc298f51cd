"""The plan holds what the run then takes, pays for nothing twice, and says what it does not know."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from groundling import pipeline
from groundling.commands.plan import plan
from groundling.commands.preview import preview
from groundling.errors import BudgetError, ModelError
from groundling.llm import fake
from groundling.llm.base import Reply
from groundling.runs import open_run
from groundling.told import thin

from .conftest import Teacher, project


def planned(docs: Path, pilot: int = 8, *settings: str) -> dict[str, Any]:
    said: list[str] = []
    plan(open_run(docs, docs.parent / "run", list(settings), said.append), pilot, as_json=True)
    return json.loads(said[-1])


def written(docs: Path, pilot: int = 8, *settings: str) -> str:
    said: list[str] = []
    plan(open_run(docs, docs.parent / "run", list(settings), said.append), pilot, as_json=False)
    return "\n".join(said)


def run_it(docs: Path, *settings: str) -> dict[str, Any]:
    run = open_run(docs, docs.parent / "run", list(settings), lambda text: None)
    pipeline.run_stages(run, "ingest", "synthesize")
    return run.space.record("synthesize")


def inside(value: float, interval: dict[str, float]) -> bool:
    """Within the interval, or 1 % beside it: the documents are so alike that it is narrow, and one in twenty may miss."""
    return interval["low"] * 0.99 <= value <= interval["high"] * 1.01


def test_the_run_takes_what_the_plan_said_and_pays_for_the_pilot_once(docs: Path, teacher: Teacher) -> None:
    told = planned(docs)["synthesize"]
    pilot = teacher.stats()
    assert told["chunks"] == {"all": 32, "drawn": 32, "done": 8, "left": 24}
    assert told["pilot"]["calls"] == pilot["requests"] == pilot["answered"] > 8
    assert told["pilot"]["usd"] == pytest.approx((told["pilot"]["tokens_in"] * 2 + told["pilot"]["tokens_out"] * 8) / 1e6)

    record = run_it(docs)
    after = teacher.stats()
    assert after["answered_again"] == 0, "no reply of the pilot is asked for again"
    assert inside(after["answered"] - pilot["answered"], told["left"]["calls"])
    assert inside(record["counts"]["kept"], told["examples"])
    again = planned(docs)
    assert again["synthesize"] == {"state": "done"} and teacher.stats()["requests"] == after["requests"]


def test_money_and_tokens_lie_in_their_intervals(docs: Path, teacher: Teacher) -> None:
    from groundling.llm.journal import Journal

    told = planned(docs)["synthesize"]
    journal = Journal(docs.parent / "run" / "journal.sqlite")
    before = journal.spent()
    run_it(docs)
    paid = journal.spent()
    journal.close()
    assert inside(paid.usd - before.usd, told["left"]["usd"])
    assert inside(paid.tokens_in - before.tokens_in, told["left"]["tokens_in"]) and inside(
        paid.tokens_out - before.tokens_out, told["left"]["tokens_out"]
    )


def test_asked_again_the_pilot_comes_from_the_journal_and_time_is_not_made_up(docs: Path, teacher: Teacher) -> None:
    first, requests = planned(docs), teacher.stats()["requests"]
    second = planned(docs)
    assert teacher.stats()["requests"] == requests and second["synthesize"]["pilot"]["calls"] == 0
    assert second["synthesize"]["left"]["seconds"]["value"] is None and first["synthesize"]["left"]["seconds"]["value"] > 0
    for name in ("calls", "tokens_in", "usd"):
        assert second["synthesize"]["left"][name] == first["synthesize"]["left"][name]
    assert "every reply of the pilot was in the journal" in written(docs)


def test_without_a_pilot_nothing_is_asked_and_the_assumptions_are_printed(docs: Path, teacher: Teacher) -> None:
    told = planned(docs, 0)["synthesize"]
    assert teacher.stats()["requests"] == 0
    assert told["chunks"]["done"] == 0 and told["pilot"] is None and told["left"]["seconds"]["value"] is None
    assert told["left"]["calls"]["value"] == 4 * 32, "one call for the questions and one for each of three answers"
    text = written(docs, 0)
    assert "characters a token: 4 Latin" in text and "14 words an answer" in text and "not measured" in text
    whole = planned(docs, 32)["synthesize"]["pilot"]
    assert whole["calls"] <= told["left"]["calls"]["value"], "the estimate takes every question as asked"
    assert inside(whole["tokens_in"] / whole["calls"] * 128, told["left"]["tokens_in"]), "prompts are really rendered"
    assert told["left"]["tokens_in"]["value"] == pytest.approx(whole["tokens_in"], rel=0.15), "the fake teacher counts a token for four bytes"


def test_a_budget_that_is_too_small_says_what_it_buys(docs: Path, teacher: Teacher) -> None:
    whole = planned(docs)["synthesize"]
    pilot = whole["pilot"]["usd"]
    budget = pilot + whole["left"]["usd"]["value"] / 2
    told = planned(docs, 8, f"budget_usd={budget}")["synthesize"]["budget"]
    assert told["enough"] == "no" and told["spent_usd"] == pytest.approx(pilot)
    rows = told["examples"]
    assert rows["low"] < rows["value"] < rows["high"] < whole["examples"]["value"]
    assert "NOT enough" in written(docs, 8, f"budget_usd={budget}")
    with pytest.raises(BudgetError):
        run_it(docs, f"budget_usd={budget}")
    assert planned(docs, 8, "budget_usd=100")["synthesize"]["budget"]["enough"] == "yes"
    assert planned(docs, 8, "budget_tokens=10000000")["synthesize"]["budget"]["enough"] == "yes"


def test_a_pilot_that_gave_no_example_says_where_to_look(tmp_path: Path) -> None:
    with fake.running("--reply", "fixed") as url:
        told = written(project(tmp_path, url), 4)
    assert "0 examples, 4 left out" in told and "the pilot gave no example. See with `groundling preview`" in told
    assert "gave no example" not in written(project(tmp_path / "other", url), 0), "nothing was asked"


def test_without_prices_money_is_not_known(tmp_path: Path, teacher: Teacher) -> None:
    docs = project(tmp_path, teacher.url, prices="key_env: ''")
    told = planned(docs, 4, "budget_usd=1")["synthesize"]
    assert told["left"]["usd"] == {"value": None, "low": None, "high": None} and told["budget"]["enough"] == "not known"
    assert "price_in and price_out" in written(docs, 4)


def test_a_teacher_of_rules_costs_nothing_but_time(docs: Path, teacher: Teacher) -> None:
    told = planned(docs, 8, "synthesize.teacher=template")["synthesize"]
    assert teacher.stats()["requests"] == 0
    assert told["left"]["usd"]["value"] == 0 and told["left"]["seconds"]["value"] > 0 and told["chunks"]["left"] == 32
    assert "no endpoint is paid" in written(docs, 8, "synthesize.teacher=template")


def test_limit_and_target_make_it_less(docs: Path) -> None:
    assert planned(docs, 4, "synthesize.limit=10")["synthesize"]["chunks"] == {"all": 32, "drawn": 10, "done": 4, "left": 6}
    told = planned(docs, 4, "synthesize.target=30")["synthesize"]
    each = told["pilot"]["examples"] / 4
    assert told["chunks"]["left"] == pytest.approx((30 - told["pilot"]["examples"]) / each, abs=1)
    assert inside(30, told["examples"])


def test_training_is_counted_in_the_base_s_own_tokens(docs: Path) -> None:
    told = planned(docs)["train"]
    assert told["tokens"]["value"] > 100 * told["examples"]["value"] > 0 and told["seconds"]["value"] is None
    assert not told["counted"]
    run = open_run(docs, docs.parent / "run", [], lambda text: None)
    pipeline.run_stages(run, "ingest", "curate")
    known = planned(docs)["train"]
    assert known["counted"] and inside(known["examples"]["value"], told["examples"])
    assert "not measured" in written(docs)


def test_where_steps_say_how_long_training_is_the_plan_tells_epochs_and_time_by_them(docs: Path) -> None:
    run = open_run(docs, docs.parent / "run", [], lambda text: None)
    pipeline.run_stages(run, "ingest", "curate")
    rows = int(planned(docs)["train"]["examples"]["value"])
    told = planned(docs, 8, "train.steps=10", "train.batch=4", "train.accumulate=2")["train"]
    assert told["steps"]["value"] == 10 and told["epochs"] == 10 / -(-rows // 8) != 2
    assert f"   {told['epochs']:.3g} epochs" in written(docs, 8, "train.steps=10") and "   2 epochs" in written(docs)
    # As if it had been trained for 3 steps of 8 examples each, in a second for each step.
    with run.space.writing("train", "m", {"epochs": 2.0, "steps": 3, "batch": 8, "accumulate": 1}, {}, 42) as out:
        out.note(tokens=rows * told["tokens"]["value"] / told["examples"]["value"], rows=rows)
    record = run.space.folder("train") / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"seconds": 3.0}))
    assert planned(docs, 8, "train.steps=10")["train"]["seconds"]["value"] == pytest.approx(10)
    assert planned(docs)["train"]["seconds"]["value"] == pytest.approx(2 * rows / 8)


def test_plan_and_run_say_that_too_few_documents_are_held_out(docs: Path) -> None:
    folder = docs.parent / "run"
    pipeline.run_stages(open_run(docs, folder, [], lambda text: None), "ingest", "index")
    few, enough = (next(n for n in range(99) if bool(thin(open_run(docs, folder, [f"seed={n}"], print))) == told) for told in (True, False))
    for seed, there in ((few, True), (enough, False)):
        said: list[str] = []
        run = open_run(docs, folder, [f"seed={seed}", "synthesize.teacher=template"], said.append)
        plan(run, 2, as_json=False)
        assert ("\n  NOTE: 1 of 16 documents is held out, where the share held_out = 0.2 would be 3" in "\n".join(said)) == there
        said.clear()
        pipeline.run_stages(run, "ingest", "synthesize")
        assert [text for text in said if "held out" in text] == (thin(run) if there else [])
        notes = planned(docs, 2, f"seed={seed}", "synthesize.teacher=template")["train"]["notes"]
        assert [f"  {note}" for note in notes] == thin(run) and all(note.startswith("NOTE: 1 of 16") for note in notes)


def test_a_provider_s_batches_are_not_waited_for(tmp_path: Path, teacher: Teacher) -> None:
    docs = project(tmp_path, teacher.url, prices="batch: true, price_in: 2, price_out: 8")
    told = planned(docs, 3)["synthesize"]
    assert told["pilot"]["calls"] == teacher.stats()["requests"] > 3 and told["left"]["usd"]["value"] > 0
    assert told["left"]["seconds"] == {"value": None, "low": 0.0, "high": 2 * 86_400} and "provider's 24 h" in " ".join(told["assumed"])
    assert told["batches"]["batches"] == 2 and told["batches"]["rounds"][0] == 29 and sum(told["batches"]["rounds"]) == told["left"]["calls"]["value"]
    small = planned(docs, 3, f"budget_usd={told['pilot']['usd'] + told['left']['usd']['value']}")["synthesize"]
    assert small["batches"]["batches"] > 2, "the worst case of a whole round does not fit"
    cheap = planned(docs, 3, "models.t.batch_price=0.5")["synthesize"]
    assert cheap["left"]["usd"]["value"] == pytest.approx(told["left"]["usd"]["value"] / 2)
    assert "2 one after the other, for 2 rounds" in written(docs, 3)


def test_while_batches_are_under_way_nothing_is_asked_a_second_time(tmp_path: Path, teacher: Teacher) -> None:
    from groundling.llm.batchstore import BatchStore
    from groundling.llm.budget import Cost
    from groundling.llm.open import open_model as model_of

    docs = project(tmp_path, teacher.url, prices="batch: true, price_in: 2, price_out: 8")
    first = planned(docs, 3)["synthesize"]
    run = open_run(docs, docs.parent / "run", [], print)
    store, fingerprint = BatchStore(docs.parent / "run" / "batches.sqlite"), model_of("t", run.config).fingerprint
    number = store.plan(fingerprint, ["k1", "k2"], Cost())
    store.made(number, "batch_1")
    asked = teacher.stats()["requests"]
    told = planned(docs, 8)["synthesize"]
    assert teacher.stats()["requests"] == asked and told["pilot"]["chunks"] == 3, "the chunks that are there already are the pilot"
    assert told["left"]["calls"] == first["left"]["calls"] and told["batches"]["under_way"]["requests"] == 2
    assert "2 requests in 1 batch at the provider since" in written(docs) and "nothing was asked" in written(docs)
    with pytest.raises(ModelError, match="No row can be asked for now"):
        preview(open_run(docs, docs.parent / "run", [], print), "raft", 5, as_json=True)
    store.finish(number, {"k1": Reply(text="x", tokens_in=1, tokens_out=1)})
    store.close()
    after = planned(docs, 3)["synthesize"]
    assert len(after["batches"]["took"]) == 1 and after["left"]["seconds"]["value"] is not None, "now it is known what a batch takes"


def test_where_the_day_s_tokens_are_used_up_the_plan_does_not_wait_for_tomorrow(docs: Path, teacher: Teacher) -> None:
    first = planned(docs, 4)["synthesize"]
    used = first["pilot"]["tokens_in"] + first["pilot"]["tokens_out"]
    asked = teacher.stats()["requests"]
    text = written(docs, 8, f"models.t.tokens_per_day={used}")
    assert teacher.stats()["requests"] == asked and "tokens a day leaves no room for 24 h" in text and "4 chunks:" in text
