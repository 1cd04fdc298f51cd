"""Each objective trains nano itself in seconds, gets better at what it is for on rows it never saw, and what it saves answers through stock libraries.

What is measured is computed here again, from weights that stock transformers and PEFT loaded.
"""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from groundling import config, registry
from groundling.llm.branches import batch_of, log_probs, totals
from groundling.llm.local import load_tokenizer, need_torch
from groundling.llm.weights import Weights, resolve
from groundling.train import train
from groundling.train.objectives import classify, smpo
from groundling.train.pairs import pair_row
from groundling.workspace import Output

from .preferring import labelled, pair

NANO = resolve("nano")
MADE = {"classify": labelled, "dpo": pair, "reward": pair, "smpo": pair}
SETTINGS = {
    "classify": {"rate": 3e-3, "format": "labels", "steps": 24, "eval_steps": 12},
    "dpo": {"rate": 1e-3},
    "reward": {"rate": 3e-3},
    "smpo": {"rate": 2e-3},
}


def settings(objective: str, **more: Any) -> config.Train:
    return config.Train(objective=objective, **{"steps": 8, "batch": 8, "rank": 4, "save_steps": 100, "eval_steps": 4} | SETTINGS[objective] | more)


def stock(kind: str, folder: Path | None) -> Any:
    """nano as anybody would load it, with the adapter where one is given."""
    import transformers
    from peft import PeftModel

    more = {"num_labels": 1} if kind == "AutoModelForSequenceClassification" else {}
    network = getattr(transformers, kind).from_pretrained(NANO, **more)
    return (PeftModel.from_pretrained(network, str(folder)) if folder else network).eval()


def scored(folder: Path | None, rows: list[Any]) -> tuple[Any, Any]:
    """Log-probabilities and owners of the rows' tokens."""
    import torch

    network = stock("AutoModelForCausalLM", folder)
    with torch.no_grad():
        batch = batch_of([row.branches() for row in rows], network.config.pad_token_id, share=False)
        return log_probs(network, batch), batch["owner"]


def pairs() -> list[Any]:
    tokenizer = load_tokenizer(NANO)
    return [pair_row(pair(n), "raft", tokenizer, True) for n in range(24, 32)]


def of_smpo(folder: Path | None) -> float:
    return smpo.terms(*scored(folder, pairs()), 0.35, smpo.Options()).loss.item()


def of_dpo(folder: Path | None) -> float:
    """With the start as its own reference: 0.69, which chance is."""
    from torch.nn.functional import logsigmoid

    values, owner = scored(folder, pairs())
    gains = totals(values - scored(None, pairs())[0], owner, 16)
    return -logsigmoid(0.1 * (gains[0::2] - gains[1::2])).mean().item()


def of_classify(folder: Path | None) -> float:
    tokenizer = load_tokenizer(NANO)
    rows = [classify.label_row(labelled(n), tokenizer, True) for n in range(24, 36)]
    values, owner = scored(folder, rows)
    told = classify.answers(rows)
    return classify.cross_entropies(totals(values, owner, 36), told["labels_of"], told["answer"])[0].mean().item()


def of_reward(folder: Path | None) -> float:
    """The Bradley-Terry loss; 0.69 where all scores are alike, as those of a head that nobody trained may well not be."""
    import torch

    if folder is None:
        return math.log(2)
    network = stock("AutoModelForSequenceClassification", folder)
    with torch.no_grad():
        each = [[network(torch.tensor([row.prompt + reply])).logits.item() for reply in (row.chosen, row.rejected)] for row in pairs()]
    return sum(math.log(1 + math.exp(worse - better)) for better, worse in each) / len(each)


# Each with what is asked of it: at most this share of what it was before, and at most this much; chance is 1.10 of three labels, 0.69 of two replies.
MEASURES: dict[str, tuple[Callable[[Path | None], float], float, float]] = {
    "classify": (of_classify, 0.5, 0.95),
    "dpo": (of_dpo, 0.5, 0.35),
    "reward": (of_reward, 0.5, 0.35),
    "smpo": (of_smpo, 0.75, math.inf),
}


def made(objective: str, base: str, folder: Path, **more: Any) -> Output:
    need_torch()
    out = Output(folder)
    train([MADE[objective](n) for n in range(32)], settings(objective, **more), Weights(base), 1, out)
    out.close()
    return out


@pytest.mark.parametrize("objective", MADE)
def test_it_gets_better_on_held_out_rows_and_stock_libraries_load_it(objective: str, tmp_path: Path) -> None:
    out = made(objective, NANO, tmp_path)
    measure, share, most = MEASURES[objective]
    before, after = measure(None), measure(tmp_path)
    assert after < min(share * before, most), (before, after)
    losses = [entry["held_out_loss"] for entry in out.notes["log"] if "held_out_loss" in entry]
    assert len(losses) == 2 and out.notes["held_out_rows"] == 8 and out.notes["rows"] == 24
    assert json.loads((tmp_path / "groundling.json").read_text())["objective"] == objective


@pytest.mark.parametrize("objective", MADE)
def test_it_is_explained_in_the_list(objective: str) -> None:
    [told] = registry.explained("objective", objective)
    assert len(told) > 60 and objective in registry.names("objective")


@pytest.mark.slow
@pytest.mark.parametrize("objective", MADE)
def test_after_a_kill_it_ends_with_the_same_weights(objective: str, tiny_model: Path, tmp_path: Path) -> None:
    more = {"save_steps": 2, "steps": 6}
    made(objective, str(tiny_model), tmp_path / "calm", **more)
    torn = tmp_path / "torn"
    code = f"from tests.train.test_objectives import made; from pathlib import Path; made({objective!r}, {str(tiny_model)!r}, Path({str(torn)!r}), **{more})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2], env={**os.environ, "OMP_NUM_THREADS": "1"})
    whole = torn / "checkpoints/checkpoint-2/complete.json"
    while process.poll() is None and not whole.is_file():
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL and not (torn / "groundling.json").exists(), "it was killed in the midst"
    made(objective, str(tiny_model), torn, **more)
    weights = "adapter_model.safetensors"
    assert (torn / weights).read_bytes() == (tmp_path / "calm" / weights).read_bytes()
