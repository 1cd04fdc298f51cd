"""Memory before anything is loaded, and what a size chooses from it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from groundling import config, published
from groundling.commands.starting import commented
from groundling.errors import ConfigError, MachineError
from groundling.llm.local import need_torch
from groundling.llm.weights import Weights
from groundling.train.dial import MACHINES, Work, _need, at_most, memory_limit, refuse_too_large, settle
from groundling.train.sizing import estimate, shape, trainable

LLAMA_8B = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": False, "max_position_embeddings": 131072,
}  # fmt: skip


@pytest.fixture
def large(tmp_path: Path) -> Weights:
    """The shape of an 8 B Llama, and nothing else of it."""
    (tmp_path / "8b").mkdir()
    (tmp_path / "8b" / "config.json").write_text(json.dumps(LLAMA_8B))
    return Weights(str(tmp_path / "8b"))


def test_parameters_are_counted_as_they_are(tiny_model: Path, large: Weights) -> None:
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    from groundling.train.model import adapter

    need_torch()
    assert shape(large).parameters == 8_030_261_248, "as the model's card says"
    assert trainable(shape(large), config.Train(rank=16)) == 41_943_040, "as the Livedoor notebook printed"
    network = AutoModelForCausalLM.from_pretrained(tiny_model)
    assert shape(Weights(str(tiny_model))).parameters == sum(p.numel() for p in network.parameters())
    for options in (config.Train(rank=3), config.Train(rank=3, targets=["k_proj", "down_proj"])):
        tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_model), adapter(options))
        assert trainable(shape(Weights(str(tiny_model))), options) == sum(p.numel() for p in tuned.parameters() if p.requires_grad)


def test_what_the_backward_pass_keeps_is_estimated_on_the_safe_side_and_not_far_off(tiny_model: Path) -> None:
    """Measured: the storages that autograd really saves, without those of the weights."""
    import torch
    from transformers import AutoModelForCausalLM

    need_torch()
    network = AutoModelForCausalLM.from_pretrained(tiny_model)
    own = {p.untyped_storage().data_ptr() for p in network.parameters()}
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(5, 100, (4, 128))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = network.model(input_ids=ids, use_cache=False).last_hidden_state
    measured = sum(saved.values())
    told = estimate(shape(Weights(str(tiny_model))), config.Train(method="full", precision="fp32"), "cpu", ids.numel()).activations
    assert hidden.shape == (4, 128, 32) and measured <= told <= 2 * measured


@pytest.mark.parametrize("size", ["8gb", "24gb", "80gb"])
def test_a_size_chooses_what_fits_keeps_the_examples_of_a_step_and_tells_it(large: Weights, tiny_model: Path, size: str) -> None:
    base = Weights(str(tiny_model)) if size == "8gb" else large
    settled, told = settle(config.Train(size=size), base)
    assert settled.batch * settled.accumulate == 8
    need = estimate(shape(base), settled, "cuda", settled.batch * settled.max_length)
    assert need.total <= MACHINES[size].room
    assert f"method {settled.method}, batch {settled.batch}, accumulate {settled.accumulate}" in told[0] and "GB" in told[1]
    assert settled.method == {"8gb": "lora", "24gb": "qlora", "80gb": "lora"}[size]
    assert settled.max_length == {"8gb": 1024, "24gb": 4096, "80gb": 8192}[size], "no longer than the base reads"


def test_what_is_named_is_not_chosen(large: Weights) -> None:
    settled, told = settle(config.Train(size="80gb", method="qlora", batch=2, max_length=1024), large)
    assert (settled.method, settled.batch, settled.max_length) == ("qlora", 2, 1024)
    assert "by hand or preset: method qlora, batch 2, max_length 1024" in told[0]
    preset, _ = settle(config.Train(size="24gb", preset="livedoor"), large)
    assert (preset.method, preset.max_length) == ("qlora", 2048) and preset.batch * preset.accumulate == 8
    assert settle(config.Train(), large) == (config.Train(), [])


def test_what_cannot_fit_is_refused_with_settings_that_do(large: Weights) -> None:
    with pytest.raises(MachineError, match=r"does not fit into train.size = 24gb.*This would fit: ") as refused:
        settle(config.Train(size="24gb", method="full"), large)
    named = dict(re.findall(r"--set train\.(\w+)=(\w+)", str(refused.value)))
    assert named.keys() == {"method", "batch", "accumulate", "checkpointing", "max_length"}
    settled, _ = settle(config.Train(size="24gb", **named), large)
    assert settled.method == "qlora" and settled.checkpointing
    with pytest.raises(MachineError, match="No settings would make it fit"):
        settle(config.Train(size="laptop"), large)
    with pytest.raises(MachineError, match="needs the configuration of x/y"):
        settle(config.Train(size="laptop", base="x/y"), Weights("x/y"))


def test_a_run_too_large_for_this_machine_is_refused_before_it_is_loaded(large: Weights, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groundling.train.dial.memory_limit", lambda: 16e9)
    with pytest.raises(
        MachineError, match=r"does not fit into the memory of this machine: about .* of 16 GB\. This would fit: --set train.method=qlora"
    ):
        refuse_too_large(config.Train(), large, Work(1024, 8, 0.1))
    assert "of 16 GB" in refuse_too_large(config.Train(), Weights(str(tiny_model)), Work(1024, 8, 0.1))
    assert "may not suffice" in at_most(config.Train(), large)[1][0]


def test_rows_are_counted_as_they_are_filled_up_in_a_batch(tiny_model: Path) -> None:
    found, machine, options = shape(Weights(str(tiny_model))), MACHINES["laptop"], config.Train(batch=4)

    def need(longest: int, trained: int) -> dict[str, float]:
        return _need(options, found, machine, Work(longest, 4, trained / longest))._asdict()

    assert need(65, 30) == pytest.approx(need(128, 30)), "what fills up is computed, and not trained"
    assert need(64, 30)["activations"] == pytest.approx(need(128, 30)["activations"] / 2)
    assert need(129, 30)["activations"] == pytest.approx(need(64, 30)["activations"] * 3)


def test_the_memory_of_a_container_counts(tmp_path: Path) -> None:
    (tmp_path / "limit").write_text("2000000000\n")
    (tmp_path / "none").write_text("max\n")
    assert memory_limit((str(tmp_path / "limit"),)) == 2e9
    assert memory_limit((str(tmp_path / "none"), str(tmp_path / "nothing"))) > 2e9


@pytest.mark.parametrize("name", sorted(published.TRAIN))
def test_a_preset_is_in_the_config_what_it_is_in_its_table_and_what_is_set_by_hand_wins(name: str) -> None:
    for objective, values in published.TRAIN[name].values.items():
        found = config.parse({"train": {"preset": name, "objective": objective}}, "x").train
        assert {key: getattr(found, key) for key in values} == values
        by_hand = config.parse({"train": {"preset": name, "objective": objective, "rate": 0.5}}, "x").train
        assert by_hand.rate == 0.5 and by_hand.preset_told()["by_hand"] == {"rate": 0.5}
        assert found.preset_told()["chose"] == values
    with pytest.raises(ConfigError, match=f"it has no values for the objective nonesuch, only for {', '.join(published.TRAIN[name].values)}"):
        config.parse({"train": {"preset": name, "objective": "nonesuch"}}, "x")


def test_options_of_an_objective_are_set_one_by_one() -> None:
    found = config.Train(preset="vikhr-8b", objective="smpo", options={"beta": 3.0})
    assert found.options == {"beta": 3.0, "margin": 0.4, "ratio": 0.75} and found.rank == 96


def test_a_written_config_leaves_the_choice_open(tmp_path: Path) -> None:
    """In the file that `init` writes nothing that a preset or a size chooses is set: both still choose."""
    import yaml

    data = yaml.safe_load(commented(config.Config))
    assert config.parse(data, "x") == config.Config()
    assert config.parse(data | {"train": data["train"] | {"size": "8gb"}}, "x").train.sized() == {
        "method", "batch", "accumulate", "checkpointing", "max_length",
    }  # fmt: skip
    assert config.parse(data | {"train": data["train"] | {"preset": "livedoor"}}, "x").train.rate == 2e-4


def test_a_fingerprint_has_the_size_for_what_the_size_chooses() -> None:
    plain, sized, named = (config.Train(**more).identity() for more in ({}, {"size": "8gb"}, {"size": "8gb", "batch": 8}))
    assert plain["batch"] == 8 and "batch" not in sized and named["batch"] == 8 and sized != named
