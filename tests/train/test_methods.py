"""LoRA, QLoRA and full training: what each starts from, what it refuses, and how it is set. That each learns is in test_matrix.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundling import config
from groundling.errors import InputError, MachineError, ModelError
from groundling.llm.local import Local, bf16_is_fast, need_torch
from groundling.llm.weights import Weights
from groundling.llm.weights import trained as trained_run
from groundling.train import describe, saved, train
from groundling.train.checks import base_of, check
from groundling.train.model import load, precision
from groundling.train.objectives import sft
from groundling.train.trainer import arguments
from groundling.workspace import Output

from .learning import options, rows, same, trained, weights
from .test_tokens import example


def test_qlora_trains_on_a_base_in_doubly_quantised_nf4(tiny_model: Path) -> None:
    from bitsandbytes.nn import Linear4bit

    need_torch()
    network = load(Weights(str(tiny_model)), options(method="qlora"))
    layers = [m for m in network.modules() if isinstance(m, Linear4bit)]
    assert len(layers) == 7
    for layer in layers:
        assert layer.weight.quant_state.quant_type == "nf4" and layer.weight.quant_state.nested
    assert not any(isinstance(m, Linear4bit) for m in load(Weights(str(tiny_model)), options()).modules())


def test_qlora_asks_for_what_is_missing_and_for_a_whole_base(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    with pytest.raises(ModelError, match="starts from a whole model"):
        check(options(method="qlora"), base_of(Weights(str(tiny_model), (tmp_path,))))
    monkeypatch.setattr("groundling.train.checks.find_spec", lambda name: None)
    with pytest.raises(MachineError, match=r"method = qlora needs bitsandbytes: pip install .* Or use train.method=lora"):
        check(options(method="qlora"), base_of(Weights(str(tiny_model))))
    with pytest.raises(MachineError, match=r"optimizer = adamw_8bit needs bitsandbytes: pip install .* Or use train.optimizer=adamw\."):
        check(options(optimizer="adamw_8bit"), base_of(Weights(str(tiny_model))))
    check(options(), base_of(Weights(str(tiny_model))))


def test_a_run_trained_in_full_is_its_own_base(tiny_model: Path, tmp_path: Path) -> None:
    """Its folder loads without the base's weights; an adapter is merged into its base."""
    folder = tmp_path / "run" / "6-model"
    for method, expected in (("full", Weights(str(folder))), ("lora", Weights(str(tiny_model.resolve()), (folder,)))):
        folder.mkdir(parents=True, exist_ok=True)
        chosen = options(method=method, base=str(tiny_model))
        describe(folder, chosen, Weights(str(tiny_model)))
        assert trained_run(tmp_path / "run").weights == expected == saved(folder, Weights(str(tiny_model.resolve())), chosen)


def test_the_stage_trains_in_full_and_the_result_answers(tiny_model: Path, tmp_path: Path) -> None:
    out = Output(tmp_path / "6-model")
    chosen = options(method="full", steps=1, base=str(tiny_model), rate=1e-4)
    train([example(), example(id="h")], chosen, Weights(str(tiny_model)), 1, out)
    out.close()
    assert json.loads((tmp_path / "6-model" / "groundling.json").read_bytes())["method"] == "full"
    assert Local(tmp_path / "6-model").network.config.num_hidden_layers == 1
    assert out.notes["memory_estimate"].startswith("about ")


def test_named_layers_alone_get_an_adapter(tiny_model: Path, tmp_path: Path) -> None:
    trained(tiny_model, tmp_path / "m", targets=["q_proj", "v_proj"], steps=1)
    assert {name.split(".")[-3] for name in weights(tmp_path / "m")} == {"q_proj", "v_proj"}
    trained(tiny_model, tmp_path / "all", steps=1)
    assert {name.split(".")[-3] for name in weights(tmp_path / "all")} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip


