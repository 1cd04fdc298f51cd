"""What a step of each objective really takes, as torch's allocator tells it, beside what is estimated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from groundling import config
from groundling.llm.local import accepts_documents, load_tokenizer, need_torch
from groundling.llm.weights import Weights
from groundling.panel import unwatched
from groundling.registry import load
from groundling.train import largest, train
from groundling.train.dial import at_most, refuse_too_large
from groundling.train.objectives.classify import label_row
from groundling.train.objectives.dpo import start_of
from groundling.train.pairs import PairRow
from groundling.train.sizing import estimate, shape, shape_of
from groundling.train.tokens import Row
from groundling.train.trainer import WHOLE
from groundling.workspace import Output

from .preferring import labelled, pair, pair_rows
from .test_dial import LLAMA_8B


def peak(work: Callable[[], Any]) -> int:
    """Bytes that were allocated at most, beyond what there was."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    now = top = 0
    for event in sorted((e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"), key=lambda e: e.start_ns()):
        now += event.nbytes()
        top = max(top, now)
    return top


def rows_for(objective: str, base: Path) -> list[Any]:
    """Four examples of over a hundred tokens, so that activations count too."""
    if objective == "sft":
        return [Row(id=str(n), ids=list(range(20, 220 + n)), spans=[(120, 220 + n)]) for n in range(4)]
    tokenizer = load_tokenizer(base)
    if objective == "classify":
        return [label_row(labelled(n), tokenizer, accepts_documents(tokenizer)) for n in range(4)]
    return pair_rows(base, 4)


def step_of(objective: str, options: config.Train, base: Path, rows: list[Any], monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[[], None]:
    """One step, forwards and backwards, of the trainer that the objective itself sets up."""
    seen: list[Any] = []

    def caught(trainer: Any, *rest: Any) -> list[Any]:
        seen.append(trainer)
        trainer.state.log_history = []
        return []

    module = load("objective", objective)
    where = "groundling.train.scoring" if "optimise" in vars(module) else module.__name__
    monkeypatch.setattr(f"{where}.fit", caught)
    module.run(rows, Weights(str(base)), options, 1, folder, unwatched)
    [trainer] = seen
    batch = trainer.data_collator([trainer.train_dataset[n] for n in range(len(rows))])
    assert batch["input_ids"].shape[1] % WHOLE == 0, "as the estimate of a training fills its rows up"
    trainer.model.train()

    def step() -> None:
        trainer.compute_loss(trainer.model, batch).backward()

    step()  # the first one compiles; its gradients stay, so that the next adds to them
    return step


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("objective", ["sft", "reward", "dpo", "smpo", "classify"])
def test_a_step_of_each_objective_is_estimated_on_the_safe_side_and_not_far_off(
    objective: str, method: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_torch()
    options = config.Train(
        objective=objective, format="labels" if objective == "classify" else "raft", method=method, rank=4, precision="fp32", batch=4
    )
    rows = rows_for(objective, tiny_model)
    step = step_of(objective, options, tiny_model, rows, monkeypatch, tmp_path)
    measured = peak(step)
    work = largest(rows, options, Weights(str(tiny_model)))
    told = estimate(shape(Weights(str(tiny_model))), options, "cpu", work.rows * work.longest, work.share)
    kept = told.activations + told.logits + told.gradients
    assert 0.9 * measured <= kept <= 2.5 * measured, f"{measured / 1e6:.2f} MB measured, {kept / 1e6:.2f} estimated: {told}"


def test_dpo_holds_its_start_a_second_time_only_where_all_weights_are_trained(tiny_model: Path) -> None:
    need_torch()
    base, found = Weights(str(tiny_model)), shape(Weights(str(tiny_model)))
    whole, adapter = (config.Train(objective="dpo", method=method, precision="fp32") for method in ("full", "lora"))
    start_of(base, whole)  # what the first one compiles and imports is not counted
    assert 4 * found.parameters <= peak(lambda: start_of(base, whole)) <= 1.5 * 4 * found.parameters
    assert peak(lambda: start_of(base, adapter)) == 0

    def weights(options: config.Train, **more: Any) -> float:
        return estimate(found, options.model_copy(update=more), "cpu", 100).weights

    assert weights(whole) - weights(whole, objective="smpo") == 4 * found.parameters
    assert weights(adapter) == weights(adapter, objective="smpo")


def pairs(*lengths: tuple[int, int, int]) -> list[PairRow]:
    return [PairRow(id=str(n), prompt=[5] * p, chosen=[6] * c, rejected=[7] * r) for n, (p, c, r) in enumerate(lengths)]


def test_both_replies_of_a_pair_are_counted(tiny_model: Path, tmp_path: Path) -> None:
    rows, base = pairs((100, 20, 30), (60, 40, 5), (80, 10, 10)), Weights(str(tiny_model))
    options = {name: config.Train(objective=name, batch=2) for name in ("smpo", "dpo", "reward")}
    for name in ("smpo", "dpo"):
        assert largest(rows, options[name], base) == (150, 2, 51 / 150, 130), "one row of prompt and both replies"
    assert largest(rows, options["reward"], base) == (140, 4, 41 / 140, 130), "two rows, each with the prompt"
    (tmp_path / "config.json").write_text((tiny_model / "config.json").read_text().replace('"model_type": "llama"', '"model_type": "olmo2"'))
    assert largest(rows, options["smpo"], Weights(str(tmp_path))) == (140, 4, 41 / 140, 130), "a network that reads a row for each reply"
    assert largest([Row(id="a", ids=[1] * 50, spans=[(40, 50)])], config.Train(batch=2), base)[:3] == (50, 1, 0.2)


@pytest.mark.parametrize(("kind", "more", "together"), [
    ("llama", {}, True), ("mistral", {"sliding_window": 4096}, False), ("qwen2", {"sliding_window": 4096, "use_sliding_window": False}, True), ("gemma2", {}, False),
])  # fmt: skip
def test_whether_replies_are_one_row_is_told_by_the_configuration(kind: str, more: dict[str, Any], together: bool) -> None:
    assert shape_of(LLAMA_8B | {"model_type": kind} | more).together == together


def test_a_plan_counts_two_replies_of_a_pair_and_no_vocabulary_for_scores(tiny_model: Path) -> None:
    def told(objective: str) -> dict[str, float]:
        [line] = at_most(config.Train(objective=objective, max_length=512), Weights(str(tiny_model)))[1]
        names = ("weights", "gradients", "optimiser", "activations", "logits")
        return {name: float(line.split(f"{name} ")[1].split()[0].rstrip(",")) for name in names}

    assert told("smpo")["activations"] == pytest.approx(2 * told("sft")["activations"], rel=0.1)
    assert told("reward")["activations"] == told("smpo")["activations"] and told("reward")["logits"] == 0 < told("sft")["logits"]


def test_two_replies_side_by_side_may_be_longer_than_the_context_and_one_conversation_may_not(tiny_model: Path, tmp_path: Path) -> None:
    """The base reads 1,024 tokens: a row of 1,500 that is two conversations of 1,000 is fine."""
    base, options = Weights(str(tiny_model)), config.Train(objective="smpo", batch=1)
    side = largest(pairs((500, 500, 500)), options, base)
    assert side.longest == 1500 and side.conversation == 1000 and "GB" in refuse_too_large(options, base, side)


@pytest.mark.parametrize("objective", ["smpo", "dpo", "reward"])
def test_a_pair_longer_than_the_context_is_dropped_and_told_whatever_the_default_length(objective: str, tiny_model: Path, tmp_path: Path) -> None:
    """By default 2,048 tokens are allowed, and the base reads 1,024: it is not asked about places that it never learnt."""
    need_torch()
    long = msgspec.structs.replace(pair(0), id="long", question="How much leave is there in Oslo? " * 120)
    out = Output(tmp_path)
    made = config.Train(objective=objective, steps=1, batch=2, rank=2)
    train([long, pair(1), pair(2), msgspec.structs.replace(long, id="held", split="held_out"), pair(30)], made, Weights(str(tiny_model)), 1, out)
    out.close()
    assert out.dropped == {"longer than train.max_length": 1} and out.kept == 2 and out.notes["held_out_rows"] == 1
    assert out.notes["advice"] == ["nano reads 1024 tokens at most: longer examples are left out, though train.max_length is 2048"]
