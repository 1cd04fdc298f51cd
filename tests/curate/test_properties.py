"""What holds for every filter and for the stage, over random examples: nothing vanishes, order and seed decide nothing they should not."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling import registry
from groundling.curate import shared
from groundling.records import Example, Passage, from_line, to_line

from .world import ASKED, NOTHING, abstaining, example, kept, run, verdicts

# Each filter with options under which it has something to do.
WORKING = {
    "balance": {"by": "unit"}, "cited": {}, "duplicates": {}, "language": {"allowed": ["en"]}, "leaked": {}, "length": {"question_min": 9},
    "mixture": {"weights": {"raft": 2, "qa": 1}}, "near": {"threshold": 0.6}, "score": {"minimum": 2}, "semantic": {"threshold": 0.8}, "top": {"n": 3},
}  # fmt: skip
STEPS = [{name: options} for name, options in WORKING.items()]
QUESTIONS = [
    "How many days of leave are there?", "how many days of leave are there", "How many days of leave are there now?", "Who approves the leave?",
    "Who pays for the train to Riga and back?", "Who pays for the train to Riga and back again?", "有給休暇は年に何日ありますか", "有給休暇は年に何日ありますか？",
    "Сколько дней отпуска в году?", "", "?",
]  # fmt: skip
rows = st.builds(
    lambda n, question, unit, recipe, answer, score, refuses, held, broken: (abstaining if refuses else example)(
        id=str(n), question=question, unit=unit, recipe=recipe, score=score, split="held_out" if held else "train",
        **({} if refuses else {"answer": answer}), **({"oracle": 1} if broken else {}),
    ),
    st.integers(0, 999), st.sampled_from(QUESTIONS), st.sampled_from("ab"), st.sampled_from(["raft", "qa"]),
    st.sampled_from(["25 days", "25 days of leave", "Kirsi"]), st.sampled_from([None, 1.0, 2.0, 3.0]), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
BOTH = [example(id="raft", recipe="raft"), example(id="qa", recipe="qa", question="Who signs it?", unit="b")]  # a mixture needs some of each
some = st.lists(rows, max_size=14, unique_by=lambda e: e.id).map(lambda found: found + BOTH)


def test_each_filter_is_here() -> None:
    assert sorted([*WORKING, "even", "margin"]) == registry.names("filter"), "these two judge pairs alone: see test_pairs.py"


@pytest.mark.parametrize("name", WORKING)
@given(examples=some, seed=st.integers(0, 99))
@settings(max_examples=40)
def test_a_shuffled_input_gives_the_same_kept_set(name: str, examples: list[Example], seed: int) -> None:
    shuffled = random.Random(seed).sample(examples, len(examples))
    assert kept(name, shuffled, ASKED, **WORKING[name]) == kept(name, examples, ASKED, **WORKING[name])
    assert kept(name, shuffled, NOTHING, **WORKING[name]) == kept(name, examples, NOTHING, **WORKING[name])


@pytest.mark.parametrize("name", list(WORKING))
@given(examples=some)
@settings(max_examples=40)
def test_what_passed_once_passes_again(name: str, examples: list[Example]) -> None:
    told = verdicts(name, examples, NOTHING, **WORKING[name])
    passed = [e for e, reason in zip(examples, told, strict=True) if reason is None]
    if name != "mixture" or {e.recipe for e in passed if e.split == "train"} == {"raft", "qa"}:
        assert verdicts(name, passed, NOTHING, **WORKING[name]) == [None] * len(passed)


@pytest.mark.parametrize("name", WORKING)
def test_each_filter_drops_something_here(name: str) -> None:
    """Or the properties above would hold of a filter that does nothing."""
    r = random.Random(1)
    examples = [
        (example if r.random() < 0.7 else abstaining)(
            id=f"{n:02d}", question=r.choice(QUESTIONS), unit=r.choice("aab"), recipe=r.choice(["raft", "raft", "raft", "qa"]), score=r.choice([1.0, 3.0]),
            **({"oracle": 1} if r.random() < 0.3 else {}),
        )
        for n in range(40)
    ]  # fmt: skip
    assert 0 < len(kept(name, examples, ASKED, **WORKING[name])) < 40


@pytest.mark.parametrize("name", ["duplicates", "near", "semantic"])
@given(examples=some)
@settings(max_examples=60)
def test_no_repeat_is_dropped_for_a_worse_one(name: str, examples: list[Example]) -> None:
    """With equal texts, sides, supports and units, the one that stays has the highest score there is."""
    clean = [e for e in examples if e.oracle != 1]
    ids = set(kept(name, clean, NOTHING, **WORKING[name]))
    groups: dict[tuple, list[Example]] = {}
    for e in clean:
        groups.setdefault((e.split, e.support, e.unit, e.question, e.answer), []).append(e)
    for same in groups.values():
        assert len(ids & {e.id for e in same}) <= (
            len(same) if name == "near" and same[0].question in ("", "?") and same[0].support == "abstain" else 1
        )
        for e in same:
            if e.id in ids and len(ids & {x.id for x in same}) == 1:
                assert (e.score or 0) == max(x.score or 0 for x in same)


@given(examples=some)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_stage_loses_nothing_counts_all_and_is_the_same_each_time(tmp_path: Path, examples: list[Example]) -> None:
    steps = [step for step in STEPS if "mixture" not in step]
    found, out = run(tmp_path / "a", examples, ASKED, steps)
    dropped = [json.loads(line) for line in (tmp_path / "a" / "dropped.jsonl").read_text("utf-8").splitlines()]
    assert out.counts()["in"] == len(examples) == len(found) + len(dropped)
    assert Counter(d["reason"] for d in dropped) == out.dropped
    assert Counter([e.id for e in found] + [d["what"]["id"] for d in dropped]) == Counter(e.id for e in examples)
    assert found == [e for e in examples if e in found], "the kept ones are unchanged and in order"
    assert {d["reason"].partition(":")[0] for d in dropped} <= set(WORKING)
    again = run(tmp_path / "b", [from_line(to_line(e), Example) for e in examples], ASKED, steps)[1]
    assert again.dropped == out.dropped
    for name in ("data", "dropped"):
        assert (tmp_path / "a" / f"{name}.jsonl").read_bytes() == (tmp_path / "b" / f"{name}.jsonl").read_bytes()


def test_equal_passages_are_held_once() -> None:
    lines = [to_line(example(id=str(n), passages=[Passage(id="a", title="Leave", text="Staff have 25 days.")])) for n in range(3)]
    found = list(shared(from_line(line, Example) for line in lines))
    assert [to_line(e) for e in found] == lines
    assert found[0].passages[0] is found[2].passages[0]
