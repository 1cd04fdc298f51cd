"""One of some labels and nothing else: by the likelihood of each where the model tells it, by a schema where it can only be asked."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from groundling.answer import Answerer, Asked
from groundling.choosing import TOO_LONG, Asking, choose, is_choice, shares, shown
from groundling.grounding import FORMATS
from groundling.llm.base import Reply
from groundling.records import Example, Passage

LABELS = [Passage(id=name, title=name, text=f"about {name}") for name in ("news", "sports", "sports results", "culture")]


def asking(text: str, labels: list[Passage] = LABELS) -> Asking:
    return Asking(FORMATS["labels"].prompt(text, labels), [p.title for p in labels])


class Scorer:
    """Finds each label as likely as it is said to; its free words would be no label at all."""

    name, fingerprint, documents_role = "scorer", "scorer/1", False

    def __init__(self, said: dict[str, float], room: int = 10_000) -> None:
        self.said, self.room = said, room

    async def scores(self, messages: list[dict], replies: list[str]) -> list[float]:
        return [self.said[reply] for reply in replies]

    def fits(self, request) -> bool:
        return len(request.messages[-1]["content"]) <= self.room

    async def replies(self, requests):
        return [Reply(text="motovisual") for _ in requests]


class Talker:
    """A model that can only be asked: it says what the test says, in turn."""

    name, fingerprint, documents_role = "talker", "talker/1", False

    def __init__(self, *said: str) -> None:
        self.said, self.requests = list(said), []

    async def replies(self, requests):
        self.requests += requests
        return [Reply(text=self.said.pop(0)) for _ in requests]


def test_the_likeliest_label_is_chosen_and_its_shares_are_probabilities() -> None:
    [made] = asyncio.run(choose(Scorer({"news": -3.0, "sports": -1.0, "sports results": -2.0, "culture": -50.0}), [asking("A match")]))
    assert made.label == "sports" and not made.fault
    assert made.shares == pytest.approx((0.0900, 0.6652, 0.2447, 0.0), abs=1e-4) and sum(made.shares) == pytest.approx(1)
    assert shares([-2000.0, -2001.0]) == pytest.approx((0.7311, 0.2689), abs=1e-4), "however unlikely all are"


def test_what_stands_around_a_model_does_not_hide_that_it_scores() -> None:
    class Around:
        inner, name = Scorer(dict.fromkeys(("news", "sports", "sports results"), -9.0) | {"culture": 0.0}), "around"

    [made] = asyncio.run(choose(Around(), [asking("An opera")]))
    assert made.label == "culture"


def test_an_endpoint_is_asked_by_a_schema_and_never_gives_another_word() -> None:
    model = Talker('{"choice": "Sports"}', "4", '{"choice": "sci-tower"}')
    first, second = asyncio.run(choose(model, [asking("A match"), asking("A film")][:1])) + asyncio.run(choose(model, [asking("A film")]))
    assert (first.label, first.shares) == ("sports", ()) and second.label == "" and "sci-tower" in second.fault
    assert all(r.schema["properties"]["choice"]["enum"] == [p.title for p in LABELS] for r in model.requests) and len(model.requests) == 3


def test_a_text_that_does_not_fit_has_no_label_and_a_reason() -> None:
    made = asyncio.run(choose(Scorer(dict.fromkeys([p.title for p in LABELS], 0.0), room=400), [asking("x" * 500), asking("short")]))
    assert (made[0].label, made[0].fault) == ("", TOO_LONG) and made[1].label == "news"


def test_an_answerer_leaves_no_label_out_of_the_prompt_and_answers_with_one() -> None:
    """Passages that do not fit are left out for other formats; a label never: five of nine labels is what the published notebook showed."""
    model = Scorer(dict.fromkeys([p.title for p in LABELS], -1.0) | {"culture": -0.1}, room=300)
    short, long = asyncio.run(Answerer(model, FORMATS["labels"]).answers([Asked("An opera", LABELS), Asked("x" * 300, LABELS)]))
    assert (short.text, short.citations, short.invalid, short.left_out, short.finish) == ("culture", [3], [], 0, "stop")
    assert long.finish == "error" and long.left_out == 0 and long.passages == LABELS


def test_the_order_of_labels_hangs_on_the_text_alone() -> None:
    orders = [[p.title for p in shown(LABELS, 1, f"text {n}")] for n in range(400)]
    assert all(sorted(order) == sorted(p.title for p in LABELS) for order in orders)
    first = Counter(order[0] for order in orders)
    assert all(60 < first[p.title] < 140 for p in LABELS), first
    assert shown(LABELS[::-1], 1, "text 3") == shown(LABELS, 1, "text 3") != shown(LABELS, 2, "text 3")


def test_a_choice_is_told_from_an_answer() -> None:
    common = {"id": "e", "recipe": "r", "unit": "u", "document": "d", "question": "?", "support": "memory", "quotes": []}
    assert is_choice(Example(passages=LABELS, oracle=None, answer="culture", **common))
    assert not is_choice(Example(passages=LABELS, oracle=None, answer="opera", **common))
    assert not is_choice(Example(passages=LABELS, oracle=3, answer="culture", **common))


def test_a_model_of_this_machine_scores_labels_with_their_ends(tiny_model: Path) -> None:
    """Labels that begin alike: the end of the reply counts, and the scores are those of the text that was taught."""
    from groundling.llm.local import Local

    model, messages = Local(tiny_model), asking("A match").messages
    [made] = asyncio.run(choose(model, [asking("A match")]))
    scores = asyncio.run(model.scores(messages, [p.title for p in LABELS]))
    assert made.label == LABELS[scores.index(max(scores))].title and made.shares == pytest.approx(shares(scores))
    alone = [asyncio.run(model.scores(messages, [p.title]))[0] for p in LABELS]
    assert scores == pytest.approx(alone, abs=1e-3), "no label sees another"
