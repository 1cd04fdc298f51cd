"""DPO: by hand, beside TRL's, and measured from the model that training starts from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from groundling import config
from groundling.llm.branches import batch_of, log_probs
from groundling.llm.local import load_tokenizer, need_torch
from groundling.llm.weights import Weights
from groundling.panel import unwatched
from groundling.train.objectives.dpo import Options, run, start_of, terms
from groundling.train.scoring import Step, collator, trainable

from .preferring import pair, pair_rows

# Gains over the reference: better 0.2 + 0.1 = 0.3, worse -0.4; better -0.1, worse 0.1 + 0.2 = 0.3.
VALUES, REFERENCE, OWNER = [-1.0, -0.5, -2.0, -1.1, -0.3, -0.2], [-1.2, -0.6, -1.6, -1.0, -0.4, -0.4], [0, 0, 1, 2, 3, 3]


def tensors():
    import torch

    return torch.tensor(VALUES, dtype=torch.float64), torch.tensor(REFERENCE, dtype=torch.float64), torch.tensor(OWNER)


def test_the_defaults_are_the_published_ones() -> None:
    assert Options().model_dump() == {"beta": 0.1, "loss": "sigmoid"}


def test_both_losses_by_hand() -> None:
    found = terms(*tensors(), Options(beta=0.5))
    assert found.chosen.tolist() == pytest.approx([0.3, -0.1]) and found.rejected.tolist() == pytest.approx([-0.4, 0.3])
    assert found.loss.item() == pytest.approx((math.log(1 + math.exp(-0.35)) + math.log(1 + math.exp(0.2))) / 2)
    ipo = terms(*tensors(), Options(beta=0.5, loss="ipo"))
    assert ipo.loss.item() == pytest.approx(((0.15 + 0.4 - 1) ** 2 + (-0.1 - 0.15 - 1) ** 2) / 2)


@pytest.mark.parametrize("kind", ["sigmoid", "ipo"])
def test_the_gradient_is_that_of_finite_differences(kind: str) -> None:
    import torch

    values, reference, owner = tensors()
    assert torch.autograd.gradcheck(lambda v: terms(v, reference, owner, Options(loss=kind)).loss, values.requires_grad_())


def test_batches_of_training_are_filled_up(tiny_model: Path) -> None:
    """A CPU would keep what it compiled for each new shape."""
    rows = pair_rows(tiny_model, 3)
    wide = [collator(0, share, lambda rows: {})([{"row": row} for row in rows])["input_ids"].shape[1] for share in (True, False)]
    assert all(width % 64 == 0 for width in wide) and any(len(row.prompt) % 64 for row in rows)


def shaken(tiny_model: Path, options: config.Train) -> Any:
    """A network whose adapter says something: as it begins it is silent."""
    import torch

    network = trainable(Weights(str(tiny_model)), options)
    torch.manual_seed(3)
    for name, weight in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return network


def step(network: Any, batch: dict[str, Any]) -> Step:
    return Step(log_probs(network, batch), batch, 0, 1, network, network)


def test_the_reference_is_the_start_whatever_the_adapter_says(tiny_model: Path) -> None:
    import torch

    need_torch()
    options, base = config.Train(rank=2), Weights(str(tiny_model))
    batch = batch_of([row.branches() for row in pair_rows(tiny_model, 3)], 0, share=True)
    plain = log_probs(trainable(base, config.Train(method="full")), batch).detach()
    now = step(shaken(tiny_model, options), batch)
    found = start_of(base, options)(now)
    assert torch.allclose(found, plain, atol=1e-5) and not found.requires_grad
    assert (now.values - found).abs().max() > 0.1, "and the adapter is on again beside it"
    whole = trainable(base, config.Train(method="full"))
    reference = start_of(base, config.Train(method="full"))
    with torch.no_grad():
        whole.model.layers[0].mlp.down_proj.weight += 0.3
    now = step(whole, batch)
    assert torch.allclose(reference(now), plain, atol=1e-5) and (now.values - plain).abs().max() > 0.1


@pytest.mark.parametrize("kind", ["sigmoid", "ipo"])
def test_the_loss_of_a_batch_is_that_of_trl(tiny_model: Path, tmp_path: Path, kind: str) -> None:
    """TRL tokenises by itself, from messages; the adapters are the same."""
    need_torch()
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    from groundling.grounding import FORMATS, conversation
    from groundling.train.model import load

    options, base = config.Train(rank=2), Weights(str(tiny_model))
    ours = shaken(tiny_model, options)
    rows = pair_rows(tiny_model, 3)
    batch = batch_of([row.branches() for row in rows], 0, share=True)
    found = terms(log_probs(ours, batch), start_of(base, options)(step(ours, batch)), batch["owner"], Options(beta=0.3, loss=kind))
    said = [pair(n) for n in range(3)]
    data = [
        {"prompt": conversation(FORMATS["raft"], p, True), "chosen": [{"role": "assistant", "content": p.chosen}],
         "rejected": [{"role": "assistant", "content": p.rejected}]} for p in said
    ]  # fmt: skip
    arguments = DPOConfig(
        output_dir=str(tmp_path), beta=0.3, loss_type=kind, max_length=None, report_to="none", use_cpu=True, bf16=False, disable_tqdm=True,
        per_device_train_batch_size=3, activation_checkpointing=False,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=load(base, options), args=arguments, train_dataset=Dataset.from_list(data), processing_class=load_tokenizer(tiny_model),
        peft_config=LoraConfig(r=2, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
    )  # fmt: skip
    told = trainer.model.load_state_dict(ours.state_dict(), strict=False)
    assert not told.unexpected_keys
    theirs = trainer.compute_loss(trainer.model, trainer.data_collator([trainer.train_dataset[n] for n in range(3)]))
    assert theirs.item() == pytest.approx(found.loss.item(), rel=1e-4)
    assert abs(found.loss.item() - (math.log(2) if kind == "sigmoid" else (1 / 0.6) ** 2)) > 0.01, "the adapters do something"


@pytest.mark.parametrize("method", ["lora", "full"])
def test_it_begins_at_the_loss_of_no_difference(tiny_model: Path, tmp_path: Path, method: str) -> None:
    need_torch()
    options = config.Train(objective="dpo", method=method, steps=2, batch=2, rank=2, rate=1e-3)
    log = run(pair_rows(tiny_model, 4), Weights(str(tiny_model)), options, 1, tmp_path, unwatched)
    assert log[0]["loss"] == pytest.approx(math.log(2), abs=1e-4) and log[0]["chosen"] == log[0]["rejected"] == 0
