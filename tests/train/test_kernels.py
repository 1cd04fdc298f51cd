"""Which attention and which fused kernels are taken: by what is installed and the hardware, here pretended, as there is no GPU to ask."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from groundling import config, doctor
from groundling.errors import MachineError, ModelError, UserError
from groundling.llm.local import need_torch
from groundling.llm.weights import Weights
from groundling.train import dial, kernels, model
from groundling.train.checks import base_of, check
from groundling.train.objectives.sft import PLAIN_HEAD

from .learning import options, same, trained

AMPERE, TURING, NONE = (8, 0), (7, 5), (0, 0)


def machine(monkeypatch: pytest.MonkeyPatch, gpu: tuple[int, int], *packages: str) -> None:
    """A machine with that GPU, or none, and those packages beside what is here."""
    monkeypatch.setattr(kernels, "device", lambda: "cpu" if gpu == NONE else "cuda")
    monkeypatch.setattr(kernels, "capability", lambda: gpu)
    monkeypatch.setattr(kernels, "find_spec", lambda name: name in packages or None)


@pytest.mark.parametrize(
    ("gpu", "packages", "arithmetic", "chosen"),
    [
        (NONE, ("flash_attn", "liger_kernel"), "fp32", ("sdpa", "none", False)),
        (NONE, ("flash_attn", "liger_kernel"), "bf16", ("sdpa", "none", False)),
        (AMPERE, (), "bf16", ("sdpa", "none", False)),
        (AMPERE, ("flash_attn",), "bf16", ("flash_attention_2", "none", True)),
        (AMPERE, ("flash_attn",), "fp16", ("flash_attention_2", "none", True)),
        (AMPERE, ("flash_attn",), "fp32", ("sdpa", "none", False)),
        (TURING, ("flash_attn", "liger_kernel"), "fp16", ("sdpa", "liger", False)),
        (AMPERE, ("flash_attn", "liger_kernel"), "bf16", ("flash_attention_2", "liger", True)),
    ],
)
def test_auto_takes_what_is_there_and_fits(
    gpu: tuple[int, int], packages: tuple[str, ...], arithmetic: str, chosen: tuple[str, str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, gpu, *packages)
    assert kernels.choose(config.Train(), "llama", arithmetic) == chosen
    assert kernels.choose(config.Train(), "gemma9", arithmetic) == ("", "none", False), "of other networks nothing is known"
    assert kernels.choose(config.Train(objective="smpo"), "llama", arithmetic) == ("sdpa", chosen[1], False), "it needs a mask of its own"
    assert kernels.choose(config.Train(objective="reward"), "llama", arithmetic) == (*chosen[:2], False)
    by_hand = config.Train(attention="eager", kernels="none", packing="on")
    assert kernels.choose(by_hand, "llama", arithmetic) == ("eager", "none", True)
    assert not kernels.choose(config.Train(packing="off"), "llama", arithmetic).packing
    assert kernels.choose(config.Train(attention="flex_attention"), "llama", arithmetic).packing == (gpu != NONE)


REFUSED = [
    (NONE, (), {"packing": "on", "objective": "dpo"}, "train.packing = on is for the objective sft: the replies that dpo compares"),
    (
        AMPERE,
        ("flash_attn",),
        {"attention": "flash_attention_2", "objective": "smpo"},
        "train.attention = flash_attention_2: the objective smpo reads",
    ),
    (NONE, (), {"attention": "eager", "objective": "dpo"}, "train.attention = eager: the objective dpo reads several replies behind one prompt"),
    (NONE, ("flash_attn",), {"attention": "flash_attention_2"}, "flash_attention_2 is for NVIDIA GPUs, and this machine has no such GPU"),
    (NONE, (), {"attention": "flex_attention"}, "flex_attention does not train on a CPU"),
    (AMPERE, (), {"attention": "flash_attention_2"}, "needs the package flash-attn: pip install flash-attn"),
    (TURING, ("flash_attn",), {"attention": "flash_attention_2"}, "needs a GPU of the generation Ampere or newer"),
    (AMPERE, ("flash_attn",), {"attention": "flash_attention_2", "precision": "fp32"}, "computes in 16 bits only"),
    (NONE, ("liger_kernel",), {"kernels": "liger"}, "train.kernels = liger is for GPUs, and this machine has none"),
    (AMPERE, (), {"kernels": "liger"}, "needs the package liger-kernel: pip install liger-kernel"),
]


@pytest.mark.parametrize(("gpu", "packages", "settings", "sentence"), REFUSED)
def test_what_is_asked_for_by_name_and_not_to_be_had_is_refused_before_anything_is_spent(
    gpu: tuple[int, int], packages: tuple[str, ...], settings: dict[str, Any], sentence: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, chosen = base_of(Weights(str(tiny_model))), config.Train(**settings)
    real = kernels.find_spec
    machine(monkeypatch, gpu, *packages)
    with pytest.raises(UserError, match=sentence):
        kernels.refuse(chosen, "llama", "fp32" if chosen.precision == "fp32" else "bf16")
    monkeypatch.setattr(kernels, "find_spec", real)
    if gpu == NONE:
        with pytest.raises(UserError, match=sentence):
            check(chosen, base)


def test_what_is_to_be_had_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, AMPERE, "flash_attn", "liger_kernel")
    for settings in (
        {"attention": "flash_attention_2", "kernels": "liger"},
        {"attention": "flex_attention"},
        {"objective": "smpo", "kernels": "liger"},
    ):
        kernels.refuse(config.Train(**settings), "llama", "bf16", ("sdpa", "flash_attention_2", "flex_attention"))
    kernels.refuse(config.Train(objective="reward", attention="flash_attention_2"), "llama", "bf16")
    with pytest.raises(ModelError, match="nano is of an architecture without it"):
        kernels.refuse(config.Train(attention="flex_attention"), "gpt9", "bf16", ("sdpa",))
    with pytest.raises(ModelError, match="replaces parts of llama, .* and nano is of the kind gpt9"):
        kernels.refuse(config.Train(kernels="liger"), "gpt9", "bf16")


def test_what_attentions_a_network_has_is_looked_up(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mamba", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1}))
    check(config.Train(attention="sdpa"), base_of(Weights(str(tiny_model))))
    with pytest.raises(ModelError, match="train.attention = sdpa: nano is of an architecture without it"):
        check(config.Train(attention="sdpa"), base_of(Weights(str(tmp_path))))


def test_a_mistake_is_told_once_and_by_the_doctor_too(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Leave\n\nStaff have 25 days of leave.\n")
    (tmp_path / "groundling.yaml").write_text("documents: docs\ntrain: {kernels: liger, precision: fp16}\n")
    said = next(c for c in doctor.project(tmp_path / "groundling.yaml") if c.what == "training")
    assert not said.ok and "train.kernels = liger is for GPUs" in said.says
    assert said.says.count("train.precision = fp16 needs a GPU") == 1


def test_the_network_is_loaded_with_what_was_chosen(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    base, asked = Weights(str(tiny_model)), []

    class Kind:
        @staticmethod
        def from_pretrained(base: str, **more: Any) -> Any:
            asked.append(more.get("attn_implementation"))
            raise ImportError("libflash.so is missing\nand more")

    assert model.load(base, config.Train(attention="eager")).config._attn_implementation == "eager"
    assert model.load(base, config.Train()).config._attn_implementation == "sdpa"
    with pytest.raises(ImportError):  # our own fault, with its traceback
        model.load(base, config.Train(), Kind)
    machine(monkeypatch, AMPERE, "flash_attn")
    monkeypatch.setattr(model, "precision", lambda options: "bf16")
    with pytest.raises(MachineError, match="flash-attn cannot be used here: libflash.so is missing Set train.attention=sdpa"):
        model.load(base, config.Train(), Kind)
    assert asked == [None, "flash_attention_2"]


def test_what_was_chosen_is_told_where_there_is_something_to_choose(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = Weights(str(tiny_model))
    assert dial.settled(config.Train(), base)[1] == []
    assert dial.settled(config.Train(packing="on"), base)[1] == ["  computes with attention sdpa, kernels none, packing on"]
    machine(monkeypatch, AMPERE, "flash_attn", "liger_kernel")
    monkeypatch.setattr(model, "precision", lambda options: "bf16")
    assert dial.settled(config.Train(), base)[1] == ["  computes with attention flash_attention_2, kernels liger, packing on"]
    assert dial.settled(config.Train(), Weights("owner/away"))[1] == [], "its architecture is not known yet"


def liger(monkeypatch: pytest.MonkeyPatch, called: list[dict[str, Any]], rotated: Any) -> None:
    """A package with liger's function for Llama, which puts a rotation of its own where liger's puts it."""

    def apply(**given: Any) -> None:
        from transformers.models.llama import modeling_llama

        called.append(given)
        modeling_llama.apply_rotary_pos_emb = rotated

    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", SimpleNamespace(apply_liger_kernel_to_llama=apply))
    machine(monkeypatch, AMPERE, "liger_kernel")


def test_liger_s_parts_come_into_the_network_and_leave_no_trace_behind(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    from transformers import LlamaForCausalLM
    from transformers.models.llama import modeling_llama

    network, called = LlamaForCausalLM.from_pretrained(tiny_model), []
    before = dict(vars(modeling_llama))
    liger(monkeypatch, called, "its own")
    with pytest.raises(ZeroDivisionError), kernels.fused(SimpleNamespace(get_base_model=lambda: network), config.Train()):
        assert modeling_llama.apply_rotary_pos_emb == "its own", "the rotation is looked up there while it trains"
        raise ZeroDivisionError
    assert dict(vars(modeling_llama)) == before
    [given] = called
    assert given.pop("model") is network, "the network itself, not what holds the adapter"
    assert given == {"rope": True, "rms_norm": True, "swiglu": True, "cross_entropy": False, "fused_linear_cross_entropy": False}
    with kernels.fused(network, config.Train(kernels="none")):
        assert len(called) == 1
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", SimpleNamespace())
    with pytest.raises(MachineError, match="liger-kernel cannot be used here"), kernels.fused(network, config.Train()):
        pass


def test_a_training_computes_with_them_from_the_first_step_to_the_last(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    from transformers.models.llama import modeling_llama

    called: list[Any] = []
    rotations: list[int] = []
    real = modeling_llama.apply_rotary_pos_emb

    def rotated(*given: Any, **more: Any) -> Any:
        rotations.append(1)
        return real(*given, **more)

    liger(monkeypatch, called, rotated)
    trained(tiny_model, tmp_path / "with", steps=3, precision="fp32", save_steps=100, keep="last")
    assert len(called) == 1 and len(rotations) >= 3 and modeling_llama.apply_rotary_pos_emb is real
    trained(tiny_model, tmp_path / "without", steps=3, precision="fp32", kernels="none", save_steps=100, keep="last")
    assert len(called) == 1 and same(tmp_path / "with", tmp_path / "without")


def test_how_it_computes_is_no_part_of_what_comes_out() -> None:
    for settings in ({"packing": "on"}, {"attention": "eager"}, {"kernels": "none"}):
        assert options(**settings).identity() == options().identity()
    assert PLAIN_HEAD <= set(kernels.KNOWN)


def test_the_estimate_counts_the_mask_of_packed_rows_unless_attention_needs_none(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, work = Weights(str(tiny_model)), dial.Work(4096, 8, 0.01)

    def activations(**settings: Any) -> float:
        return float(re.findall(r"activations ([\d.]+),", dial.fits(config.Train(precision="fp32", **settings), base, work)[1])[0])

    plain = activations()
    assert activations(packing="on", max_length=32_768) == pytest.approx(plain + 32_768**2 * 5 / 1e9, rel=0.02), "one row of all, of one layer"
    assert activations(packing="on", max_length=4096) == pytest.approx(plain + 8 * 4096**2 * 5 / 1e9, rel=0.02), "eight rows"
    assert activations(attention="eager") == pytest.approx(plain + 2 * 8 * 4096**2 * 16 / 1e9, rel=0.02), "the scores of both heads"
    monkeypatch.setattr(dial, "computing", lambda options, base: kernels.Computing("flash_attention_2", "none", True))
    assert activations(packing="on") == plain, "it is chosen here, and skips what a mask would hide"


def test_words_that_yaml_takes_for_truths_are_words(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for written, meant in (("on", "on"), ("off", "off"), ("auto", "auto"), ("true", "on")):
        (tmp_path / "groundling.yaml").write_text(f"documents: docs\ntrain: {{packing: {written}}}\n")
        assert config.load(tmp_path).config.train.packing == meant
        assert config.load(tmp_path, [f"train.packing={written}"]).config.train.packing == meant
    assert json.loads(config.Train(packing="on").model_dump_json())["packing"] == "on"
    with pytest.raises(Exception, match="'auto', 'on' or 'off'"):
        config.Train(packing="sometimes")
