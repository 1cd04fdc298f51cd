"""How much a reply surprises a local model: what its own probabilities say, the end of the reply included."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from groundling.agent.ranking import likeliest
from groundling.llm.journal import Journal
from groundling.llm.journaled import Journaled
from groundling.llm.local import Local

ASKED = [{"role": "user", "content": "Where is the scale?"}]
REPLIES = ["In hall 12.", "It stands in the hall behind the stairs, as was said.", "In hall 12."]


def test_perplexities_are_those_of_the_network(tiny_model: Path, tmp_path: Path) -> None:
    import torch

    model = Local(tiny_model)
    found = asyncio.run(model.perplexities(ASKED, REPLIES))
    prompt = model.encode(ASKED)
    for reply, perplexity in zip(REPLIES, found, strict=True):
        whole = model.tokenizer.apply_chat_template([*ASKED, {"role": "assistant", "content": reply}], return_dict=False)
        end = len(whole) - whole[::-1].index(model.tokenizer.eos_token_id)
        with torch.inference_mode():
            logits = model.network(torch.tensor([whole[:end]])).logits[0].double().log_softmax(-1)
        told = [logits[n - 1, whole[n]].item() for n in range(len(prompt), end)]
        assert perplexity == pytest.approx(math.exp(-sum(told) / len(told)), rel=1e-4)
    assert found[0] == pytest.approx(found[2]) and found[0] != pytest.approx(found[1])
    journal = Journal(tmp_path / "journal.sqlite")
    best = asyncio.run(likeliest(Journaled(model, journal), ASKED[0]["content"], REPLIES[:2]))
    journal.close()
    assert best == min(range(2), key=lambda n: found[n]), "also through the journal"
