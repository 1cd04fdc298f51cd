"""Simple margin preference optimisation (Vikhr): the better reply ahead of the worse by a margin, without a reference model, while both are imitated.

With l_w and l_l the mean log-probabilities of a token of the better and the worse reply, d = l_w - l_l, and m the margin, the loss of a batch is

    mean of relu(beta (m - d))^2  +  ratio CE(better) + (1 - ratio) CE(worse)

where CE is the mean over all tokens of the batch's better (worse) replies. In l_l, a token less likely than a bound counts as just so likely:
what the model would never say anyway is not made less likely still. The margin grows over the steps. docs/objectives.md has the sources.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from ... import options as plugin
from ...config import Train
from ...llm.branches import totals
from ...llm.weights import Weights
from ...panel import Watch
from ...records import Pair
from ..options import Needs, own
from ..pairs import PairRow, rows_of
from ..scoring import Job, Loss, Measured, Step, optimise

if TYPE_CHECKING:
    import torch

__all__ = ["NEEDS", "READS", "Options", "rows_of", "run"]
READS = Pair
NEEDS = Needs(replies=2, together=True, still=True, turns=False)


class Options(plugin.Options):
    beta: float = Field(1.2, gt=0)  # how hard a missing margin is punished
    margin: float = Field(0.35, ge=0)  # how far the better reply should be ahead, in log-probability a token
    margin_start: float = Field(0.01, ge=0)  # where the margin begins
    schedule: bool = True  # let the margin grow evenly from there over all steps; else it is `margin` from the first
    ratio: float = Field(0.8, ge=0, le=1)  # the better reply's share in what is imitated; the worse has the rest
    loss: Literal["smooth", "sigmoid", "hinge", "ipo"] = "smooth"  # smooth: squared below the margin, nothing above
    lower_percentile: float | None = Field(0.02, ge=0, lt=1)  # tokens of a worse reply below this share of it count as at it; none: all as they are
    min_log_prob: float | None = Field(-2.3, lt=0)  # and none counts as less likely than this


class Terms(NamedTuple):
    """The loss and what it is made of; all means over the batch."""

    loss: torch.Tensor
    preference: torch.Tensor
    chosen_ce: torch.Tensor
    rejected_ce: torch.Tensor
    chosen: torch.Tensor  # mean log-probability a token, for each pair
    rejected: torch.Tensor


def margin_at(step: int, steps: int, options: Options) -> float:
    """The margin of a step (from 0): it starts at `margin_start` in the first and is `margin` in the last."""
    if not options.schedule or steps < 2:
        return options.margin
    return options.margin_start + (options.margin - options.margin_start) * min(step / (steps - 1), 1.0)


def preference(kind: str, lead: torch.Tensor) -> torch.Tensor:
    """The loss of each pair from its scaled lead over the margin, beta (d - m)."""
    import torch

    losses: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "smooth": lambda x: torch.relu(-x) ** 2,
        "sigmoid": lambda x: -torch.nn.functional.logsigmoid(x),
        "hinge": lambda x: torch.relu(-x),
        "ipo": lambda x: x**2,
    }
    return losses[kind](lead)


def clipped(values: torch.Tensor, owner: torch.Tensor, options: Options) -> torch.Tensor:
    """The log-probabilities with those of worse replies (of odd number) raised to their bound; what is raised has no gradient.

    The percentile is that of the reply itself: what a pair's loss is does not hang on the pairs beside it.
    """
    import torch

    floor = torch.full_like(values, -torch.inf)
    for reply in owner[owner % 2 == 1].unique():
        at = owner == reply
        if options.lower_percentile is not None:
            floor[at] = torch.quantile(values.detach()[at], options.lower_percentile)
    if options.min_log_prob is not None:
        floor = torch.where(owner % 2 == 1, floor.clamp(min=options.min_log_prob), floor)
    return torch.where(values < floor, floor, values)


def terms(values: torch.Tensor, owner: torch.Tensor, margin: float, options: Options) -> Terms:
    """The loss of a batch from its tokens' log-probabilities. `owner` numbers the replies: better 0, worse 1, better 2, worse 3, …"""
    count = int(owner.max()) + 1
    lengths = totals(values.new_ones(values.shape), owner, count)
    means = totals(clipped(values, owner, options), owner, count) / lengths
    chosen, rejected = means[0::2], means[1::2]
    wanted = preference(options.loss, options.beta * (chosen - rejected - margin)).mean()
    better = owner % 2 == 0
    chosen_ce, rejected_ce = -values[better].mean(), -values[~better].mean()
    imitated = options.ratio * chosen_ce + (1 - options.ratio) * rejected_ce
    return Terms(imitated + wanted, wanted, chosen_ce, rejected_ce, chosen, rejected)


def loss_of(options: Options) -> Loss:
    """The loss of a batch at a step."""

    def loss(now: Step) -> Measured:
        margin = margin_at(now.step, now.steps, options)
        found = terms(now.values, now.batch["owner"], margin, options)
        return Measured(
            found.loss,
            {
                "margin": margin,
                "chosen": found.chosen.detach().mean(),
                "rejected": found.rejected.detach().mean(),
                "ahead": (found.chosen > found.rejected).float().mean(),
            },
        )

    return loss


def run(rows: Sequence[PairRow], base: Weights, options: Train, seed: int, folder: Path, watch: Watch) -> list[dict[str, float]]:
    """Train, or go on from the last whole checkpoint; the weights and the tokenizer are saved into `folder`. Returns the log of losses."""
    return optimise(Job(rows, base, options, seed, folder, watch), loss_of(own(Options, options.options)))
