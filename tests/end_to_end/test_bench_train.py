"""The benchmark of training: what LLaMA-Factory is given, how it is timed, and what the table says where it could not be installed."""

from __future__ import annotations

import importlib
import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"

# What the contender needs of LLaMA-Factory: the same import of torchaudio, and a trainer among other work.
FACTORY = """
import time
from types import SimpleNamespace

import torchaudio
import transformers
from datasets import load_from_disk

def train(self):
    time.sleep(0.2)
    print({"loss": 3.0})
    self.state = SimpleNamespace(log_history=[{"loss": 3.0}, {"loss": 2.5}, {"train_loss": 2.75}])

transformers.Trainer.train = train

def run_exp(given):
    time.sleep(1)
    assert given["learning_rate"] == 0.5 and given["finetuning_type"] == "full" and len(load_from_disk(given["tokenized_path"])) == 2
    trainer = object.__new__(transformers.Trainer)
    trainer.model = SimpleNamespace(num_parameters=lambda: 7)
    trainer.train()
    time.sleep(1)
"""


@pytest.fixture(scope="module")
def speed() -> Iterator[ModuleType]:
    """The benchmark as a module, gone again afterwards: its names are short."""
    before = list(sys.path)
    sys.path.insert(0, str(FOLDER / "train"))
    yield importlib.import_module("speed")
    sys.path[:] = before
    for name in ("speed", "own", "peers"):
        del sys.modules[name]


