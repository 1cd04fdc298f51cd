"""A search whose process is killed in the midst of a trial: the same command goes on, and the table comes out as without the kill."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from .conftest import groundling, start

SPACE = "search.space={train.rate: [1e-4, 1e-2], train.rank: [2, 4, 8]}"


def table(root: Path) -> list[dict]:
    """All trials, without the time that they took and how often they were begun."""
    found = [json.loads(path.read_bytes()) for path in sorted(root.glob("search/trials/*/trial.json"))]
    return [{name: value for name, value in trial.items() if name not in ("seconds", "begun")} for trial in found]


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_and_ends_alike(project: Path, tiny_model: Path, tmp_path: Path) -> None:
    settings = [f"train.base={tiny_model}", "train.epochs=2", "train.save_steps=1", "search.trials=2", SPACE]
    words = [project, *(word for setting in settings for word in ("--set", setting))]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    done = groundling("search", *words, "--out", whole)
    assert done.returncode == 0 and "2  " in done.stdout and "Traceback" not in done.stderr, done.stderr
    process = start("search", *words, "--out", broken)
    second = broken / "search" / "trials" / "2"
    deadline = time.time() + 500
    while time.time() < deadline and process.poll() is None and not (second / "checkpoints" / "checkpoint-3" / "complete.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    cut = json.loads((second / "trial.json").read_bytes())
    assert process.returncode == -9 and cut["state"] == "running" and len(table(broken)) == 2, "it was killed in the midst of the second trial"
    again = groundling("search", *words, "--out", broken)
    assert again.returncode == 0, again.stderr
    ended = json.loads((second / "trial.json").read_bytes())
    assert len(ended["begun"]) == 2 and ended["begun"][1] >= 3, "it began at its checkpoint, not anew"
    assert table(broken) == table(whole) and len(table(whole)) == 2
