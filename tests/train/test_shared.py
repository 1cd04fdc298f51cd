"""Two processes share a training: everything is split between them, and what comes of it is what one process makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from groundling.llm.local import need_torch
from groundling.llm.weights import resolve

from .learning import weights

ROOT = Path(__file__).parents[2]
CASES = ("full", "lora")


def start(folder: Path, processes: int) -> subprocess.CompletedProcess[str]:
    """The trainings of `shared.py`, by so many processes."""
    folder.mkdir()
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *launcher, "-m", "tests.train.shared", str(folder)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=600
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The folders of the same trainings by one process and by two."""
    found = {}
    for processes in (1, 2):
        found[processes] = tmp_path_factory.mktemp("shared") / str(processes)
        done = start(found[processes], processes)
        assert done.returncode == 0, done.stderr[-6000:]
    return found


def told(folder: Path, name: str) -> dict:
    return json.loads((folder / f"{name}.json").read_text())


@pytest.mark.parametrize("name", CASES)
def test_everything_is_split(both: dict[int, Path], name: str) -> None:
    """accelerate's FSDP gives whole copies (DDP) on a CPU, without a word."""
    for what in ("parameters", "states"):
        found = told(both[2], name)[what]
        assert found["all"] == found["split"] > 0, what
        assert found["share"] == pytest.approx(0.5, abs=0.02), what
        assert told(both[1], name)[what]["split"] == 0
    assert told(both[2], name)["parameters"]["all"] == told(both[1], name)["parameters"]["all"]


@pytest.mark.parametrize("name", CASES)
def test_losses_and_gradients_are_those_of_one_process(both: dict[int, Path], name: str) -> None:
    one, two = told(both[1], name), told(both[2], name)
    assert [e["step"] for e in two["log"]] == [e["step"] for e in one["log"]] == [1, 2, 3, 4]
    for key in ("loss", "held_out_loss", "rate"):
        assert [e[key] for e in two["log"]] == pytest.approx([e[key] for e in one["log"]], rel=1e-3), key
    assert two["norms"] == pytest.approx(one["norms"], rel=1e-3)
    assert min(one["norms"]) > 1, "or clipping would do nothing"
    assert one["log"][-1]["loss"] < one["log"][0]["loss"]


def test_what_is_saved_is_in_hugging_face_s_form_and_stock_libraries_load_it(both: dict[int, Path]) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    need_torch()
    ids = torch.tensor([list(range(20, 40))])
    for name in CASES:
        one, two = weights(both[1] / name), weights(both[2] / name)
        assert {n: t.shape for n, t in two.items()} == {n: t.shape for n, t in one.items()}
        logits = []
        for folder in both.values():
            base = AutoModelForCausalLM.from_pretrained(folder / name if name == "full" else resolve("nano"), dtype=torch.float32)
            network = base if name == "full" else PeftModel.from_pretrained(base, str(folder / name))
            with torch.no_grad():
                logits.append(network(input_ids=ids).logits)
        assert torch.allclose(logits[0], logits[1], atol=0.02), name
        with torch.no_grad():
            start = AutoModelForCausalLM.from_pretrained(resolve("nano"), dtype=torch.float32)(input_ids=ids).logits
        assert (logits[1] - start).abs().max() > 0.5, "it is no longer the base"
    config = [json.loads((folder / "full" / "config.json").read_text()) for folder in both.values()]
    assert config[0] == config[1]


def test_a_loss_that_is_no_number_ends_all_with_the_same_sentence(both: dict[int, Path]) -> None:
    said = [(both[2] / f"broken-{n}.txt").read_text() for n in (0, 1)]
    assert said[0] == said[1] and "not a number by step" in said[0] and "of step 1, is kept" in said[0]