@pytest.fixture
def peers(speed: ModuleType) -> ModuleType:
    return sys.modules["peers"]


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")  # TRL's config names it so
def test_llama_factory_gets_the_rows_weights_and_settings_of_trl(speed: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    seen: list[dict[str, Any]] = []

    def figures(command: list[Any], seconds: float, **surroundings: str) -> dict[str, Any]:
        assert Path(command[1]).exists() and surroundings["CUDA_VISIBLE_DEVICES"] == "", "the table is of the CPU"
        folder = Path(command[2])
        assert len(AutoTokenizer.from_pretrained(folder / "model")) <= 16_384
        model = AutoModelForCausalLM.from_pretrained(folder / "model")
        seen.append({name: json.loads((folder / f"{name}.json").read_text()) for name in ("rows", "settings")} | {"model": model})
        return {"tokens": 1}

    monkeypatch.setattr(speed, "environment", lambda cache, package, *beside: ("python", "9.9"))
    monkeypatch.setattr(speed, "figures", figures)
    found = speed.factory(6, tmp_path)
    assert found == {name: {"tokens": 1, "version": "9.9"} for name in ("trl", "grouped")}
    rows = speed.rows(6, 1024)
    own = speed.network(speed.SMALL, 16_384, torch.float32, "cpu").state_dict()
    for name, one in zip(found, seen, strict=True):
        theirs = speed.arguments(name, str(tmp_path), use_cpu=True)
        assert [(row["input_ids"], row["labels"]) for row in one["rows"]] == [(row.ids, row.labels()) for row in rows]
        assert all(row["attention_mask"] == [1] * len(row["input_ids"]) for row in one["rows"])
        assert all(torch.equal(weight, own[key]) for key, weight in one["model"].state_dict().items())
        settings = one["settings"] | {"report_to": []}
        assert {key: getattr(theirs, key) for key in settings} == settings, "TRL has the same value of all that LLaMA-Factory is given"
        assert ("train_sampling_strategy" in settings) == (name == "grouped")


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
def test_ours_is_the_whole_objective_in_the_batches_of_trl_grouped(speed: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers
    from transformers import trainer_pt_utils

    from groundling.train import guard

    drawn: list[list[int]] = []
    seen: list[Any] = []
    draw, prove, train, made = trainer_pt_utils.get_length_grouped_indices, guard.prove, transformers.Trainer.train, speed.rows
    monkeypatch.setattr(trainer_pt_utils, "get_length_grouped_indices", lambda *given, **named: drawn.append(draw(*given, **named)) or drawn[-1])
    monkeypatch.setattr(guard, "prove", lambda trainer, checkpoint: seen.append(trainer) or prove(trainer, checkpoint))
    monkeypatch.setattr(speed, "SMALL", speed.TINY)
    monkeypatch.setattr(speed, "rows", lambda count, longest: made(count, 64))
    grouped, ours = speed.contend("grouped", 40), speed.contend("ours", 40)
    assert len(drawn) == 2 and drawn[0] == drawn[1] and sorted(drawn[0]) == list(range(40))
    assert ours["losses"] == pytest.approx(grouped["losses"], rel=1e-3) and len(ours["losses"]) == 5, "each step is logged"
    assert ours["tokens"] == grouped["tokens"] and ours["parameters"] == grouped["parameters"] and ours["seconds"] > 0 < ours["processor"]
    assert len(seen) == 1, "its first checkpoint is saved and proved"
    theirs, own = speed.arguments("grouped", "out", use_cpu=True), seen[0].args
    same = ("learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm", "num_train_epochs", "train_batch_size", "bf16")
    assert {name: getattr(own, name) for name in same} == {name: getattr(theirs, name) for name in same}
    assert own.bf16 and not own.fp16 and own.gradient_accumulation_steps == theirs.gradient_accumulation_steps == 1
    assert transformers.Trainer.train is train, "nothing stays changed"


def test_only_train_is_timed(peers: ModuleType, tmp_path: Path) -> None:
    package = tmp_path / "llamafactory" / "train"
    package.mkdir(parents=True)
    (package / "tuner.py").write_text(FACTORY)
    row = {"input_ids": [5, 6, 7], "labels": [-100, -100, 7], "attention_mask": [1, 1, 1]}
    (tmp_path / "rows.json").write_text(json.dumps([row, row]))
    (tmp_path / "settings.json").write_text(json.dumps({"learning_rate": 0.5}))
    script = FOLDER / "train" / "contenders" / "llama_factory.py"
    found = peers.figures([sys.executable, script, tmp_path], 120, PYTHONPATH=str(tmp_path))
    assert (found["tokens"], found["losses"], found["parameters"]) == (6, [3.0, 2.5], 7), found
    assert 0.2 <= found["seconds"] < 1, "neither imports, nor what goes before and after"
    assert 0 <= found["processor"] < 0.2, "sleeping takes none"


def test_a_peer_is_installed_once_and_a_failure_is_told_by_pip(peers: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wheels, cache = tmp_path / "wheels", tmp_path / "cache"
    wheels.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    with pytest.raises(peers.Missing, match="^No matching distribution found for groundling-peer$"):
        peers.environment(cache, "groundling-peer")
    wheel = wheels / "groundling_peer-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        about = "groundling_peer-1.2.dist-info"
        made.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: groundling-peer\nVersion: 1.2\n")
        made.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        made.writestr(f"{about}/RECORD", "")
    python, version = peers.environment(cache, "groundling-peer")
    assert version == "1.2" and python.startswith(str(cache)), "what failed is tried again"
    monkeypatch.setattr(sys, "executable", "/nowhere")
    assert peers.environment(cache, "groundling-peer") == (python, "1.2"), "what is installed is not installed again"


def test_a_peer_that_fails_says_so_in_its_last_words(peers: ModuleType) -> None:
    assert peers.figures([sys.executable, "-c", "print('{}'); raise OSError('no a|b')"], 60) == {"failed": "failed: OSError: no a/b"}
    assert peers.figures([sys.executable, "-c", "print('nothing')"], 60) == {"failed": "failed: no figures"}
    assert peers.figures([sys.executable, "-c", "import time; time.sleep(9)"], 0.2) == {"failed": "not done after 0.2 s"}


def figures_of(seconds: float, losses: list[float]) -> dict[str, Any]:
    return {"tokens": 1000, "seconds": seconds, "processor": seconds, "losses": losses, "parameters": 2_600_000}


def test_the_table_has_every_contender_and_says_what_was_not_measured(
    speed: ModuleType, peers: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cpu = {
        "trl": figures_of(10, [4.0, 3.0]),
        "packed": figures_of(20, [4.0]),
        "grouped": figures_of(8, [4.0, 2.0]),
        "ours": figures_of(2, [4.0, 2.02]),
    }
    found = {
        "cores": 2, "threads": 2, "system": "Linux", "python": "3.11", "date": "2026-01-01", "rows": 16, "command": "this", "load": 0.2, "cpu": cpu, "gpu": {},
        "factory": {"trl": figures_of(5, [4.0004, 3.03]) | {"version": "9.9"}, "grouped": {"failed": "failed: OSError: x", "version": "9.9"}},
    }  # fmt: skip
    told = speed.table(found)
    lines = [line for line in told.splitlines() if line.startswith("| ") and "×" in line or "failed" in line]
    assert [line.split(" |")[0] for line in lines] == [
        "| TRL `SFTTrainer` as it comes", "| TRL, packing", "| TRL, grouped by length", "| LLaMA-Factory 9.9",
        "| LLaMA-Factory 9.9, grouped by length", "| groundling",
    ]  # fmt: skip
    assert lines[3].endswith("| 200 | 2.00 × | 200 | **2.00 ×** |") and lines[4].endswith("| failed: OSError: x | | | |")
    assert "any of 2 steps, same batches: **1.00%**" in told
    assert "LLaMA-Factory, against TRL `SFTTrainer` as it comes: 0.010% at the first step, at most 1.000%." in told
    assert told.count("| not measured | | | |") == 4 and "other work" not in told
    assert "other work ran beside" in speed.table(found | {"load": 3.0})

    def refused(*_: Any) -> None:
        raise peers.Missing("No matching distribution found for torch==0")

    monkeypatch.setattr(speed, "environment", refused)
    without = speed.table(found | {"factory": speed.factory(2, tmp_path)})
    assert "| LLaMA-Factory | not installed: No matching distribution found for torch==0 | | | |" in without and "against" not in without
