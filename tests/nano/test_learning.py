"""What helps nano to learn: exercises in finding, aims for its attention, an optimiser, and a start that can match."""

import pytest

from groundling.nano import aim, begin, drill, model, pretrain, tasks, tokenizer
from groundling.nano.model import MARKS
from groundling.nano.sight import Sights
from groundling.seeds import rng

BEFORE = {aim.ASKED, aim.NEAR, aim.GATHER}  # what follows from the question before the passages


@pytest.fixture(scope="module")
def loaded():
    from transformers import AutoTokenizer

    from groundling.llm.weights import resolve

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


def test_what_is_copied_is_to_see_the_token_that_comes_next_and_the_two_before(loaded, marks) -> None:
    answers = 0
    for n in range(20):
        ids, answer = tokenizer.encode(loaded, tasks.conversation(tasks.from_world(rng(3, n), 2)))
        found = aim.aims(ids, answer, marks)
        copied = [a for a in found if a.kind == aim.COPY]
        assert all(ids[a.at + 1] == ids[a.start] and answer[a.at] and a.end == a.start + 1 for a in copied)
        answers += sum(marks.answer in ids[: a.at + 1] and answer[a.start] for a in copied)  # an answer's token, where it stands in the quote
        assert {a.at - a.start for a in found if a.kind == aim.PREVIOUS} <= {1} and {a.at - a.start for a in found if a.kind == aim.SECOND} <= {2}
        assert bool(copied) == any(a.kind == aim.SECOND for a in found)
    assert answers > 20


def test_where_an_answer_begins_its_first_and_last_word_are_to_be_seen_and_the_question(loaded, marks) -> None:
    from groundling.nano.examples import example
    from groundling.records import Passage, Quote

    text = "The fee of Katto is 12 gold coins a year."
    asked = example("How high is the fee?", [Passage(id="0", title="", text=text)], Quote(text=text, passage=0), "12 gold coins", "en")
    ids, answer = tokenizer.encode(loaded, tasks.conversation([asked]))
    found = aim.aims(ids, answer, marks)
    (first,) = (a for a in found if a.kind == aim.FIRST)
    assert (
        loaded.decode(ids[first.at + 1 : first.at + 2]) == loaded.decode(ids[first.start : first.end])
        and marks.answer in ids[first.at - 1 : first.at + 1]
    )
    lasts = [a for a in found if a.kind == aim.LAST]
    assert {loaded.decode(ids[a.start : a.end]).strip() for a in lasts} == {"coins"}
    assert [a.at for a in lasts] == list(range(first.at, first.at + len(lasts)))
    assert loaded.decode(ids[lasts[-1].at + 1 : lasts[-1].at + 2]) == model.END  # the answer's last word is told that nothing follows
    (again,) = (a for a in found if a.kind == aim.RECALL and a.at == first.at)
    assert "How high is the fee?" in loaded.decode(ids[again.start : again.end])


def test_an_abstention_aims_at_the_first_token_and_other_formats_have_no_aims(loaded, marks) -> None:
    from groundling.nano.examples import example
    from groundling.records import Passage, Quote

    passages = [Passage(id="0", title="", text="Tea is green.")]
    absent = example("Who drinks tea?", passages, None, "", "en")
    ids, answer = tokenizer.encode(loaded, tasks.conversation([absent]))
    assert [(a.kind, a.start, a.end) for a in aim.aims(ids, answer, marks) if a.kind not in BEFORE] == [(aim.CHOOSE, 0, 1)]
    present = example("Which colour has tea?", passages, Quote(text="Tea is green.", passage=0), "green", "en")
    for other in ("two-turn", "backward"):
        ids, answer = tokenizer.encode(loaded, tasks.conversation([present], other))
        assert not aim.aims(ids, answer, marks)


def _shown(loaded, marks, question: str, text: str) -> tuple[list[int], list[aim.Aim]]:
    from groundling.nano.examples import example
    from groundling.records import Passage

    asked = example(question, [Passage(id="0", title="", text=text)], None, "", "en")
    ids, answer = tokenizer.encode(loaded, tasks.conversation([asked]))
    return ids, aim.aims(ids, answer, marks)


def test_the_end_of_each_sentence_is_to_see_its_words_that_were_asked_for(loaded, marks) -> None:
    ids, found = _shown(loaded, marks, "Who was first on the peak?", "Mount Krolda is 2.5 km high. Its peak is bare\nNobody lives there.")
    seen: dict[int, list[str]] = {}
    for a in found:
        if a.kind == aim.GATHER:
            seen.setdefault(a.at, []).append(loaded.decode(ids[a.start : a.end]).strip())
    words = ["".join(w for w in seen[at] if w.isalpha()) for at in sorted(seen)]
    assert [w for w in words if w] == ["peak"] and len(words) >= 3
    asked = [a for a in found if a.kind == aim.ASKED and a.start > 0]
    assert asked and all(ids[a.at] == ids[a.start] and a.start < a.at for a in asked)


