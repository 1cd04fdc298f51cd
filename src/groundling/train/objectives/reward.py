"""A reward model: a number for a reply, learnt from pairs of a better and a worse one (Bradley-Terry). It scores candidates and filters data.

A linear head reads the last token of prompt and reply. With s_w and s_l the scores of the better and the worse reply the loss of a pair is
-log sigmoid(s_w - s_l - margin) + center (s_w + s_l)^2; the second part keeps scores near zero, which differences alone leave open. TRL's
RewardTrainer does just that. The head is saved with the adapter, and stock libraries load both. docs/objectives.md has the sources.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from ... import options as plugin
from ...config import Train
from ...errors import InputError, ModelError
from ...llm.reward import TASK, Reward, graft, unheard
from ...llm.weights import Weights
from ...panel import Watch
from ...records import Pair
from ...stats import wilson
from ..model import adapter, load
from ..options import Needs, own
from ..pairs import PairRow, pair_row, rows_of
from ..trainer import WHOLE, arguments, fit, held_out, prepare

__all__ = ["ANSWERS", "NEEDS", "READS", "Options", "notes", "reload", "rows_of", "run"]
READS = Pair
NEEDS = Needs(replies=2, vocabulary=False, turns=False)
ANSWERS = False  # it scores replies and writes none


class Options(plugin.Options):
    center: float = Field(0.01, ge=0)  # how strongly the two scores of a pair are drawn to a sum of zero; 0: not at all
    margins: bool = False  # want as much of a lead as each pair's own margin says


def scalar(base: Weights, options: Train) -> Any:
    """The network to train: the base with a head that gives one number, drawn by the seed."""
    from transformers import AutoModelForSequenceClassification

    with unheard():
        network = load(Weights(base.base), options, AutoModelForSequenceClassification, num_labels=1)
    return graft(network, load(base, options)) if base.adapters else network


def dataset(rows: Sequence[PairRow], margins: bool) -> Any:
    """Rows as TRL reads them. Raises InputError where margins are wanted and a pair has none."""
    from datasets import Dataset

    without = [row.id for row in rows if row.margin is None]
    if margins and without:
        raise InputError(f"train.options.margins wants every pair to have a margin, and {without[0]} has none. Set it to false.")
    return Dataset.from_list(
        [
            {"chosen_ids": row.prompt + row.chosen, "rejected_ids": row.prompt + row.rejected, "length": row.longest}
            | ({"margin": row.margin} if margins else {})
            for row in rows
        ]
    )


def run(rows: Sequence[PairRow], base: Weights, options: Train, seed: int, folder: Path, watch: Watch) -> list[dict[str, float]]:
    """Train, or go on from the last whole checkpoint; the weights and the tokenizer are saved into `folder`. Returns the log of losses."""
    from trl import RewardConfig, RewardTrainer

    chosen = own(Options, options.options)
    tokenizer = prepare(base, seed)
    measured = held_out(rows)
    # TRL must not drop what is long, and its collator leaves aside the field that tells lengths to the sampler.
    more: dict[str, Any] = {"max_length": None, "pad_to_multiple_of": WHOLE, "remove_unused_columns": False, "disable_dropout": options.dropout == 0}
    if chosen.center:
        more["center_rewards_coefficient"] = chosen.center
    trainer = RewardTrainer(
        model=scalar(base, options),
        args=arguments(RewardConfig, options, seed, folder, rows, **more),
        train_dataset=dataset(rows, chosen.margins),
        eval_dataset=dataset(measured, chosen.margins) if measured else None,
        processing_class=tokenizer,
        peft_config=adapter(options, TASK, modules_to_save=["score"]),
    )
    return fit(trainer, options, folder, watch)


def saved(folder: Path, base: Weights, options: Train) -> Reward:
    """The trained reward model, from disk."""
    return Reward(folder, (), "trained") if options.method == "full" else Reward(base.base, (*base.adapters, folder), "trained")


def judged(model: Reward, rows: Sequence[PairRow]) -> list[tuple[float, float]]:
    """The scores of each pair's better and worse reply."""
    found = model.scores_of([row.prompt + reply for row in rows for reply in (row.chosen, row.rejected)])
    return list(zip(found[0::2], found[1::2], strict=True))


def reload(folder: Path, base: Weights, record: Pair, options: Train) -> None:
    """Load what was saved, with stock libraries, and let it score one pair. Raises ModelError where it gives no numbers."""
    model = saved(folder, base, options)
    [scores] = judged(model, [pair_row(record, options.format, model.tokenizer, model.documents_role)])
    if not all(map(math.isfinite, scores)):
        raise ModelError(f"The reward model saved in {folder} loads, but its scores are no numbers. Lower train.rate.")


def notes(folder: Path, base: Weights, rows: Sequence[PairRow], options: Train) -> dict[str, Any]:
    """For the record, of held-out pairs: the share whose better reply has the higher score, with its 95 % interval. {} where none is held out."""
    if not rows:
        return {}
    found = judged(saved(folder, base, options), rows)
    right = sum(better > worse for better, worse in found)
    low, high = wilson(right, len(found))
    lead = sum(better - worse for better, worse in found) / len(found)
    return {"pair_accuracy": {"value": right / len(found), "low": low, "high": high, "n": len(found)}, "mean_lead": lead}
