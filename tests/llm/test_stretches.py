"""Rows leave a batch when they have ended; what the others write is what they write alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from groundling.llm.stretches import STRETCH, generated

PROMPTS = [[5, 9, 40, 77], [300, 8], [12, 13, 14, 15, 16, 17, 18], [900, 31, 7]]
MOST = 3 * STRETCH + 3


@pytest.fixture(scope="module")
def network(tiny_model: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


class Favours:
    """Makes one token likelier in each row, another in each: who goes on with the wrong row's is found out."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self.tokens = list(tokens)

    def __call__(self, input_ids, scores):
        for row, ids, token in zip(scores, input_ids, self.tokens, strict=True):
            row[token] += 1000 * (ids[-1] != token)  # every second token
        return scores

    def keep(self, rows: Sequence[int]) -> None:
        self.tokens = [self.tokens[n] for n in rows]


def counted(network, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The (rows, tokens) of each pass through the network from now on."""
    seen: list[tuple[int, int]] = []
    forward = network.model.forward
    monkeypatch.setattr(network.model, "forward", lambda input_ids, **more: seen.append(tuple(input_ids.shape)) or forward(input_ids, **more))
    return seen


def test_rows_that_have_ended_leave_and_the_others_write_what_they_write_alone(network, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = [21, 22, 23, 24]
    alone = [generated(network, [p], 0, MOST, lambda ids: False, [Favours([t])])[0] for p, t in zip(PROMPTS, tokens, strict=True)]
    assert all(len(ids) == MOST and t in ids for ids, t in zip(alone, tokens, strict=True))
    # The first row ends in the first stretch, the third in the second one, the others never.
    ends = {0: 3, 2: STRETCH + 2}
    last = {tuple(alone[n][:at]): n for n, at in ends.items()}
    seen = counted(network, monkeypatch)
    found = generated(network, PROMPTS, 0, MOST, lambda ids: any(tuple(ids[: len(k)]) == k for k in last), [Favours(tokens)])
    assert [ids[: ends.get(n, MOST)] for n, ids in enumerate(found)] == [ids[: ends.get(n, MOST)] for n, ids in enumerate(alone)]
    assert [len(ids) for ids in found] == [STRETCH, MOST, 2 * STRETCH, MOST]
    assert seen[0] == (4, 7), "the prompts are read once, together"
    assert [rows for rows, _ in seen[1:]] == [4] * (STRETCH - 1) + [3] * STRETCH + [2] * (STRETCH + 3), "no step for a row that has ended"
    assert {length for _, length in seen[1:]} == {1}, "nothing is read twice"


def test_a_model_whose_cache_cannot_leave_rows_out_is_generated_in_one_stretch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(3)
    sliding = MistralForCausalLM(
        MistralConfig(
            vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
            sliding_window=4, initializer_range=0.5, eos_token_id=None, bos_token_id=None,
        )
    ).eval()  # fmt: skip
    seen = counted(sliding, monkeypatch)
    found = generated(sliding, [[5, 6, 7], [8]], 0, MOST, lambda ids: True)
    assert [len(ids) for ids in found] == [MOST, MOST] and {rows for rows, _ in seen} == {2}


def test_all_stop_where_all_have_ended(network, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = counted(network, monkeypatch)
    found = generated(network, PROMPTS, 0, MOST, lambda ids: True)
    assert [len(ids) for ids in found] == [STRETCH] * 4 and len(seen) == STRETCH
