"""What helps nano to learn: exercises in finding, aims for its attention, an optimiser, and a start that can match."""

import pytest

from groundling.nano import aim, drill, pretrain, tasks, tokenizer
from groundling.nano.model import MARKS
from groundling.seeds import rng


@pytest.fixture(scope="module")
def loaded():
    from transformers import AutoTokenizer

    from groundling.llm.open import resolve

    return AutoTokenizer.from_pretrained(resolve("nano"))


@pytest.fixture(scope="module")
def marks(loaded) -> aim.Marks:
    return pretrain.reading_marks(loaded)


def test_the_words_of_an_exercise_lead_to_one_line_only() -> None:
    answered = absent = 0
    for n in range(200):
        for e in drill.lines(rng(1, n), 3, 4, reach=(1, 3, 0)[n % 3]):
            lines = [set(line.split()) for p in e.passages for line in p.text.lower().replace(".", " \n").split("\n") if line.strip()]
            asked = set(e.question.lower().replace("?", " ").replace(".", " ").split())
            absent += not e.quotes
            if e.quotes:
                answered += 1
                told = asked & set(e.quotes[0].text.lower().rstrip(".").split())
                assert told and sum(told <= line for line in lines) == 1 and e.quotes[0].text in e.passages[e.oracle].text
    assert answered > 300 and 0.1 < absent / (answered + absent) < 0.35


def test_an_aim_is_the_quoted_sentence_in_its_passage(loaded, marks) -> None:
    seen = 0
    for n in range(60):
        conversation = tasks.draw(rng(2, n), 3, 2)
        ids, answer = tokenizer.encode(loaded, conversation)
        found = aim.aims(ids, answer, marks)
        quotes = [m["content"].split(MARKS[0])[1].split(MARKS[1])[0] for m in conversation if MARKS[0] in m["content"]]
        opening = [a for a in found if a.kind == aim.CHOOSE and ids[a.at + 1] == marks.begin]
        assert [loaded.decode(ids[a.start : a.end]).strip() for a in opening] == quotes
        for a in found:
            assert a.start < a.end <= a.at + 1
            seen += a.kind == aim.MATCH and ids[a.at] in ids[a.start : a.end]
    assert seen > 100


def test_an_abstention_aims_at_the_first_token_and_other_formats_have_no_aims(loaded, marks) -> None:
    from groundling.nano.examples import example
    from groundling.records import Passage, Quote

    passages = [Passage(id="0", title="", text="Tea is green.")]
    absent = example("Who drinks tea?", passages, None, "", "en")
    ids, answer = tokenizer.encode(loaded, tasks.conversation([absent]))
    assert [(a.kind, a.start, a.end) for a in aim.aims(ids, answer, marks) if a.kind != aim.GATHER] == [(aim.CHOOSE, 0, 1)]
    present = example("Which colour has tea?", passages, Quote(text="Tea is green.", passage=0), "green", "en")
    for other in ("two-turn", "backward"):
        ids, answer = tokenizer.encode(loaded, tasks.conversation([present], other))
        assert {a.kind for a in aim.aims(ids, answer, marks)} <= {aim.GATHER}


def test_the_end_of_each_sentence_is_to_see_all_of_it(loaded, marks) -> None:
    from groundling.nano.examples import example
    from groundling.records import Passage

    text = "Mount Krolda is 2.5 km high. Its peak is bare\nNobody lives there."
    asked = example("Who was first on top?", [Passage(id="0", title="", text=text)], None, "", "en")
    ids, answer = tokenizer.encode(loaded, tasks.conversation([asked]))
    seen = [loaded.decode(ids[a.start : a.at]).strip() for a in aim.aims(ids, answer, marks) if a.kind == aim.GATHER]
    assert [s for s in seen if s.endswith(("km high", "peak is bare", "lives there"))] == [
        "[0] Mount Krolda is 2.5 km high",
        "Its peak is bare",
        "Nobody lives there",
    ]


def test_the_second_loss_is_the_attention_that_missed_its_aim() -> None:
    import torch

    network = pretrain.fresh(width=128, layers=3, heads=4)
    network.set_attn_implementation("eager")
    sights = aim.Sights(network)
    ids = torch.randint(6, 4000, (2, 30), generator=torch.Generator().manual_seed(0))
    attentions = network(input_ids=ids, output_attentions=True).attentions
    given = torch.tensor([[0, aim.MATCH, 20, 3, 7], [1, aim.MATCH, 29, 0, 1], [1, aim.CHOOSE, 10, 2, 9], [0, aim.GATHER, 25, 5, 9]])
    match, recall, choose, *_, gather = sights.losses(given)
    expected = -(attentions[0][0, 0, 20, 3:7].sum().log() + attentions[0][1, 0, 29, 0].log()) / 2
    assert torch.allclose(match, expected, atol=1e-4) and float(recall) == 0.0
    assert torch.allclose(choose, -attentions[2][1, 0, 10, 2:9].sum().log(), atol=1e-4)
    spread = attentions[0][0, 3, 25, 5:9]
    assert torch.allclose(gather, (0.25 * (0.25 / spread).log()).sum(), atol=1e-4)


def test_a_fresh_network_looks_at_equal_tokens_at_any_distance() -> None:
    import torch

    network = pretrain.fresh(width=160, layers=2, heads=5)
    network.set_attn_implementation("eager")
    ids = torch.randperm(4000, generator=torch.Generator().manual_seed(1))[:200] + 6
    ids[150] = ids[20]
    looks = network(input_ids=ids[None], output_attentions=True).attentions[0][0, :2, 150]
    assert (looks[:, 20] > 10 * looks[:, :150].mean(1)).all()


def test_muon_makes_every_direction_of_a_step_equally_long() -> None:
    import torch

    from groundling.nano.muon import muon, orthogonal

    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 40, 90, generator=torch.Generator().manual_seed(0))))
    assert values.min() > 0.4 and values.max() < 1.3
    p = torch.nn.Parameter(torch.zeros(40, 90))
    p.grad = torch.randn(40, 90, generator=torch.Generator().manual_seed(1))
    muon([p], lr=0.1).step()
    assert 0.1 * 0.2 * 0.5 < float(p.detach().pow(2).mean().sqrt()) < 0.1 * 0.2 * 1.5


@pytest.mark.slow
def test_two_minutes_of_the_making_teach_matching_and_copying(tmp_path) -> None:
    """nano made from nothing, small and short: the loss falls, and attention finds what is asked and what follows."""
    import json

    from transformers import AutoTokenizer

    start = tmp_path / "start"
    tokenizer.train(start, conversations=500)
    network = pretrain.fresh(width=128, layers=4, heads=4)
    plan = pretrain.Plan(steps=350, rate=3e-3, tokens=1024, limit=500, longest=2, stage=1)
    log = pretrain.train(network, AutoTokenizer.from_pretrained(start), plan, tmp_path / "out")
    first, last = log[0], log[-1]
    print(json.dumps([first, last]))
    assert last["loss"] < first["loss"] - 3
    for kind in (aim.MATCH, aim.RECALL, aim.COPY):
        assert last["missed"][kind] < 0.5 < first["missed"][kind]
