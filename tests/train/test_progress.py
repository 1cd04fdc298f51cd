"""Training tells how far it is, and nothing of the trainer's own raw lines and warnings reaches the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from groundling import config
from groundling.llm.local import need_torch
from groundling.llm.weights import Weights
from groundling.panel import View
from groundling.train.objectives import sft
from groundling.train.tokens import Row


def test_training_tells_a_view_and_prints_nothing_raw(tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    need_torch()
    seen: list[View] = []

    @contextmanager
    def watch(view: Callable[[], View]) -> Iterator[None]:
        seen.append(view())
        yield
        seen.append(view())

    rows = [Row(id=str(n), ids=[5 + n, 9, 12, 7], spans=[(2, 4)]) for n in range(4)]
    log = sft.run(rows, Weights(str(tiny_model)), config.Train(epochs=3, batch=2, rank=2), 1, tmp_path, watch)
    assert log and [v.done for v in seen] == [0, 6] and seen[1].total == 6
    assert seen[1].facts["epoch"] == "3.00 of 3" and float(seen[1].facts["loss"]) == pytest.approx(log[-1]["loss"], abs=0.001)
    told = capfd.readouterr()
    assert "loss" not in told.out and "Warning" not in told.err
