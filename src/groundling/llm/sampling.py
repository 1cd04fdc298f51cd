"""Draws of a local model: each row of a batch by a generator of its own, so that rows can be generated together and none changes another's draw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .base import Request

if TYPE_CHECKING:
    import torch


def seed_of(prompt: Sequence[int], request: Request) -> int:
    """By what is asked and by its draw: the order of calls changes nothing."""
    return int(hashlib.sha256(json.dumps([list(prompt), request.draw, request.attempt]).encode()).hexdigest()[:8], 16)


class Drawn:
    """A logits processor after which the greatest logit is a draw at the temperature (the Gumbel-max trick).

    The greatest of log p + g over the tokens, g being independent Gumbel noise, is distributed as p. So generation itself can be greedy, and
    where one row's noise comes from does not hang on how many rows there are.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        import torch

        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._temperature, self._top_p = temperature, top_p

    def __call__(self, input_ids: Any, scores: torch.Tensor) -> torch.Tensor:
        import torch

        scores = scores.float() / self._temperature
        if self._top_p < 1:
            scores = scores.masked_fill(_beyond(scores, self._top_p), -torch.inf)
        # In double precision: in single, one number in 17 million is a zero, which would let any token win, and a vocabulary is large.
        noise = torch.stack([torch.empty(scores.shape[-1], dtype=torch.float64).exponential_(generator=g) for g in self._generators])
        return scores - noise.clamp_min(torch.finfo(torch.float64).tiny).log().float().to(scores.device)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone: the others have ended."""
        self._generators = [self._generators[n] for n in rows]


def _beyond(scores: torch.Tensor, top_p: float) -> torch.Tensor:
    """The tokens outside the smallest set of the likeliest whose probabilities add up to `top_p`."""
    ordered, order = scores.sort(dim=-1, descending=True)
    chances = ordered.softmax(-1)
    out = chances.cumsum(-1) - chances >= top_p  # what stands before it is enough
    return out.scatter(-1, order, out)
