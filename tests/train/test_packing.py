"""Several examples in one row: none sees another, the step is the same, and where a network would not keep them apart it is seen before the first step."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling import config
from groundling.errors import ModelError
from groundling.llm.local import need_torch
from groundling.llm.weights import Weights, resolve
from groundling.panel import unwatched
from groundling.train import kernels, largest, packing, train
from groundling.train.objectives import sft
from groundling.train.sizing import estimate, shape
from groundling.train.tokens import Row
from groundling.workspace import Output

from .learning import options, trained, weights
from .shared import uneven
from .test_sizing import peak
from .test_tokens import example

NANO = resolve("nano")


def made(base: str, folder: Path, monkeypatch: pytest.MonkeyPatch, rows: list[Row], **more: Any) -> Any:
    """The trainer as the objective sets it up, before it trains."""
    need_torch()
    seen: list[Any] = []
    with monkeypatch.context() as patched:
        patched.setattr(sft, "fit", lambda trainer, *rest: seen.append(trainer) or [])
        sft.run(rows, Weights(base), options(**({"precision": "fp32"} | more)), 1, folder, unwatched)
    return seen[0]


def gradients(trainer: Any, batch: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """The loss of a batch as the trainer computes it, and what each parameter gets of it."""
    trainer.model.train()
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, dict(batch))
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in trainer.model.named_parameters() if p.grad is not None}


LENGTHS = st.lists(st.integers(1, 400), min_size=1, max_size=12)


@given(LENGTHS, st.sampled_from([0, 64, 256, 500, 2048]))
def test_each_example_is_whole_in_one_row_and_there_is_never_more_to_compute(lengths: list[int], limit: int) -> None:
    def positions(rows: list[list[int]]) -> int:
        return len(rows) * (-(-max(sum(lengths[n] for n in row) for row in rows) // 64) * 64)

    rows = packing.rows_of(lengths, limit)
    assert sorted(n for row in rows for n in row) == list(range(len(lengths))) and all(rows)
    assert positions(rows) <= positions([[n] for n in range(len(lengths))])
    if limit:
        assert all(sum(lengths[n] for n in row) <= max(limit, max(lengths)) for row in rows)
    else:
        assert len(rows) == 1


@given(st.lists(st.integers(1, 400), min_size=1, max_size=64), st.sampled_from([64, 256, 500, 2048]))
def test_of_a_batch_of_up_to_64_every_number_of_rows_is_tried(lengths: list[int], limit: int) -> None:
    order, best = sorted(range(len(lengths)), key=lambda n: -lengths[n]), (10**9, [[0]])
    for count in range(1, len(lengths) + 1):
        rows: list[list[int]] = [[] for _ in range(count)]
        fills = [0] * count
        for n in order:
            least = fills.index(min(fills))
            rows[least].append(n)
            fills[least] += lengths[n]
        positions = count * -(-max(fills) // 64) * 64
        if (max(fills) <= limit or count == len(lengths)) and positions <= best[0]:
            best = positions, rows
    assert packing.rows_of(lengths, limit) == best[1]


def test_of_a_huge_batch_only_so_many_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []
    monkeypatch.setattr(packing, "_filled", lambda length: tried.append(length) or length + -length % 64)
    draw = random.Random(2)
    lengths = [draw.randrange(40, 1000) for _ in range(1500)]
    rows = packing.rows_of(lengths, 2048)
    assert sorted(n for row in rows for n in row) == list(range(1500))
    assert 1 < len(tried) <= packing.COUNTS + 1
    longest = max(sum(lengths[n] for n in row) for row in rows)
    assert longest <= 2048 and len(rows) * (longest + -longest % 64) < 1.02 * sum(lengths)
    assert len(packing.rows_of([64] * 100, 2048)) == 100, "a row for each is always one of the ways"


def test_where_padding_is_saved_rows_are_shared_and_where_not_they_are_not() -> None:
    assert sorted(map(sorted, packing.rows_of([250, 90, 90, 70], 2048))) == [[0], [1, 2, 3]], (
        "512 positions instead of 1,024; as one row too, but wider"
    )
    assert len(packing.rows_of([64, 64, 64], 2048)) == 3, "nothing to save"
    assert len(packing.rows_of([10, 10, 10, 10], 2048)) == 1 and len(packing.rows_of([10, 10, 10, 10], 20)) == 2


def test_a_pack_holds_every_example_unchanged_and_positions_begin_anew() -> None:
    draw = random.Random(3)
    features = [{"input_ids": (ids := draw.choices(range(20, 900), k=n)), "labels": ids} for n in (30, 7, 12, 90)]
    pack = packing.Packing(dict, 0, 2048)
    batch = pack(features)
    ids, labels, places = (batch[name].tolist() for name in ("input_ids", "labels", "position_ids"))
    assert batch.keys() == {"input_ids", "labels", "position_ids"}, "with a mask transformers would not look at positions"
    assert len(ids) < 4 and len(ids[0]) % 64 == 0
    found = []
    for row in range(len(ids)):
        starts = [n for n, place in enumerate(places[row]) if place == 0] + [len(ids[row])]
        for start, end in zip(starts, starts[1:]):
            assert places[row][start:end] == list(range(end - start))
            assert labels[row][start] == -100, "no token foretells an example's first: the one before is another's"
            if labels[row][start + 1 : end] != [-100] * (end - start - 1):
                assert labels[row][start + 1 : end] == ids[row][start + 1 : end]
                found.append(ids[row][start:end])
            else:
                assert set(ids[row][start:end]) == {0}, "what fills up is an example of its own"
    assert sorted(found) == sorted(feature["input_ids"] for feature in features)
    pack.on, pack.plain = False, lambda features: {"plain": len(features)}
    assert pack(features) == {"plain": 4}


def shaken(network: Any) -> None:
    """An adapter at its start does nothing, and gives its other half no gradient."""
    import torch

    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)


@pytest.mark.parametrize(("attention", "head", "method"), [("sdpa", "ours", "full"), ("eager", "ours", "lora"), ("sdpa", "trl", "lora")])
def test_loss_and_every_gradient_are_those_of_rows_apart(
    attention: str, head: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if head == "trl":  # as of networks whose head is more than a projection
        monkeypatch.setattr(sft, "PLAIN_HEAD", set())
    trainer = made(NANO, tmp_path, monkeypatch, uneven(8), packing="on", attention=attention, method=method, batch=8)
    assert trainer.model.config._attn_implementation == attention
    assert isinstance(trainer.data_collator, packing.Packing)
    shaken(trainer.model)
    features = [trainer.train_dataset[n] for n in range(8)]
    packed, plain = trainer.data_collator(features), trainer.data_collator.plain(features)
    assert packed["input_ids"].numel() < plain["input_ids"].numel() and len(packed["input_ids"]) < 8
    (loss, found), (asked, wanted) = gradients(trainer, packed), gradients(trainer, plain)
    assert loss == pytest.approx(asked, rel=1e-5)
    assert found.keys() == wanted.keys() and len(found) >= 10
    for name in found:
        assert wanted[name].norm() > 0
        assert (found[name] - wanted[name]).norm() <= 1e-4 * wanted[name].norm(), name


def dropped(network: Any) -> Callable[[], None]:
    """Make a network pass over positions, and with them over where examples begin."""
    handle = network.get_base_model().model.register_forward_pre_hook(
        lambda module, given, more: (given, more | {"position_ids": None}), with_kwargs=True
    )
    return handle.remove


def test_what_changes_in_one_example_changes_nothing_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    trainer = made(NANO, tmp_path, monkeypatch, uneven(4), packing="on")
    first, second = ({"input_ids": list(range(start, start + 20)), "labels": [-100] * 20} for start in (20, 300))
    other = first | {"input_ids": [*range(20, 39), 777]}  # its last token, which the second's first would see

    def read(*features: dict[str, Any]) -> torch.Tensor:
        batch = trainer.data_collator(features)
        assert batch["input_ids"].shape == (1, 64) and batch["position_ids"][0, 20] == 0
        with torch.no_grad():
            return trainer.model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0]

    before, after = read(first, second), read(other, second)
    assert torch.equal(before[20:40], after[20:40]) and not torch.equal(before[:20], after[:20])
    dropped(trainer.model)
    before, after = read(first, second), read(other, second)
    assert (before[20:40] - after[20:40]).abs().max() > 0.1, "this test would see it"


def test_the_proof_sees_a_network_that_does_not_keep_examples_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    trainer = made(NANO, tmp_path, monkeypatch, uneven(4), packing="on", dropout=0.3)
    shaken(trainer.model)
    state, pack = torch.get_rng_state(), trainer.data_collator
    trainer.model.eval()
    assert packing.leaks(trainer, pack) == ""
    assert torch.equal(torch.get_rng_state(), state) and not trainer.model.training, "it leaves no trace"
    mend = dropped(trainer.model)
    assert "see each other" in packing.leaks(trainer, pack)
    mend()
    nan = float("nan")
    for packed, alone, says in ((2, 1, "read otherwise than alone"), (nan, nan, "see each other"), (1, nan, "read otherwise than alone")):
        hook = trainer.model.get_base_model().register_forward_hook(
            lambda module, given, more, out, packed=packed, alone=alone: setattr(
                out, "logits", out.logits * (alone if more.get("position_ids") is None else packed)
            ),
            with_kwargs=True,
        )
        assert says in packing.leaks(trainer, pack), "what is no number proves nothing"
        hook.remove()
    assert packing.leaks(trainer, pack) == ""


@pytest.fixture
def carrying(tiny_model: Path, tmp_path: Path) -> str:
    """A network without attention, which carries a state from token to token and looks at no position."""
    from transformers import MambaConfig, MambaForCausalLM

    folder = tmp_path / "mamba"
    shutil.copytree(tiny_model, folder)
    MambaForCausalLM(MambaConfig(vocab_size=16_384, hidden_size=16, num_hidden_layers=1, initializer_range=0.5)).save_pretrained(folder)
    return str(folder)


def test_packing_that_was_asked_for_is_refused_where_it_cannot_be_and_else_given_up(
    carrying: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, found = Weights(carrying), {}
    examples = [example(answer="word " * n, id=str(n)) for n in range(1, 5)]
    chosen: dict[str, Any] = {"precision": "fp32", "steps": 1, "batch": 4, "targets": ["in_proj"], "base": "mamba"}
    asked = Output(tmp_path / "on")
    with pytest.raises(
        ModelError, match="train.packing = on: in this network, with this attention, examples in one row see each other. Set train.pack"
    ):
        train(examples, options(packing="on", **chosen), base, 1, asked)
    asked.abandon()
    assert not list((tmp_path / "on").rglob("*.safetensors")), "before its first step"
    for name, would in (("given up", True), ("apart", False)):
        monkeypatch.setattr(kernels, "packs", lambda options, attention, would=would: would)  # as on a GPU
        monkeypatch.setattr(packing, "packs", kernels.packs)
        out = found[name] = Output(tmp_path / name)
        train(examples, options(**chosen), base, 1, out)
        out.close()
        assert out.notes["computing"] == {"attention": "", "kernels": "none", "packing": False}
        assert not list((tmp_path / name).rglob(packing.REFUSED)), "it would be in the fingerprint of the weights"
    assert found["given up"].notes["advice"] == [
        "examples do not share rows: in this network, with this attention, examples in one row see each other."
    ]
    assert "advice" not in found["apart"].notes and found["apart"].notes["log"] == found["given up"].notes["log"]


def test_a_training_with_packed_rows_is_the_one_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step for step: the same examples, losses, gradients and held-out losses, and it goes on from a checkpoint of the other."""
    seen: dict[str, list[int]] = {}
    real = packing.Packing.__call__

    def counted(self: Any, features: Any) -> Any:
        batch = real(self, features)
        seen.setdefault("rows", []).append(len(batch["input_ids"]))
        seen.setdefault("examples", []).append(len(features))
        return batch

    monkeypatch.setattr(packing.Packing, "__call__", counted)
    more: dict[str, Any] = {"precision": "fp32", "batch": 2, "accumulate": 4, "steps": 4, "epochs": 9, "rate": 0.002, "save_steps": 2, "keep": "last"}
    made = uneven()
    short = [Row(id=f"s{n}", ids=[30 + n, 40, 50], spans=[(2, 3)]) for n in range(2)]
    made.held_out = [*short, *made.held_out]  # two that share a row, and must not weigh as one
    logs = {packed: trained(Path(NANO), tmp_path / packed, made, packing=packed, **more) for packed in ("off", "on")}
    assert sum(seen["rows"]) < sum(seen["examples"]) and max(seen["examples"]) == 2, "not all as they were, or nothing was shown"
    assert [entry["step"] for entry in logs["on"]] == [entry["step"] for entry in logs["off"]] == [1, 2, 4]
    for key in ("loss", "gradient", "held_out_loss"):
        assert [e[key] for e in logs["on"] if key in e] == pytest.approx([e[key] for e in logs["off"] if key in e], rel=1e-3), key
    shutil.copytree(tmp_path / "off/checkpoints/checkpoint-2", tmp_path / "mixed/checkpoints/checkpoint-2")
    whole = sum(seen["examples"])
    seen.clear()
    logs["mixed"] = trained(Path(NANO), tmp_path / "mixed", made, packing="on", **more)
    assert sum(seen["rows"]) < sum(seen["examples"]) and logs["mixed"][-1]["loss"] == pytest.approx(logs["off"][-1]["loss"], rel=1e-3)
    assert whole - sum(seen["examples"]) >= 2 * 8, "two steps of eight examples were not trained again"
    other = weights(tmp_path / "off")
    start = {name: tensor for name, tensor in other.items() if "lora_B" in name}
    for packed in ("on", "mixed"):
        one = weights(tmp_path / packed)
        assert start and all((one[name] - other[name]).norm() <= 0.02 * other[name].norm() for name in start), packed


