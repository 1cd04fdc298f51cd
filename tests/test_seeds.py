"""Randomness hangs on what is made, never on when."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from groundling.seeds import digest, rng, seed_of


def test_seeds_are_the_same_in_every_version_and_process() -> None:
    assert seed_of(42, "raft", "unit", 0) == int.from_bytes(bytes.fromhex(digest(42, "raft", "unit", 0, length=16)), "big")
    code = "from groundling.seeds import *; print(seed_of(42, 'raft', 'unit', 0), rng(1, 'a').random())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": "7", "PYTHONPATH": ":".join(sys.path)})
    assert told.stdout.split() == [str(seed_of(42, "raft", "unit", 0)), str(rng(1, "a").random())], told.stderr


def test_the_values_are_frozen() -> None:
    """A changed seed function would change every data set ever made with it."""
    assert seed_of(42, "raft", "unit", 0) == 17803126783709255521
    assert digest("text") == "982d9e3eb996"


@given(st.integers(), st.lists(st.text(st.characters(exclude_characters="\x1f", exclude_categories=["Cs"])), min_size=2, max_size=4))
def test_every_part_counts_and_so_does_their_order(seed: int, parts: list[str]) -> None:
    assert seed_of(seed, *parts) == seed_of(seed, *parts)
    assert seed_of(seed + 1, *parts) != seed_of(seed, *parts)
    assert seed_of(seed, *parts, "") != seed_of(seed, *parts)
    assert seed_of(seed, "".join(parts)) != seed_of(seed, *parts)
    if parts != parts[::-1]:
        assert seed_of(seed, *parts[::-1]) != seed_of(seed, *parts)


def test_a_draw_does_not_depend_on_other_draws() -> None:
    alone = rng(1, "b").random()
    rng(1, "a").random()
    assert rng(1, "b").random() == alone


def test_names_are_as_long_as_asked() -> None:
    assert len(digest("x")) == 12 and digest("x", length=16).startswith(digest("x"))
