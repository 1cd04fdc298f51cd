"""Every objective with every method: nano gets better at just what the objective is for on rows it never saw, and the result answers elsewhere.

What was saved is loaded and asked with stock transformers and PEFT alone, and every measure is computed here again, by hand. No model that gives all texts
the same answer can pass: the most that one could reach is the `blind` of each case.
"""

from __future__ import annotations

import asyncio
import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import pytest

from groundling import config, registry
from groundling.llm.base import Request
from groundling.llm.local import Local, need_torch
from groundling.llm.reward import Reward
from groundling.llm.weights import Weights, resolve
from groundling.train import saved, train
from groundling.workspace import Output

from . import stock
from .learning import weights
from .weather import FORMAT, HELD_OUT, LABELS, TRAINED, asked, example, pair, right, wrong

if TYPE_CHECKING:
    import torch

NANO = resolve("nano")
METHODS = [name for name in get_args(config.Train.model_fields["method"].annotation) if name != "api"]  # which a provider trains: test_provider.py


def of_sft(model: stock.Stock) -> float:
    """The mean loss of a token of the answers."""
    import torch

    return -torch.cat([model.log_probs(asked(n), right(n)) for n in HELD_OUT]).mean().item()


def sums(model: stock.Stock) -> torch.Tensor:
    """How likely the right and the wrong reply to each text are."""
    import torch

    return torch.stack([torch.stack([model.log_probs(asked(n), reply).sum() for reply in (right(n), wrong(n))]) for n in HELD_OUT])


def of_classify(model: stock.Stock) -> float:
    """The cross-entropy over the labels."""
    return -sums(model).log_softmax(1)[:, 0].mean().item()


@functools.cache
def reference() -> torch.Tensor:
    """The same, of nano before any training."""
    return sums(load("dpo", NANO))


def of_dpo(model: stock.Stock) -> float:
    """The loss of the gains over nano, with beta 1."""
    from torch.nn.functional import logsigmoid

    gains = sums(model) - reference()
    return -logsigmoid(gains[:, 0] - gains[:, 1]).mean().item()


def of_smpo(model: stock.Stock) -> float:
    """The loss at the full margin, nine tenths of what is imitated being the better reply."""
    import torch

    better, worse = ([model.log_probs(asked(n), reply(n)) for n in HELD_OUT] for reply in (right, wrong))
    means = [values.maximum(values.quantile(0.02).clamp(min=-2.3)).mean() for values in worse]
    missing = torch.stack([0.35 - (good.mean() - bad) for good, bad in zip(better, means, strict=True)]).relu()
    return ((1.2 * missing) ** 2).mean().item() - (0.9 * torch.cat(better).mean() + 0.1 * torch.cat(worse).mean()).item()


def scores(model: stock.Stock) -> list[tuple[float, float]]:
    return [(model.score(asked(n), right(n)), model.score(asked(n), wrong(n))) for n in HELD_OUT]


def of_reward(model: stock.Stock) -> float:
    """The Bradley-Terry loss, and what draws the two scores to a sum of zero."""
    each = [math.log(1 + math.exp(bad - good)) + 0.01 * (good + bad) ** 2 for good, bad in scores(model)]
    return sum(each) / len(each)


class Case(NamedTuple):
    """An objective: what it learns from, its measure, the lowest that a model reaches which does not look at the text, options, and settings."""

    make: Callable[[int], Any]
    measure: Callable[[stock.Stock], float]
    blind: float
    options: dict[str, float]
    settings: dict[str, Any]


EVEN = math.log(2)  # the loss of a choice between two that is left to chance
CASES = {
    "classify": Case(example, of_classify, EVEN, {}, {"steps": 10}),
    # Once the better reply is far ahead nothing more is learnt, and what it writes drifts: so the rate falls.
    "dpo": Case(pair, of_dpo, EVEN, {"beta": 1.0}, {"steps": 14, "scheduler": "cosine"}),
    "reward": Case(pair, of_reward, EVEN, {}, {"steps": 18}),
    "sft": Case(example, of_sft, EVEN / 3, {}, {"steps": 10}),  # one of an answer's three tokens tells the two apart
    "smpo": Case(pair, of_smpo, EVEN / 3 + (1.2 * 0.35) ** 2, {"ratio": 0.9}, {"steps": 18}),
}
SLOW = {("classify", "qlora"), ("dpo", "lora"), ("reward", "full"), ("smpo", "qlora")}  # of each objective two methods are enough for every day
RATES = {"lora": 1e-3, "qlora": 1e-3, "full": 1e-4}


