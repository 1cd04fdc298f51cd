"""Draws of a local model: distributed as they should be, each by itself, whoever is drawn beside."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
import torch

from groundling.llm.base import Request
from groundling.llm.local import Local
from groundling.llm.sampling import Drawn, seed_of

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -torch.inf])


def shares(temperature: float, top_p: float, rows: int = 4000) -> list[float]:
    drawn = Drawn(range(rows), temperature, top_p)(None, LOGITS.repeat(rows, 1)).argmax(-1)
    counted = Counter(drawn.tolist())
    return [counted[n] / rows for n in range(len(LOGITS))]


@pytest.mark.parametrize("temperature", [0.5, 0.8, 2.0])
def test_tokens_are_drawn_by_their_probability_at_the_temperature(temperature: float) -> None:
    wanted = (LOGITS / temperature).softmax(-1).tolist()
    assert shares(temperature, 1.0) == pytest.approx(wanted, abs=0.025)
    assert shares(temperature, 1.0)[4] == 0, "what a rule forbids is never drawn"


@pytest.mark.parametrize(("top_p", "left"), [(0.5, 1), (0.7, 2), (0.9, 3), (0.999, 4), (0.01, 1)])
def test_top_p_leaves_the_likeliest_that_together_are_enough(top_p: float, left: int) -> None:
    chances = LOGITS.softmax(-1)[:left]  # 0.64, 0.24, 0.09, 0.03
    assert shares(1.0, top_p) == pytest.approx([*(chances / chances.sum()).tolist(), *[0.0] * (5 - left)], abs=0.025)


def test_a_row_s_draws_do_not_hang_on_the_rows_beside_it() -> None:
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(1))
    together, alone = Drawn([5, 6, 7], 1.0, 1.0), Drawn([6], 1.0, 1.0)
    for _ in range(4):  # step after step
        assert torch.equal(together(None, logits)[1], alone(None, logits[1:2])[0])


def test_a_seed_is_made_of_prompt_draw_and_attempt() -> None:
    asked = Request(messages=[], temperature=1.0)
    seeds = {
        seed_of([1, 2], asked), seed_of([1, 3], asked), seed_of([1, 2], Request(messages=[], draw=1)), seed_of([1, 2], Request(messages=[], attempt=1)),
    }  # fmt: skip
    assert len(seeds) == 4 and seed_of([1, 2], asked) == seed_of([1, 2], Request(messages=[], temperature=0.5))


def test_the_draws_of_one_prompt_are_generated_together_and_are_what_each_is_alone(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = Local(tiny_model), []
    batch = model._batch
    monkeypatch.setattr(model, "_batch", lambda prompts, requests: sizes.append(len(requests)) or batch(prompts, requests))
    asked = [
        Request(messages=[{"role": "user", "content": text}], temperature=1.2, max_tokens=10, draw=draw)
        for text in ("Tell", "Say it")
        for draw in range(5)
    ]
    together = asyncio.run(model.replies(asked))
    assert sizes == [5, 5] and len({r.text for r in together}) > 6
    assert [asyncio.run(model.replies([r]))[0].text for r in asked] == [r.text for r in together]
