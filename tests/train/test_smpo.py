"""SMPO: every term by hand, its gradient by finite differences, and what the published code only says it does."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from groundling import config
from groundling.errors import ConfigError
from groundling.llm.branches import batch_of, log_probs
from groundling.llm.local import load_network, need_torch
from groundling.llm.weights import Weights
from groundling.panel import unwatched
from groundling.train.checks import base_of, check
from groundling.train.objectives import smpo
from groundling.train.objectives.smpo import Options, clipped, margin_at, preference, run, terms
from groundling.train.options import own
from groundling.train.tokens import Rows

from .preferring import pair_rows

# Two pairs, better and worse in turn: means -0.2, (-0.5, -3.3 raised to -2.3, -0.2) -1.0, -1.0, -0.6. So d is 0.8 and -0.4.
VALUES = [-0.1, -0.3, -0.5, -3.3, -0.2, -1.0, -0.4, -0.8]
OWNER = [0, 0, 1, 1, 1, 2, 3, 3]
PLAIN = Options(lower_percentile=None)


def tensors(values: list[float] = VALUES, owner: list[int] = OWNER):
    import torch

    return torch.tensor(values, dtype=torch.float64), torch.tensor(owner)


def test_the_defaults_are_the_published_ones() -> None:
    assert Options().model_dump() == {
        "beta": 1.2, "margin": 0.35, "margin_start": 0.01, "schedule": True, "ratio": 0.8, "loss": "smooth", "lower_percentile": 0.02,
        "min_log_prob": -2.3,
    }  # fmt: skip


def test_every_term_is_what_it_is_by_hand() -> None:
    found = terms(*tensors(), 0.35, PLAIN)
    assert found.chosen.tolist() == pytest.approx([-0.2, -1.0]) and found.rejected.tolist() == pytest.approx([-1.0, -0.6])
    assert found.preference.item() == pytest.approx((0 + (1.2 * 0.75) ** 2) / 2)
    assert found.chosen_ce.item() == pytest.approx(1.4 / 3), "a mean over tokens, not over replies"
    assert found.rejected_ce.item() == pytest.approx(5.2 / 5), "what is imitated is not clipped"
    assert found.loss.item() == pytest.approx(0.8 * 1.4 / 3 + 0.2 * 1.04 + 0.405)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("smooth", (0 + 0.9**2) / 2),
        ("hinge", (0 + 0.9) / 2),
        ("ipo", (0.54**2 + 0.9**2) / 2),
        ("sigmoid", (math.log(1 + math.exp(-0.54)) + math.log(1 + math.exp(0.9))) / 2),
    ],
)
def test_each_kind_of_loss_by_hand(kind: str, wanted: float) -> None:
    assert terms(*tensors(), 0.35, PLAIN.model_copy(update={"loss": kind})).preference.item() == pytest.approx(wanted)


@pytest.mark.parametrize("kind", ["smooth", "hinge", "ipo", "sigmoid"])
def test_the_gradient_is_that_of_finite_differences(kind: str) -> None:
    import torch

    values, owner = tensors()
    options = PLAIN.model_copy(update={"loss": kind})
    assert torch.autograd.gradcheck(lambda v: terms(v, owner, 0.35, options).loss, values.requires_grad_())


def test_the_gradient_of_a_weight_is_that_of_finite_differences(tiny_model: Path) -> None:
    """Through the network and the shared prompt, in double precision."""
    import torch

    network = load_network(Weights(str(tiny_model))).double()
    batch = batch_of([row.branches() for row in pair_rows(tiny_model, 3)], 0, share=True)
    weight = network.model.layers[0].mlp.down_proj.weight

    def loss() -> torch.Tensor:
        return terms(log_probs(network, batch).double(), batch["owner"], 0.35, Options(lower_percentile=None, min_log_prob=None)).loss

    loss().backward()
    wanted, step = weight.grad[3, 5].item(), 1e-2
    with torch.no_grad():
        ends = []
        for sign in (1, -1):
            weight[3, 5] += sign * step
            ends.append(loss().item())
            weight[3, 5] -= sign * step
    assert abs(wanted) > 1e-4 and (ends[0] - ends[1]) / (2 * step) == pytest.approx(wanted, rel=0.02)


def test_clipping_changes_the_loss_and_only_the_worse_replies() -> None:
    """In the published code it assigns into a copy and changes nothing."""
    values, owner = tensors()
    raw = terms(values, owner, 0.35, Options(lower_percentile=None, min_log_prob=None))
    floor = terms(values, owner, 0.35, PLAIN)
    assert raw.rejected[0].item() == pytest.approx(-4.0 / 3) and floor.rejected[0].item() == pytest.approx(-1.0)
    ipo = {"loss": "ipo", "lower_percentile": None}
    assert terms(values, owner, 0.35, Options(**ipo)).loss.item() != terms(values, owner, 0.35, Options(**ipo, min_log_prob=None)).loss.item()
    low, at = tensors([-9.0, -9.0], [0, 1])
    assert clipped(low, at, PLAIN).tolist() == [-9.0, -2.3], "a better reply is never clipped"


def test_the_percentile_is_that_of_the_reply_itself() -> None:
    values, owner = tensors([-7.0, -7.0, -5.0, -1.0, -0.5, -0.4, -0.1, -3.0], [0, 0, 1, 1, 1, 1, 1, 3])
    found = clipped(values, owner, Options(lower_percentile=0.25, min_log_prob=None))
    assert found.tolist() == pytest.approx([-7.0, -7.0, -1.0, -1.0, -0.5, -0.4, -0.1, -3.0])
    # By default: the fiftieth part of the way is 0.08 of the first step from the lowest of five.
    assert clipped(values, owner, Options(min_log_prob=None))[2].item() == pytest.approx(-5.0 + 0.08 * 4.0)
    assert clipped(values, owner, Options())[2].item() == pytest.approx(-2.3), "the higher of the two bounds holds"


def test_what_is_clipped_is_not_made_less_likely_still() -> None:
    values, owner = tensors()
    values.requires_grad_()
    terms(values, owner, 2.0, PLAIN.model_copy(update={"ratio": 1.0})).preference.backward()
    assert values.grad[3] == 0 and (values.grad[[2, 4, 6, 7]] > 0).all() and (values.grad[[0, 1, 5]] < 0).all()


def test_the_end_token_of_a_worse_reply_counts_as_any_other(tiny_model: Path) -> None:
    """The published code means to turn its sign."""
    network = load_network(Weights(str(tiny_model)))
    [row] = pair_rows(tiny_model, 1)
    batch = batch_of([row.branches()], 0, share=True)
    values = log_probs(network, batch).detach()
    found = terms(values, batch["owner"], 0.35, Options(lower_percentile=None, min_log_prob=None))
    worse = values[batch["owner"] == 1]
    assert row.rejected[-1] == 1 and len(worse) == len(row.rejected) and found.rejected[0].item() == pytest.approx(worse.mean().item())
    values[-1] -= 1.0  # the end token becomes less likely, and with it the reply
    lower = terms(values, batch["owner"], 0.35, Options(lower_percentile=None, min_log_prob=None))
    assert lower.rejected[0].item() == pytest.approx(found.rejected[0].item() - 1 / len(worse))


def test_the_margin_goes_from_its_start_to_its_end() -> None:
    assert [margin_at(n, 5, Options()) for n in range(5)] == pytest.approx([0.01, 0.095, 0.18, 0.265, 0.35])
    assert [margin_at(n, 5, Options(schedule=False)) for n in (0, 4)] == [0.35, 0.35]
    assert margin_at(0, 1, Options()) == 0.35, "a single step has the whole margin"


def test_the_margin_moves_while_training(tiny_model: Path, tmp_path: Path) -> None:
    """In the published code the scheduler raises at the first step, as its callback is given no trainer."""
    need_torch()
    rows = pair_rows(tiny_model, 4)
    log = run(rows, Weights(str(tiny_model)), config.Train(objective="smpo", steps=3, batch=2, rank=2, rate=1e-4), 1, tmp_path, unwatched)
    assert [entry["step"] for entry in log] == [1, 3]
    assert [entry["margin"] for entry in log] == pytest.approx([0.01, (0.18 + 0.35) / 2], abs=1e-4)
    assert {"chosen", "rejected", "ahead", "loss"} <= set(log[0])


def test_held_out_pairs_are_measured_at_the_full_margin_whenever(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the first checkpoint would look best, because its margin was small."""
    need_torch()
    asked = []
    monkeypatch.setattr(smpo, "margin_at", lambda step, steps, options: asked.append((step, steps)) or margin_at(step, steps, options))
    rows = Rows(pair_rows(tiny_model, 4))
    rows.held_out = pair_rows(tiny_model, 2, start=4)
    options = config.Train(objective="smpo", steps=3, batch=2, rank=2, rate=1e-4, eval_steps=2)
    log = run(rows, Weights(str(tiny_model)), options, 1, tmp_path, unwatched)
    assert asked == [(0, 3), (1, 3), (2, 3), (2, 3), (2, 3)], "two steps, a measurement, the last step, a measurement"
    assert sum("held_out_loss" in entry for entry in log) == 2


def test_options_that_make_no_sense_are_refused(tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match=r'train.options: there is no option "betta".*Did you mean "beta"'):
        own(Options, {"betta": 1})
    with pytest.raises(ConfigError, match="train.options.ratio = 1.5"):
        own(Options, {"ratio": 1.5})
    shaken = config.Train(objective="smpo", dropout=0.1)
    with pytest.raises(ConfigError, match="train.dropout = 0.1.*smpo.*Set it to 0"):
        check(shaken, base_of(Weights(str(tiny_model))))


def test_lead_and_loss_go_together() -> None:
    import torch

    leads = torch.tensor([-1.0, 0.0, 1.0])
    for kind in ("smooth", "hinge", "sigmoid"):
        found = preference(kind, leads).tolist()
        assert found[0] > found[1] >= found[2]