def load(objective: str, folder: str | Path) -> stock.Stock:
    return stock.load(folder, NANO, "AutoModelForSequenceClassification", num_labels=1) if objective == "reward" else stock.load(folder, NANO)


@functools.cache
def start(objective: str) -> tuple[float, list[str]]:
    """The measure and the answers of nano before any training; with a head that nobody trained where scores are asked."""
    import torch

    torch.manual_seed(1)
    model = load(objective, NANO)
    return CASES[objective].measure(model), answers(model, objective)


def made(objective: str, folder: Path, **more: Any) -> tuple[config.Train, Output]:
    need_torch()
    case, out = CASES[objective], Output(folder)
    options = config.Train(
        **{"objective": objective, "format": FORMAT, "options": case.options, "batch": 4, "rank": 4, "warmup": 0.1, "scheduler": "constant", "precision": "fp32",
           "eval_steps": 100, "save_steps": 100} | case.settings | more
    )  # fmt: skip
    train([case.make(n) for n in (*TRAINED, *HELD_OUT)], options, Weights(NANO), 1, out)
    out.close()
    return options, out


def answers(model: stock.Stock, objective: str) -> list[str]:
    """What it answers to each held-out text: the reply with the higher score, one of the labels, or whatever it writes."""
    if objective == "reward":
        return [right(n) if good > bad else wrong(n) for n, (good, bad) in zip(HELD_OUT, scores(model), strict=True)]
    return model.written([asked(n) for n in HELD_OUT], LABELS if objective == "classify" else ())


def agrees(model: stock.Stock, ours: Weights, objective: str) -> None:
    """What groundling itself computes is what stock libraries compute, to a thousandth; and it writes the same."""
    some = HELD_OUT[:2]
    if objective == "reward":
        found = asyncio.run(Reward(*ours).scores([(asked(n), label) for n in some for label in LABELS]))
        assert found == pytest.approx([model.score(asked(n), label) for n in some for label in LABELS], abs=1e-3)
        return
    local = Local(*ours)
    for n in some:
        told = [model.log_probs(asked(n), label).sum().item() for label in LABELS]
        assert asyncio.run(local.scores(asked(n), LABELS)) == pytest.approx(told, abs=1e-3)
    replies = asyncio.run(local.replies([Request(messages=asked(n), max_tokens=6) for n in some]))
    assert [reply.text for reply in replies] == model.written([asked(n) for n in some])


def matrix() -> list[Any]:
    """All there are: an objective that is new is here too."""
    return [
        pytest.param(objective, method, marks=[pytest.mark.slow] if (objective, method) in SLOW else [])
        for objective in registry.names("objective")
        for method in METHODS
    ]


@pytest.mark.parametrize(("objective", "method"), matrix())
def test_it_learns_what_it_is_for_and_stock_libraries_load_and_ask_it(objective: str, method: str, tmp_path: Path) -> None:
    assert objective in CASES, "an objective without a case: write one, with its own measure"
    case, wanted = CASES[objective], [right(n) for n in HELD_OUT]
    options, out = made(objective, tmp_path, method=method, rate=RATES[method])
    there = {path.name for path in tmp_path.glob("*.safetensors")}
    assert there == {"model.safetensors" if method == "full" else "adapter_model.safetensors"}
    assert {str(tensor.dtype) for tensor in weights(tmp_path).values()} == {"torch.float32"}, "what is trained loses no digits"
    model = load(objective, tmp_path)
    before, after = start(objective)[0], case.measure(model)
    assert after < 0.75 * min(before, case.blind), (before, after)
    assert start(objective)[1] != wanted and answers(model, objective) == wanted
    agrees(model, saved(tmp_path, Weights(NANO), options), objective)
    if method != "qlora":  # whose training measures on the base in four bits
        assert out.notes["log"][-1]["held_out_loss"] == pytest.approx(after, rel=0.01)
    assert out.notes["rows"] == len(TRAINED) and out.notes["held_out_rows"] == len(HELD_OUT)
    told = json.loads((tmp_path / "groundling.json").read_text())
    assert told["objective"] == objective and told["method"] == method
