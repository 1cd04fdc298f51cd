"""Label scoring: the loss by hand, labels that begin alike, and training that optimises just what choosing a label does."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import msgspec
import pytest

from groundling import config
from groundling.errors import ConfigError, ModelError
from groundling.grounding import FORMATS
from groundling.llm.branches import batch_of, log_probs
from groundling.llm.local import Local, load_network, load_tokenizer
from groundling.llm.weights import Weights
from groundling.records import Passage
from groundling.train.checks import base_of, check
from groundling.train.objectives.classify import answers, cross_entropies, label_row, loss, rows_of
from groundling.train.scoring import Step
from groundling.workspace import Output

from .preferring import LABELS, labelled

OPTIONS = config.Train(objective="classify", format="labels")


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return load_tokenizer(tiny_model)


def test_the_loss_by_hand_with_other_numbers_of_labels() -> None:
    import torch

    scores = torch.tensor([-1.0, -2.0, -4.0, -0.5, -0.25], dtype=torch.float64)
    losses, right = cross_entropies(scores, torch.tensor([3, 2]), torch.tensor([1, 1]))
    first = math.exp(-2) / (math.exp(-1) + math.exp(-2) + math.exp(-4))
    second = math.exp(-0.25) / (math.exp(-0.5) + math.exp(-0.25))
    assert losses.tolist() == pytest.approx([-math.log(first), -math.log(second)]) and right.tolist() == [False, True]


def test_the_gradient_is_that_of_finite_differences() -> None:
    import torch

    scores = torch.tensor([-1.0, -2.0, -4.0, -0.5, -0.25], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: cross_entropies(s, torch.tensor([3, 2]), torch.tensor([1, 1]))[0].mean(), scores)


def test_a_row_holds_every_label_with_its_end_and_which_is_right(tokenizer) -> None:
    made = labelled(1)
    row = label_row(made, tokenizer, True)
    assert [tokenizer.decode(label) for label in row.labels] == [f"{label}<|end|>" for label in LABELS] and made.answer == LABELS[row.answer]
    assert row.labels[1][: len(row.labels[0]) - 1] == row.labels[0][:-1], "one label begins like another"
    asked = FORMATS["labels"].prompt(made.question, made.passages, True)
    assert row.prompt == tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=False)
    assert row.longest == len(row.prompt) + max(map(len, row.labels)) and row.ids == row.prompt + sum(row.labels, [])


def test_training_scores_as_choosing_does(tiny_model: Path, tokenizer) -> None:
    """The loss of a batch from `Local.scores`, which is asked one text after the other."""
    examples = [labelled(n) for n in range(4)]
    rows = [label_row(e, tokenizer, True) for e in examples]
    network = load_network(Weights(str(tiny_model)))
    batch = batch_of([row.branches() for row in rows], 0, share=True) | answers(rows)
    found = loss(Step(log_probs(network, batch), batch, 0, 1, network, network))
    model = Local(tiny_model)
    wanted, right = [], []
    for made in examples:
        scores = asyncio.run(model.scores(FORMATS["labels"].prompt(made.question, made.passages, model.documents_role), LABELS))
        wanted.append(math.log(sum(map(math.exp, scores))) - scores[LABELS.index(made.answer)])
        right.append(scores.index(max(scores)) == LABELS.index(made.answer))
    assert found.loss.item() == pytest.approx(sum(wanted) / 4, abs=1e-3) and float(found.figures["right"]) == sum(right) / 4


def test_scores_are_sums_or_means_of_every_label_to_its_end(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Local(tiny_model)
    asked = [{"role": "user", "content": "Which label?"}]
    sums, means = (asyncio.run(model.scores(asked, LABELS, mean=mean)) for mean in (False, True))
    whole = [model.tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": x}], return_dict=False) for x in LABELS]
    sizes = [len(ids) - len(model.encode(asked)) for ids in whole]
    assert means == pytest.approx([s / n for s, n in zip(sums, sizes, strict=True)]) and all(s < 0 for s in sums)
    assert sums[1] != pytest.approx(sums[0], abs=1e-3)
    monkeypatch.setattr("groundling.llm.branches.can_share", lambda network: False)
    monkeypatch.setattr("groundling.llm.local.MAX_TOKENS", 2 * (len(model.encode(asked)) + max(sizes)))
    assert asyncio.run(model.scores(asked, LABELS)) == pytest.approx(sums, abs=1e-4), "two at a time, where the prompt cannot be shared"
    with pytest.raises(ModelError, match="does not fit into the 1024 tokens"):
        asyncio.run(model.scores(asked, ["word " * 1100]))


def test_what_nothing_can_be_learnt_from_is_dropped_and_counted(tiny_model: Path, tmp_path: Path) -> None:
    good = labelled(0)
    unfit = [
        msgspec.structs.replace(good, id="other", answer="dogs"),
        msgspec.structs.replace(good, id="one", passages=good.passages[:1]),
        msgspec.structs.replace(good, id="twice", passages=[*good.passages, Passage(id="x", title="leave", text="")]),
        msgspec.structs.replace(good, id="long", question="word " * 900),
    ]
    out = Output(tmp_path)
    rows = rows_of([good, *unfit], Weights(str(tiny_model)), OPTIONS.model_copy(update={"max_length": 200}), out)
    out.close()
    assert [row.id for row in rows] == ["e0"]
    assert out.dropped == {
        "its answer is none of its labels": 1, "fewer than two labels to choose from": 1, "a label comes twice": 1, "longer than train.max_length": 1,
    }  # fmt: skip


def test_another_format_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match="needs train.format: labels, not raft"):
        check(config.Train(objective="classify"), base_of(Weights(str(tiny_model))))
