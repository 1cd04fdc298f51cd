"""House rules: the rule-based teacher asks where things go, and asks nothing where a sentence is no plain rule about a place."""

from __future__ import annotations

import pytest

from groundling.llm.rules.facts import facts


def asked(sentence: str) -> set[tuple[str, str]]:
    return {(f.question, f.answer) for n in range(40) for f in facts(sentence, f" > {n}")}


@pytest.mark.parametrize(
    ("sentence", "question", "answer"),
    [
        ("- Bikes go into the cellar.", "Where do bikes go?", "into the cellar"),
        ("Take off your shoes in the hall.", "Where should I take off my shoes?", "in the hall"),
        ("No smoking on the balcony.", "Where is smoking not allowed?", "on the balcony"),
        ("7. No food at the benches.", "Where is food not allowed?", "at the benches"),
        ("Paint is stored in the metal cupboard.", "Where is paint stored?", "in the metal cupboard"),
        ("Batteries belong in the red box at the entrance.", "Where do batteries belong?", "in the red box at the entrance"),
        ("Tools go back to the wall.", "Where do tools go?", "back to the wall"),
        ("Hang wet laundry in the drying room.", "Where should I hang wet laundry?", "in the drying room"),
        ("Dogs are kept on a lead in the yard.", "Where are dogs kept on a lead?", "in the yard"),
    ],
)
def test_where_things_go_is_asked(sentence: str, question: str, answer: str) -> None:
    assert (question, answer) in asked(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Do not leave anything on the stairs.",
        "Never put oil into the drain of the kitchen.",
        "They go into the cellar of the house.",
        "In winter, bikes go into the cellar.",
        "Put glass into the bin or into the box.",
        "If bikes are wet they go into the cellar.",
        "Bikes that are wet go into the cellar.",
        "Parties end in the evening at the latest.",
        "Leave the keys only in the box.",
        "Look at the list in the office.",
        "No one in the entrance hall.",
        "Some of us played cards in the garden.",
    ],
)
def test_nothing_is_asked_of_what_is_no_plain_rule(sentence: str) -> None:
    assert asked(sentence) == set()
