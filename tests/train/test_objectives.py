"""Each objective is explained where objectives are listed, and goes on after a kill. What it learns is in test_matrix.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from groundling import config, registry
from groundling.llm.local import need_torch
from groundling.llm.weights import Weights
from groundling.train import train
from groundling.workspace import Output

from .preferring import labelled, pair

MADE = {"classify": labelled, "dpo": pair, "reward": pair, "smpo": pair}
SETTINGS = {
    "classify": {"rate": 3e-3, "format": "labels", "steps": 24, "eval_steps": 12},
    "dpo": {"rate": 1e-3},
    "reward": {"rate": 3e-3},
    "smpo": {"rate": 2e-3},
}


def settings(objective: str, **more: Any) -> config.Train:
    return config.Train(objective=objective, **{"steps": 8, "batch": 8, "rank": 4, "save_steps": 100, "eval_steps": 4} | SETTINGS[objective] | more)


def made(objective: str, base: str, folder: Path, **more: Any) -> Output:
    need_torch()
    out = Output(folder)
    train([MADE[objective](n) for n in range(32)], settings(objective, **more), Weights(base), 1, out)
    out.close()
    return out


@pytest.mark.parametrize("objective", MADE)
def test_it_is_explained_in_the_list(objective: str) -> None:
    [told] = registry.explained("objective", objective)
    assert len(told) > 60 and objective in registry.names("objective")


@pytest.mark.slow
@pytest.mark.parametrize("objective", MADE)
def test_after_a_kill_it_ends_with_the_same_weights(objective: str, tiny_model: Path, tmp_path: Path) -> None:
    more = {"save_steps": 2, "steps": 6}
    made(objective, str(tiny_model), tmp_path / "calm", **more)
    torn = tmp_path / "torn"
    code = f"from tests.train.test_objectives import made; from pathlib import Path; made({objective!r}, {str(tiny_model)!r}, Path({str(torn)!r}), **{more})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], env={**os.environ, "OMP_NUM_THREADS": "1"})
    whole = torn / "checkpoints/checkpoint-2/complete.json"
    while process.poll() is None and not whole.is_file():
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL and not (torn / "groundling.json").exists(), "it was killed in the midst"
    made(objective, str(tiny_model), torn, **more)
    weights = "adapter_model.safetensors"
    assert (torn / weights).read_bytes() == (tmp_path / "calm" / weights).read_bytes()