def test_layers_that_the_base_does_not_have_are_named(tiny_model: Path) -> None:
    need_torch()
    with pytest.raises(ModelError, match='has no layer "q_prj" for an adapter. Did you mean "q_proj"'):
        check(options(targets=["v_proj", "q_prj"]), base_of(Weights(str(tiny_model))))
    with pytest.raises(ModelError, match="names lm_head"):
        check(options(targets=["lm_head"]), base_of(Weights(str(tiny_model))))
    with pytest.raises(ModelError, match='no layer "input_layernorm" for an adapter'):
        check(options(targets=["input_layernorm"]), base_of(Weights(str(tiny_model))))
    check(options(targets=["q_proj", "embed_tokens"]), base_of(Weights(str(tiny_model))))
    check(options(targets=["lm_head"], method="full"), base_of(Weights(str(tiny_model))))


def test_an_unknown_architecture_and_a_base_that_is_missing_are_sentences(tiny_model: Path, tmp_path: Path) -> None:
    need_torch()
    (tmp_path / "config.json").write_text('{"model_type": "nonesuch", "architectures": ["Nonesuch"]}')
    with pytest.raises(ModelError, match="of an architecture that the installed transformers does not know"):
        load(Weights(str(tmp_path)), options())
    with pytest.raises(ModelError, match="could not be loaded"):
        load(Weights(str(tmp_path / "nothing")), options())


def test_precision_is_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    need_torch()
    assert precision(options()) == ("bf16" if bf16_is_fast() else "fp32"), "this is a CPU"
    with pytest.raises(MachineError, match="fp16 needs a GPU"):
        precision(options(precision="fp16"))
    monkeypatch.setattr("groundling.train.model.device", lambda: "cuda")
    for has, expected in ((True, "bf16"), (False, "fp16")):
        monkeypatch.setattr("groundling.train.model.bf16_is_fast", lambda has=has: has)
        assert precision(options()) == expected
    with pytest.raises(MachineError, match="no bf16"):
        precision(options(precision="bf16"))


def test_one_process_takes_one_gpu_of_several(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    need_torch()
    import torch
    from transformers import TrainingArguments

    monkeypatch.setattr("groundling.train.trainer.device", lambda: "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert TrainingArguments(output_dir=str(tmp_path), per_device_train_batch_size=8).train_batch_size == 32, "as transformers has it"
    found = arguments(TrainingArguments, options(batch=8, precision="fp32"), 1, tmp_path)
    assert found.train_batch_size == found.eval_batch_size == 8 and found.n_gpu == 1
    monkeypatch.setattr("groundling.train.trainer.device", lambda: "cpu")
    assert arguments(TrainingArguments, options(batch=8, precision="fp32"), 1, tmp_path).n_gpu == 0, "where there is none there is none"


def rates(chosen: config.Train, steps: int, folder: Path) -> list[float]:
    """The rate of each step, as the trainer's own scheduler gives it."""
    import torch
    from transformers.optimization import get_scheduler
    from trl import SFTConfig

    found = arguments(SFTConfig, chosen, 1, folder, max_length=None)
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=found.learning_rate)
    scheduler = get_scheduler(
        found.lr_scheduler_type, optimiser, found.get_warmup_steps(steps), steps, scheduler_specific_kwargs=found.lr_scheduler_kwargs
    )
    made = []
    for _ in range(steps):
        made.append(scheduler.get_last_lr()[0])
        optimiser.step()
        scheduler.step()
    return [*made, scheduler.get_last_lr()[0]]


def test_the_rate_warms_up_and_falls_as_it_is_told_to(tmp_path: Path) -> None:
    need_torch()
    linear = rates(options(scheduler="linear", rate=1e-5, floor=0.9), 100, tmp_path)
    assert linear[0] == pytest.approx(1e-5) and linear[50] == pytest.approx(0.95e-5) and linear[100] == pytest.approx(0.9e-5)
    constant = rates(options(scheduler="constant", rate=0.5, warmup=5), 20, tmp_path)
    assert constant[:6] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]) and constant[20] == 0.5
    cosine = rates(options(scheduler="cosine", rate=1.0, warmup=0.1), 100, tmp_path)
    assert cosine[10] == 1.0 and cosine[55] == pytest.approx(0.5) and cosine[100] == pytest.approx(0.0, abs=1e-9)
    assert rates(options(scheduler="cosine", rate=1.0, floor=0.25), 40, tmp_path)[40] == pytest.approx(0.25)


