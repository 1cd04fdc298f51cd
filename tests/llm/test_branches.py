"""Several replies to one prompt, scored in one pass: the very numbers that stock transformers gives for each on its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundling.errors import ModelError
from groundling.llm.branches import Branches, batch_of, branches, can_share, likelihoods, log_probs, totals
from groundling.llm.local import load_network, load_tokenizer
from groundling.llm.weights import Weights

ASKED = [{"role": "user", "content": "Which pet is it?"}]
LABELS = ["cat", "cat food", "a", "dog and cat and dog"]


@pytest.fixture(scope="module")
def network(tiny_model: Path):
    return load_network(Weights(str(tiny_model)))


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return load_tokenizer(tiny_model)


def alone(network, prompt: list[int], reply: list[int]) -> float:
    """The log-probability of one reply as anybody would compute it: one plain pass over the whole, without padding."""
    import torch

    with torch.inference_mode():
        found = network(torch.tensor([prompt + reply])).logits[0].double().log_softmax(-1)
    return sum(found[len(prompt) + n - 1, token].item() for n, token in enumerate(reply))


def items(tokenizer) -> list[Branches]:
    longer = [{"role": "user", "content": "Which of all the pets that were ever kept in this old house is it?"}]
    return [branches(tokenizer, ASKED, LABELS), branches(tokenizer, longer, LABELS[:2])]


@pytest.mark.parametrize("share", [True, False])
def test_every_reply_has_the_score_that_it_has_alone(network, tokenizer, share: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert can_share(network)
    monkeypatch.setattr("groundling.llm.branches.can_share", lambda network: share)
    asked = items(tokenizer)
    found = likelihoods(network, asked, tokenizer.pad_token_id)
    assert [len(scores) for scores in found] == [4, 2]
    for item, scores in zip(asked, found, strict=True):
        for reply, score in zip(item.replies, scores, strict=True):
            assert score.total == pytest.approx(alone(network, item.prompt, reply), abs=2e-4) and score.tokens == len(reply)
            assert score.mean == pytest.approx(score.total / len(reply))
    assert len({round(score.total, 2) for score in found[0]}) == 4


def test_the_prompt_is_read_once_and_the_vocabulary_projected_at_replies_only(network, tokenizer) -> None:
    [item, _] = items(tokenizer)
    batch = batch_of([item], 0, share=True)
    replies = sum(map(len, item.replies))
    assert batch["input_ids"].shape == (1, len(item.prompt) + replies) and batch["keep"] == replies + 1
    seen = []
    handle = network.lm_head.register_forward_hook(lambda module, given, made: seen.append(made.shape[1]))
    log_probs(network, batch)
    handle.remove()
    assert seen == [replies + 1]
    assert batch_of([item], 0, share=False)["input_ids"].shape[0] == len(item.replies)


@pytest.mark.parametrize("share", [True, False])
def test_columns_filled_up_to_a_whole_number_change_no_score(network, tokenizer, share: bool) -> None:
    """Batches of unlike lengths have one shape, and each token the probability that it has without the filling."""
    import torch

    short, long = items(tokenizer)
    filled, bare = (batch_of([short, long], tokenizer.pad_token_id, share, whole) for whole in (64, 1))
    assert filled["input_ids"].shape[1] == 64 == batch_of([short], 0, share, 64)["input_ids"].shape[1] and bare["input_ids"].shape[1] < 64
    assert filled["keep"] == bare["keep"], "the vocabulary is projected no further"
    with torch.inference_mode():
        assert torch.allclose(log_probs(network, filled), log_probs(network, bare), atol=1e-4)


def test_a_reply_ends_with_its_end_token_so_that_one_may_begin_another(tokenizer) -> None:
    item = branches(tokenizer, ASKED, LABELS)
    assert item.replies[1][: len(item.replies[0]) - 1] == item.replies[0][:-1], "one label begins like the other"
    assert all(reply[-1] == tokenizer.eos_token_id and reply.count(tokenizer.eos_token_id) == 1 for reply in item.replies)
    assert tokenizer.decode(item.prompt).endswith("<|assistant|>\n"), "the header is the prompt's"


def test_what_a_template_writes_after_the_end_is_not_scored(tokenizer) -> None:
    plain = branches(tokenizer, ASKED, LABELS)
    template = tokenizer.chat_template
    try:
        tokenizer.chat_template = template.replace("<|end|>", "<|end|>{{ '\\n' }}")
        trailing = branches(tokenizer, ASKED, LABELS)
        assert trailing.prompt != plain.prompt and trailing.replies == plain.replies
    finally:
        tokenizer.chat_template = template


def test_a_prompt_that_changes_once_it_is_answered_is_refused(tokenizer) -> None:
    template = tokenizer.chat_template
    try:
        tokenizer.chat_template = "{{ messages | length }}" + template
        with pytest.raises(ModelError, match="renders the prompt differently"):
            branches(tokenizer, ASKED, LABELS)
    finally:
        tokenizer.chat_template = template


def test_sums_are_kept_apart() -> None:
    import torch

    assert totals(torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([0, 2, 0, 2]), 3).tolist() == [5.0, 0.0, 10.0]
