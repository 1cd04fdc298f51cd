"""Direct preference optimisation: the better reply gains on the worse, measured from the model that training starts from (the reference).

With r_w and r_l the log-probabilities of the better and the worse reply less those that the reference gives them, the loss of a pair is
-log sigmoid(beta (r_w - r_l)); with `loss: ipo` it is (r_w / n_w - r_l / n_l - 1 / (2 beta))^2, n being the tokens of a reply. The reference is the
same network with its adapter off, or a second copy of the start where the whole model is trained. docs/objectives.md has the sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from ... import options as plugin
from ...config import Train
from ...llm.branches import log_probs, totals
from ...llm.weights import Weights
from ...panel import Watch
from ...records import Pair
from ..model import load
from ..options import Needs, own
from ..pairs import PairRow, rows_of
from ..scoring import Job, Loss, Measured, Step, optimise, quiet

if TYPE_CHECKING:
    import torch

__all__ = ["NEEDS", "READS", "Options", "rows_of", "run"]
READS = Pair
NEEDS = Needs(replies=2, together=True, reference=True, still=True, turns=False)


class Options(plugin.Options):
    beta: float = Field(0.1, gt=0)  # how dear it is to move away from the reference
    loss: Literal["sigmoid", "ipo"] = "sigmoid"  # ipo stops at a lead of 1 / (2 beta) a token; sigmoid never quite


class Terms(NamedTuple):
    """The loss of a batch, and the gains of each pair's replies over the reference (sums over their tokens)."""

    loss: torch.Tensor
    chosen: torch.Tensor
    rejected: torch.Tensor


def terms(values: torch.Tensor, reference: torch.Tensor, owner: torch.Tensor, options: Options) -> Terms:
    """The loss from the log-probabilities that policy and reference give the same tokens. `owner`: better 0, worse 1, better 2, worse 3, …"""
    from torch.nn.functional import logsigmoid

    count = int(owner.max()) + 1
    gains = totals(values - reference, owner, count)
    chosen, rejected = gains[0::2], gains[1::2]
    if options.loss == "sigmoid":
        return Terms(-logsigmoid(options.beta * (chosen - rejected)).mean(), chosen, rejected)
    each = gains / totals(values.new_ones(values.shape), owner, count)
    return Terms(((each[0::2] - each[1::2] - 1 / (2 * options.beta)) ** 2).mean(), chosen, rejected)


def loss_of(options: Options, reference: Callable[[Step], torch.Tensor]) -> Loss:
    """The loss of a batch at a step."""

    def loss(now: Step) -> Measured:
        found = terms(now.values, reference(now), now.batch["owner"], options)
        rewards = options.beta * found.chosen.detach(), options.beta * found.rejected.detach()
        ahead = (rewards[0] > rewards[1]).float().mean()
        return Measured(found.loss, {"chosen": rewards[0].mean(), "rejected": rewards[1].mean(), "ahead": ahead})

    return loss


def start_of(base: Weights, options: Train) -> Callable[[Step], torch.Tensor]:
    """What tells the reference's log-probabilities for a batch."""
    import torch

    kept: list[Any] = []
    if options.method == "full":
        kept.append(quiet(load(base, options)).eval().requires_grad_(False))

    def reference(now: Step) -> torch.Tensor:
        with torch.no_grad():
            if kept:
                with now.autocast():
                    return log_probs(kept[0].to(now.values.device), now.batch)
            with now.bare.disable_adapter():
                return log_probs(now.network, now.batch)

    return reference


def run(rows: Sequence[PairRow], base: Weights, options: Train, seed: int, folder: Path, watch: Watch) -> list[dict[str, float]]:
    """Train, or go on from the last whole checkpoint; the weights and the tokenizer are saved into `folder`. Returns the log of losses."""
    loss = loss_of(own(Options, options.options), start_of(base, options))
    return optimise(Job(rows, base, options, seed, folder, watch), loss)
