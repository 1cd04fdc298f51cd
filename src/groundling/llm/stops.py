"""Stop strings of a local model, as an API has them: the reply ends before the first one, and generating ends where it appears."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from transformers import StoppingCriteriaList

Decode = Callable[[list[int]], str]


class Cut(NamedTuple):
    """A reply that ends before a stop string; `tokens` counts what was generated for it, those of the stop string included."""

    text: str
    tokens: int


def cut(ids: list[int], stops: Sequence[str], decode: Decode) -> Cut | None:
    """The reply up to the stop string that comes first in it; None where there is none. Empty stop strings stop nothing."""
    text = decode(ids)
    at = min((place for stop in stops if stop and (place := text.find(stop)) >= 0), default=None)
    if at is None:
        return None
    # A stop string may begin or end within a token, so tokens are counted by what they read as together.
    count = next(n for n in range(1, len(ids) + 1) if n == len(ids) or _has(decode(ids[:n]), stops))
    return Cut(text[:at], count)


def until(stops: Sequence[str], start: int, decode: Decode) -> StoppingCriteriaList:
    """What ends each row of a batch on its own once a stop string is in its reply, which begins at token `start`."""
    import torch
    from transformers import StoppingCriteria, StoppingCriteriaList

    class Said(StoppingCriteria):
        def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: object) -> torch.Tensor:
            said = [_has(decode(row[start:].tolist()), stops) for row in input_ids]
            return torch.tensor(said, device=input_ids.device, dtype=torch.bool)

    return StoppingCriteriaList([Said()])


def _has(text: str, stops: Sequence[str]) -> bool:
    return any(stop in text for stop in stops if stop)
