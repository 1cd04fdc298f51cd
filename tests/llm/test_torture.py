"""The harness that kills runs, short. In full: `make torture`."""

from __future__ import annotations

from pathlib import Path

from . import torture_batch
from .torture import torture


def test_three_kills_lose_nothing_and_pay_nothing_twice(tmp_path: Path) -> None:
    told = torture(tmp_path, kills=3, units=40, seed=11, say=lambda text: None, work=0.8)
    assert told["kills"] == 3 and told["calls"] > 100 and told["counts"]["kept"] > 50


def test_in_batch_mode_too(tmp_path: Path) -> None:
    told = torture_batch.torture(tmp_path, kills=3, units=12, seed=5, say=lambda text: None, work=0.6)
    assert told["kills"] == 3 and told["calls"] > 40 and told["counts"]["kept"] > 20
