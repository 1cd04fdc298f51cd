"""nano's training text is true, its tokenizer loses nothing, its training learns, and its shipped weights load with stock libraries."""

from importlib import resources
from itertools import islice

import pytest

from groundling.nano import measure, names, tasks, tokenizer, world
from groundling.seeds import rng


@pytest.mark.parametrize("language", ["en", "ja", "ru"])
def test_every_fact_of_a_world_stands_verbatim_in_its_passage(language: str) -> None:
    count = 0
    for n in range(150):
        made = world.build(rng(n, language), 4, ["Other matter stands here."], language=language)
        for fact in made.facts:
            count += 1
            assert fact.quote in made.passages[fact.passage][1] and fact.answer in fact.quote
    assert count > 300


def test_unseen_forms_are_never_trained_on() -> None:
    unseen = {(f.kind, f.relation) for f in world.forms("unseen")}
    trained = {(f.kind, f.relation) for f in world.forms("train")}
    assert len(unseen) >= 20 and len(trained) >= 200 and not unseen & trained


def test_an_unanswerable_question_has_no_stated_answer() -> None:
    absent = [e for e in measure.questions(300, "train") if e.support == "abstain"]
    assert 30 <= len(absent) <= 90 and all(e.oracle is None and not e.quotes for e in absent)


def test_the_same_seed_gives_the_same_conversations() -> None:
    assert [tasks.plain(rng(3, n)) for n in range(20)] == [tasks.plain(rng(3, n)) for n in range(20)]


def test_a_value_can_be_made_for_every_type_that_a_form_uses() -> None:
    for split in ("train", "unseen"):
        for form in world.forms(split):
            assert names.value(form.value, rng(1, form.relation)) and names.entity(form.kind, rng(2, form.kind))


def _weights() -> str:
    return str(resources.files("groundling.nano") / "weights")


def test_encoding_piece_by_piece_equals_the_chat_template() -> None:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(_weights())
    for n in range(40):
        messages = tasks.plain(rng(5, n))
        ids, answer = tokenizer.encode(loaded, messages)
        assert ids == loaded.apply_chat_template(messages, return_dict=False)
        trained = loaded.decode([i for i, a in zip(ids, answer, strict=True) if a])
        assert trained == "".join(m["content"] + "<|end|>" for m in messages if m["role"] == "assistant")


def test_any_text_survives_the_tokenizer() -> None:
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(_weights())
    for text in ("Plain text.", "有給休暇は二十日です。", "Гарантия 3 года", "a\n\n| b | c |\n🙂 \t x", "naïve café – 12,5 %"):
        assert loaded.decode(loaded.encode(text, add_special_tokens=False)) == text


def test_a_few_steps_of_pretraining_lower_the_loss(tmp_path) -> None:
    import torch
    from transformers import AutoTokenizer

    from groundling.nano import begin, pretrain

    loaded = AutoTokenizer.from_pretrained(_weights())
    network = begin.fresh(width=96, layers=2, heads=3)
    plan = pretrain.Plan(tokens=1024, longest=1, limit=400, stage=2)
    optimizers = pretrain._optimizers(network, 5e-3)
    losses = []
    torch.manual_seed(0)
    for batch in islice(pretrain.batches(loaded, plan), 40):
        loss, _ = pretrain.loss_of(network, batch)
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 1.0


def test_the_loss_counts_answer_tokens_only() -> None:
    import torch
    from transformers import AutoTokenizer

    from groundling.nano import begin, pretrain

    loaded = AutoTokenizer.from_pretrained(_weights())
    network = begin.fresh(width=96, layers=2, heads=3).eval()
    batch = next(pretrain.batches(loaded, pretrain.Plan(tokens=1500, longest=1, context_share=0.0, stage=2)))
    loss, plain = pretrain.loss_of(network, batch)
    logits = network(input_ids=batch.ids).logits[:, :-1]
    at = batch.weight[:, 1:] > 0
    losses, weight = torch.nn.functional.cross_entropy(logits[at], batch.ids[:, 1:][at], reduction="none").detach(), batch.weight[:, 1:][at]
    assert float(loss.detach()) == pytest.approx(float((losses * weight).sum() / weight.sum()), rel=1e-4)
    assert plain == pytest.approx(float(losses.mean()), rel=1e-4)


def test_the_tokens_that_decide_weigh_more_than_those_that_copy() -> None:
    from groundling.nano.pretrain import weights

    inside = [False, False, *[True] * 10, False]
    assert weights([1, 2, 10, 11, 12, 13, 14, 15, 99, 16, 17, 3, 1], inside, 0.3, 99) == [0.3, 0.3, *[6.0] * 6, 1.0, 3.0, 3.0, 3.0, 0.3]
