"""The reward: a judge puts what was said in an order, the best first. It must name each once; what is empty or faulty is never shown to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..llm.base import Message, Model, Request
from ..llm.structured import Failed, ranking, structured
from ..seeds import rng

RANK = (
    "Rank what an assistant said. It was shown what stands under “The assistant saw”; under “Said” are its replies. Best is what leads to an answer "
    "that is relevant to the question and proved by the passages, in as few steps as possible. Worse is what repeats a search, claims what the "
    "passages do not say, quotes what proves nothing, or gives up although the answer was found. "
    'Reply with JSON, all numbers from the best to the worst: {{"ranking": [{numbers}]}}.\n\n'
    "The assistant saw:\n<<<\n{saw}\n>>>\n\nSaid:\n\n{said}"
)


async def ranked(judge: Any, saw: str, said: Sequence[str]) -> list[int] | Failed:
    """The order of different replies to one prompt, the best first. `judge` is a model that is asked, or a reward model that scores.

    Nobody is asked about a single one. A model sees them in an order drawn from what they are, so that a place is no advantage.
    """
    if len(said) < 2:
        return list(range(len(said)))
    if not hasattr(judge, "replies"):
        return await _scored(judge, saw, said)
    order = list(range(len(said)))
    rng(0, "order of replies", saw, *said).shuffle(order)
    found = await structured(judge, _request(saw, [said[n] for n in order]), ranking(len(said)))
    return found if isinstance(found, Failed) else [order[n] for n in found.ranking]  # type: ignore[attr-defined]


def _request(saw: str, said: Sequence[str]) -> Request:
    shown = "\n\n".join(f"#{n}\n{text}" for n, text in enumerate(said))
    words = RANK.format(numbers=", ".join(map(str, range(len(said)))), saw=saw, said=shown)
    return Request(messages=[{"role": "user", "content": words}], max_tokens=60 + 8 * len(said), task="agent rank", inputs={"count": len(said)})


async def _scored(judge: Any, saw: str, said: Sequence[str]) -> list[int]:
    asked: list[tuple[list[Message], str]] = [([{"role": "user", "content": saw}], text) for text in said]
    scores = await judge.scores(asked)
    return sorted(range(len(said)), key=lambda n: (-scores[n], n))


async def likeliest(model: Model, saw: str, said: Sequence[str]) -> int | None:
    """The number of the reply that the model itself finds least surprising; None where it does not tell log-probabilities.

    A model in a journal is asked past it: nothing is generated, so there is nothing to store.
    """
    tell = getattr(getattr(model, "inner", model), "perplexities", None)
    if tell is None:
        return None
    found = await tell([{"role": "user", "content": saw}], list(said))
    known = [n for n, p in enumerate(found) if math.isfinite(p)]
    return min(known, key=lambda n: (found[n], n)) if known else None
