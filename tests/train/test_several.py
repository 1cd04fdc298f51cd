"""How a training is divided between processes, and what is refused before they start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundling import config
from groundling.errors import ConfigError, MachineError
from groundling.llm.local import need_torch
from groundling.llm.weights import Weights
from groundling.train import ranks, several
from groundling.train.dial import MACHINES, Work, fits, settle
from groundling.train.sharded import _batches
from groundling.train.sizing import divided, estimate, shape

from .test_dial import LLAMA_8B


@pytest.fixture
def large(tmp_path: Path) -> Weights:
    """The shape of an 8 B Llama, and nothing else of it."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA_8B))
    return Weights(str(tmp_path))


def launched(monkeypatch: pytest.MonkeyPatch, rank: int, size: int) -> None:
    for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", size), ("MASTER_ADDR", "localhost")):
        monkeypatch.setenv(name, str(value))


def test_one_process_is_told_by_the_launcher_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")  # some clusters set this alone
    assert (ranks.size(), ranks.rank()) == (1, 0)
    launched(monkeypatch, 3, 4)
    assert (ranks.size(), ranks.rank()) == (4, 3)


@pytest.mark.parametrize(("batch", "accumulate"), [(8, 1), (2, 4), (4, 2), (1, 8), (3, 3)])
@pytest.mark.parametrize("size", [2, 3, 4, 16])
def test_a_step_has_the_examples_of_one_process_and_no_batch_is_larger(
    monkeypatch: pytest.MonkeyPatch, batch: int, accumulate: int, size: int
) -> None:
    need_torch()
    options = config.Train(batch=batch, accumulate=accumulate)
    step, (most, count) = batch * accumulate, ranks.parts(options, size)
    assert most <= batch and ranks.parts(options, 1) == (batch, accumulate)
    order = [7 * n % 29 for n in range(29)]
    dealt = []
    for rank in range(size):
        launched(monkeypatch, rank, size)
        batches = _batches(order, step, count)
        dealt.append(list(batches))
        assert len(dealt[-1]) == len(batches) == -(-29 // step) * count
    for start in range(0, 29, step):
        n = start // step * count
        given = [batch for mine in dealt for batch in mine[n : n + count]]
        assert sorted(i for batch in given for i in batch if i >= 0) == sorted(order[start : start + step]), "each once, and no other"
        assert max(map(len, given)) <= most
        assert all(len(batch) == 1 for batch in given if min(batch) < 0), "where nothing is left, one blank"
    assert all(batch for mine in dealt for batch in mine)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"objective": "dpo"}, "train.objective dpo is trained by one process only.*train.objective=sft"),
        ({"method": "qlora"}, "weights in four bits are not split"),
        ({"optimizer": "adamw_8bit"}, "its state is not split"),
    ],
)
def test_what_several_cannot_share_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, more: dict, says: str) -> None:
    for among in ({"devices": 2}, {"size": "multi"}):
        with pytest.raises(ConfigError, match=says):
            several.refuse(config.Train(**more, **among))
    several.refuse(config.Train(**more))
    several.refuse(config.Train(**more, devices=1))
    launched(monkeypatch, 0, 2)
    with pytest.raises(ConfigError, match=says):
        several.refuse(config.Train(**more))


def test_there_must_be_place_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    assert several.wanted(config.Train()) == 1 and several.wanted(config.Train(devices=3)) == 3
    with pytest.raises(MachineError, match=r"size = multi is for several GPUs, and this machine has 0\."):
        several.wanted(config.Train(size="multi"))
    monkeypatch.setattr(several, "_gpus", lambda: 4)
    assert several.wanted(config.Train(size="multi")) == 4 and several.wanted(config.Train(size="multi", devices=2)) == 2
    monkeypatch.setattr(several, "device", lambda: "cuda")
    with pytest.raises(MachineError, match=r"train.devices = 5, and this machine has 4 GPUs\."):
        several.wanted(config.Train(devices=5))
    monkeypatch.setattr(several, "precision", lambda options: "fp16")
    with pytest.raises(MachineError, match="do not train in fp16"):
        several.wanted(config.Train(devices=2))
    assert several.wanted(config.Train()) == 1


def test_how_many_there_are_is_no_part_of_what_comes_out() -> None:
    assert config.Train(devices=4).identity() == config.Train().identity()
    assert config.Train(size="multi").identity() == config.Train(size="multi", devices=4).identity() != config.Train().identity()


def test_weights_gradients_and_state_are_divided_in_the_estimate(large: Weights) -> None:
    found, full = shape(large), config.Train(method="full")
    whole = estimate(found, full, "cuda", 2048)
    assert divided(whole, found, full, 1) == whole
    part = divided(whole, found, full, 8)
    assert part.optimiser == whole.optimiser / 8
    outside = 4 * (found.parameters - found.linear)
    assert whole.gradients / 8 + outside < part.gradients < whole.gradients / 8 + 1.5 * outside, "two layers are a fifteenth of an 8 B"
    assert part.activations == whole.activations and part.total < whole.total / 3


def test_size_multi_chooses_for_eight_gpus(large: Weights) -> None:
    settled, told = settle(config.Train(size="multi"), large)
    assert settled.method == "full" and settled.batch * settled.accumulate == 8, "one GPU of that size has to be content with an adapter"
    assert settle(config.Train(size="80gb"), large)[0].method == "lora"
    assert "size multi chose: method full" in told[0] and f"of {MACHINES['multi'].room / 1e9:.3g} GB" in told[1]
    assert settle(config.Train(size="multi", devices=2), large)[0] == settled.model_copy(update={"devices": 2}), "the same config, the same choice"


def test_processes_on_one_machine_without_a_gpu_share_its_memory(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    monkeypatch.setattr("groundling.train.dial.memory_limit", lambda: 16e9)
    for devices, room in ((0, "16"), (2, "8"), (4, "4")):
        assert f"of {room} GB" in fits(config.Train(devices=devices), Weights(str(tiny_model)), Work(64, 8, 0.5))[1]