@pytest.fixture(scope="module")
def narrow(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network of few numbers a token and four layers, two heads sharing their keys: what is kept for pairs of tokens outweighs the rest."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("narrow") / "model"
    shutil.copytree(tiny_model, folder)
    chosen = LlamaConfig.from_pretrained(folder, hidden_size=32, num_hidden_layers=4, num_key_value_heads=1, intermediate_size=32, vocab_size=1024)
    LlamaForCausalLM(chosen).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("sizes", "more"),
    [
        ((200,) * 5, {"packing": "on"}),
        ((500, 250, 240), {"packing": "on", "attention": "eager", "max_length": 512}),
        ((700, 690), {"attention": "eager"}),
    ],
)
def test_tables_of_all_pairs_of_tokens_are_in_the_estimate(
    sizes: tuple[int, ...], more: dict[str, Any], narrow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row(id=str(n), ids=list(range(20, 20 + size)), spans=[(size - 20, size)]) for n, size in enumerate(sizes)]
    more |= {"batch": len(sizes), "precision": "fp32"}
    trainer = made(narrow, tmp_path, monkeypatch, rows, **more)
    batch = trainer.data_collator([trainer.train_dataset[n] for n in range(len(sizes))])
    gradients(trainer, batch)  # the first one compiles
    measured = peak(lambda: gradients(trainer, batch))
    found, chosen = shape(Weights(narrow)), options(**more)
    work = largest(rows, chosen, Weights(narrow))

    def kept(chosen: config.Train) -> float:
        told = estimate(found, chosen, "cpu", work.rows * work.longest, work.share, work.longest)
        return told.activations + told.logits + told.gradients

    assert 0.9 * measured <= kept(chosen) <= 2.5 * measured, f"{measured / 1e6:.2f} MB measured, {kept(chosen) / 1e6:.2f} estimated"


@pytest.mark.slow  # flex attention is compiled first
def test_flex_attention_keeps_examples_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forwards only: it has no way back on a CPU."""
    trainer = made(NANO, tmp_path, monkeypatch, uneven(4), packing="on", attention="flex_attention")
    assert trainer.model.config._attn_implementation == "flex_attention"
    assert packing.leaks(trainer, trainer.data_collator) == ""
    dropped(trainer.model)
    assert "see each other" in packing.leaks(trainer, trainer.data_collator)