def test_batches_that_are_accumulated_are_one_step(tiny_model: Path, tmp_path: Path) -> None:
    """The same examples, all in each step: the loss counts tokens, however they are split."""
    whole = trained(tiny_model, tmp_path / "whole", batch=8, accumulate=1, steps=2, precision="fp32", method="full", rate=0.001)
    parts = trained(tiny_model, tmp_path / "parts", batch=2, accumulate=4, steps=2, precision="fp32", method="full", rate=0.001)
    assert [e["loss"] for e in parts] == pytest.approx([e["loss"] for e in whole], rel=1e-3)
    assert not same(tmp_path / "whole", tiny_model)


def test_checkpointed_activations_change_no_weight(tiny_model: Path, tmp_path: Path) -> None:
    for name, checkpointing in (("kept", False), ("anew", True)):
        trained(tiny_model, tmp_path / name, checkpointing=checkpointing, steps=2, precision="fp32")
    assert same(tmp_path / "kept", tmp_path / "anew")


def test_one_row_is_enough_and_too_long_ones_are_told(tiny_model: Path, tmp_path: Path) -> None:
    trained(tiny_model, tmp_path / "one", rows(1), steps=2)
    assert weights(tmp_path / "one")
    out = Output(tmp_path / "long")
    long = example(answer="word " * 80)
    with pytest.raises(InputError, match=r"All 2 examples are longer than train.max_length = 64 tokens"):
        train([long, example(answer="word " * 80, id="b")], config.Train(max_length=64), Weights(str(tiny_model)), 1, out)
    out.abandon()
    out = Output(tmp_path / "longer")
    with pytest.raises(InputError, match="All 1 examples are longer than the 1024 tokens that nano reads. Make shorter"):
        train([example(answer="word " * 1100)], config.Train(), Weights(str(tiny_model)), 1, out)
    out.abandon()


def test_the_loss_is_that_of_the_whole_vocabulary_at_the_trained_tokens_and_shapes_are_few(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CPU keeps what it compiled for each shape: batches and projections come in whole pieces, which change no loss."""
    import torch
    from transformers import LlamaForCausalLM

    need_torch()
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    projected: list[int] = []
    real = sft.trainer_class

    def spying() -> type:
        class Spy(real()):  # type: ignore[misc]
            def compute_loss(self, model, inputs, *rest, **more):
                network = self.accelerator.unwrap_model(model).get_base_model()
                seen.append((inputs["input_ids"].clone(), inputs["labels"].clone()))
                network.lm_head.register_forward_hook(lambda layer, given, out: projected.append(len(given[0])))
                loss = super().compute_loss(model, inputs, *rest, **more)
                logits = LlamaForCausalLM.forward(network, input_ids=inputs["input_ids"]).logits[:, :-1].float()
                asked = torch.nn.functional.cross_entropy(logits.flatten(0, 1), inputs["labels"][:, 1:].flatten())
                assert loss.item() == pytest.approx(asked.item(), rel=1e-5)
                return loss

        return Spy

    monkeypatch.setattr(sft, "trainer_class", spying)
    trained(tiny_model, tmp_path / "m", steps=2, precision="fp32")
    assert len(seen) == 2
    assert all(ids.shape[1] == 64 and (labels != -100).sum() == 2 for ids, labels in seen), "two rows of seven to fourteen tokens"
    assert projected[0] == 64 and len(projected) >= 2