def test_a_word_sees_one_that_means_nearly_the_same_in_the_question(loaded, marks) -> None:
    import numpy as np

    table = np.zeros((len(loaded), 2), dtype=np.float32)
    for word, vector in ((" price", (1.0, 0.0)), (" cost", (0.8, 0.6)), (" green", (0.0, 1.0))):
        table[loaded.encode(word, add_special_tokens=False)[0]] = vector
    knowing = marks._replace(meaning=table)
    ids, found = _shown(loaded, knowing, "Tell me the cost of it?", "A price is here now. Green is green again.")
    near = {loaded.decode([ids[a.at]]).strip(): loaded.decode([ids[a.start]]).strip() for a in found if a.kind == aim.NEAR and a.start > 0}
    assert near["price"] == near["green"] == "cost"  # cosines 0.8 and 0.6
    ids, found = _shown(loaded, knowing, "Tell me the price of it?", "Its cost is here now. Green is green again.")
    assert "green" not in {loaded.decode([ids[a.at]]).strip() for a in found if a.kind == aim.NEAR and a.start > 0}


def test_the_second_loss_is_the_attention_that_missed_its_aim() -> None:
    import torch

    network = begin.fresh(width=128, layers=4, heads=4)
    network.set_attn_implementation("eager")
    sights = Sights(network)
    ids = torch.randint(6, 4000, (2, 30), generator=torch.Generator().manual_seed(0))
    attentions = network(input_ids=ids, output_attentions=True).attentions
    given = torch.tensor([[0, aim.MATCH, 20, 3, 7], [1, aim.MATCH, 29, 0, 1], [1, aim.CHOOSE, 10, 2, 9], [0, aim.GATHER, 25, 5, 9]])
    losses = sights.losses(given)
    expected = -(attentions[0][0, 0, 20, 3:7].sum().log() + attentions[0][1, 0, 29, 0].log()) / 2
    assert torch.allclose(losses[aim.MATCH], expected, atol=1e-4) and float(losses[aim.RECALL]) == 0.0
    looks = [attentions[layer][1, 0, 10, 2:9].sum().log() for layer in (2, 3)]  # the choice, and the second look at it
    assert torch.allclose(losses[aim.CHOOSE], -sum(looks) / 2, atol=1e-4)
    assert torch.allclose(losses[aim.GATHER], -attentions[1][0, 3, 25, 5:9].sum().log(), atol=1e-4)


def test_a_fresh_network_looks_at_equal_tokens_at_any_distance() -> None:
    import torch

    network = begin.fresh(width=160, layers=2, heads=5)
    network.set_attn_implementation("eager")
    ids = torch.randperm(4000, generator=torch.Generator().manual_seed(1))[:200] + 6
    ids[150] = ids[20]
    looks = network(input_ids=ids[None], output_attentions=True).attentions[0][0, :2, 150]
    assert (looks[:, 20] > 10 * looks[:, :150].mean(1)).all()


def test_a_fresh_network_looks_at_words_that_mean_the_same() -> None:
    import torch

    meaning = torch.nn.functional.normalize(torch.randn(model.VOCABULARY, 20, generator=torch.Generator().manual_seed(0)), dim=1)
    meaning[100] = torch.nn.functional.normalize(meaning[200] + 0.4 * meaning[300], dim=0)
    network = begin.fresh(width=128, layers=2, heads=4, meaning=meaning.numpy())
    network.set_attn_implementation("eager")
    ids = torch.randperm(4000, generator=torch.Generator().manual_seed(1))[:200] + 400
    ids[20], ids[150] = 100, 200
    looks = network(input_ids=ids[None], output_attentions=True).attentions[begin.NEAR_LAYER][0, begin.NEAR_HEAD, 150]
    assert looks[20] > 5 * looks[:150].mean()


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
    network = begin.fresh(width=128, layers=4, heads=4)
    plan = pretrain.Plan(steps=1000, rate=6e-3, tokens=1024, limit=500, longest=2, stage=1)
    log = pretrain.train(network, AutoTokenizer.from_pretrained(start), plan, tmp_path / "out")
    first, last = log[0], log[-1]
    print(json.dumps([first, last]))
    assert last["loss"] < first["loss"] - 3
    for kind, reached in ((aim.COPY, 0.5), (aim.SECOND, 0.5), (aim.RECALL, 0.7), (aim.ASKED, 1.1)):
        assert last["missed"][kind] < reached < first["missed"][kind] - 2
