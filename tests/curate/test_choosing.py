"""Choosing from the whole set: the best that differ, mixtures of sources, balance. Held-out examples are left as they are."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.curate.filters import mixture
from groundling.errors import InputError

from .world import ASKED, NOTHING, abstaining, example, kept, verdicts

TOPICS = ["rent of boats", "train tickets", "sick notes", "battery acid", "parking at night", "the canteen", "fire drills", "pay slips", "old keys"]


def of(count: int, start: int = 0, **changes) -> list:
    return [
        example(**{"id": f"{start + n:03d}", "question": f"Number {start + n}: who knows about {TOPICS[n % 9]}?", "score": float(n)} | changes)
        for n in range(count)
    ]


def test_top_takes_the_best_by_score() -> None:
    assert kept("top", of(9), n=3, spread="none") == ["006", "007", "008"]
    assert kept("top", of(9)[::-1], n=3, spread="none") == ["006", "007", "008"]
    assert Counter(verdicts("top", of(9), n=3)) == {None: 3, "not among the best that differ": 6}


def test_top_lets_each_group_give_its_best_before_any_gives_its_second() -> None:
    rich, poor = of(6, unit="rich"), of(2, start=90, unit="poor", score=-1.0)
    assert kept("top", rich + poor, n=3, spread="unit") == ["004", "005", "091"] or kept("top", rich + poor, n=3) == ["004", "005", "090"]
    assert kept("top", rich + poor, n=3, spread="none") == ["003", "004", "005"]
    assert len([i for i in kept("top", rich + poor, n=4) if i >= "090"]) == 2


def test_top_takes_what_is_like_a_better_one_only_to_fill_up() -> None:
    alike = [example(id=str(n), question=f"Who knows about the old keys of the boat house{'!' * n}", score=9.0 - n) for n in range(3)]
    other = example(id="9", question="What do train tickets cost?", score=0.0)
    assert kept("top", [*alike, other], n=2, spread="none") == ["0", "9"]
    assert kept("top", [*alike, other], n=3, spread="none") == ["0", "1", "9"], "still as many as asked for"
    assert kept("top", [*alike, other], n=2, spread="none", words=0, characters=0) == ["0", "1"], "so that likeness is what decides"


def test_top_counts_the_training_side_only() -> None:
    held = of(4, start=50, split="held_out")
    assert kept("top", of(9) + held, n=2, spread="none") == ["007", "008", "050", "051", "052", "053"]


@pytest.mark.parametrize(
    ("weights", "there", "n", "expected"),
    [
        ({"a": 1, "b": 1}, {"a": 10, "b": 4}, 0, {"a": 4, "b": 4}),
        ({"a": 3, "b": 1}, {"a": 10, "b": 4}, 0, {"a": 10, "b": 4}),
        ({"a": 3, "b": 1}, {"a": 90, "b": 40}, 0, {"a": 90, "b": 30}),
        ({"a": 0.75, "b": 0.25}, {"a": 90, "b": 40}, 8, {"a": 6, "b": 2}),
        ({"a": 1, "b": 1, "c": 1}, {"a": 9, "b": 9, "c": 9}, 10, {"a": 3, "b": 3, "c": 4}),
        ({"a": 1, "b": 0}, {"a": 5, "b": 5}, 0, {"a": 5, "b": 0}),
        ({"a": 1, "b": 1}, {"a": 3, "b": 3}, 100, {"a": 3, "b": 3}),
    ],
)
def test_shares(weights: dict, there: dict, n: int, expected: dict) -> None:
    assert mixture.shares(weights, there, n) == expected


@given(
    st.dictionaries(st.sampled_from("abcde"), st.tuples(st.integers(1, 400), st.floats(0.01, 100)), min_size=1),
    st.integers(0, 500),
)
def test_shares_keep_the_proportions_repeat_nothing_and_settle(sources: dict[str, tuple[int, float]], n: int) -> None:
    there, weights = {k: v[0] for k, v in sources.items()}, {k: v[1] for k, v in sources.items()}
    found = mixture.shares(weights, there, n)
    assert all(0 <= found[k] <= there[k] for k in there)
    assert not n or sum(found.values()) <= n
    whole = sum(weights.values())
    total = min(min(there[k] * whole / weights[k] for k in there), n or float("inf"))
    assert all(abs(found[k] - total * weights[k] / whole) <= 1 + 1e-6 for k in there), "within one of the exact share"
    if not n:
        assert mixture.shares(weights, found, 0) == found, "what is mixed already stays whole"


def test_a_mixture_by_recipe() -> None:
    examples = of(20, recipe="raft") + of(6, start=50, recipe="qa")
    ids = kept("mixture", examples, weights={"raft": 2, "qa": 1})
    assert Counter(i < "050" for i in ids) == {True: 12, False: 6}
    assert set(verdicts("mixture", examples, weights={"raft": 2, "qa": 1})) == {None, "more than its recipe's share"}
    assert kept("mixture", examples[::-1], weights={"raft": 2, "qa": 1}) == ids
    assert kept("mixture", examples, NOTHING._replace(seed=4), weights={"raft": 2, "qa": 1}) != ids, "another seed draws others"
    best = kept("mixture", examples, weights={"raft": 2, "qa": 1}, choose="best")
    assert [i for i in best if i < "050"] == [f"{n:03d}" for n in range(8, 20)]
    assert kept("mixture", examples + of(3, start=80, split="held_out"), weights={"raft": 2, "qa": 1}) == [*ids, "080", "081", "082"]


@pytest.mark.parametrize("weights", [{"raft": 1}, {"raft": 1, "qa": 1, "rest": 1}, {"raft": 0, "qa": 0}, {"raft": 1, "q": 1}])
def test_a_mixture_that_does_not_fit_the_recipes_is_a_sentence(weights: dict) -> None:
    examples = of(3, recipe="raft") + of(2, start=50, recipe="qa")
    with pytest.raises(InputError, match=r"mixture.weights must name each recipe.*Examples by recipe: qa 2, raft 3; weights: "):
        verdicts("mixture", examples, weights=weights)
    assert kept("mixture", examples, weights={"raft": 1, "qa": 0}) == ["000", "001", "002"]


def test_balance_by_support_by_label_and_by_chunk() -> None:
    cited, none = of(9), [abstaining(id=f"n{n}", question=f"Q{n}") for n in range(3)]
    ids = kept("balance", cited + none)
    assert len(ids) == 6 and ids[3:] == ["n0", "n1", "n2"]
    assert kept("balance", (cited + none)[::-1]) == ids
    assert len(kept("balance", cited + none, ratio=2)) == 9
    assert kept("balance", cited + none, ASKED._replace(seed=8)) != ids
    assert kept("balance", cited + none, choose="best")[:3] == ["006", "007", "008"]
    labels = of(8, answer="Mortgage") + of(2, start=50, answer=" credit  CARD") + of(3, start=60, answer="Credit card")
    assert Counter(i < "050" for i in kept("balance", labels, by="answer")) == {True: 5, False: 5}
    chunks = of(5, unit="a") + of(2, start=50, unit="b")
    assert Counter(i < "050" for i in kept("balance", chunks, by="unit", ratio=1.5)) == {True: 3, False: 2}


def test_balance_leaves_small_groups_and_the_held_out_side_alone() -> None:
    examples = of(9) + [abstaining(id="n0")] + of(4, start=50, split="held_out")
    assert len(kept("balance", examples)) == 1 + 1 + 4
    assert kept("balance", examples, smallest=2) == sorted(e.id for e in examples)
    assert len(kept("balance", examples + of(5, start=70, support="memory"), smallest=2)) == 5 + 5 + 1 + 4


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["cited", "memory"])), max_size=40), st.floats(1, 3))
def test_no_group_is_larger_than_balance_allows(rows: list[tuple[str, str]], ratio: float) -> None:
    examples = [example(id=f"{n:03d}", unit=unit, support=support) for n, (unit, support) in enumerate(rows)]
    ids = set(kept("balance", examples, by="unit", ratio=ratio))
    before, after = Counter(e.unit for e in examples), Counter(e.unit for e in examples if e.id in ids)
    least = min(before.values(), default=0)
    assert after == {unit: min(count, int(ratio * least)) for unit, count in before.items()}
    assert all(a.id < b.id for a, b in pairwise(e for e in examples if e.id in ids))
