"""The same asked shorter, or with another turn: what is left out tells nothing apart, and every turn is safe where it stands."""

from __future__ import annotations

from random import Random

from groundling.llm.rules.rephrasing import rephrased
from groundling.llm.rules.shortening import shortened


def shorter(question: str) -> set[str]:
    return {shortened(question, Random(n)) for n in range(100)} - {question}


def turned(question: str) -> set[str]:
    return {rephrased(question, Random(n)) for n in range(200)}


def test_words_that_tell_nothing_apart_and_phrases_at_the_end_are_left_out() -> None:
    assert shorter("How long is the usual delivery time of spare wheels?") == {"How long is the delivery time of spare wheels?"}
    assert shorter("How many litres does the water tank hold in the winter?") == {"How many litres does the water tank hold?"}


def test_names_numbers_and_what_is_asked_about_are_never_left_out() -> None:
    for question in (
        "How much does the company pay for a phone?",
        "How many scales were sold in Finland?",
        "How many scales were sold in 2019?",
        "The station shop closes at what time?",
        "How much does the yearly card cost?",
        "How long is the usual time in the hall?",  # too little would be left
        "What does an official repair of wheels cost?",  # "an repair"
        "The till starts each day with how much money in change?",  # a part of what is asked for
    ):
        assert shorter(question) == set(), question


def test_about_a_quarter_of_what_can_be_shortened_is() -> None:
    question = "How many litres does the water tank hold in the winter?"
    assert 60 < sum(shortened(question, Random(n)) != question for n in range(400)) < 140


def test_turns() -> None:
    assert {"Within how many days must I submit the claim?", "Within how many days do we have to submit the claim?"} <= turned(
        "Within how many days should I submit the claim?"
    )
    assert "What does the wheel cost?" in turned("How much does the wheel cost?")
    assert turned("How much does the wheel weigh?") == {"How much does the wheel weigh?"}
    assert "How much time does a repair take?" in turned("How long does a repair take?")
    assert "How frequently are chains oiled?" in turned("How often are chains oiled?")


def test_who_is_called_you_speaks_of_themselves_unless_another_you_is_left() -> None:
    assert "How many days do I have to accept my scale?" in turned("How many days do you have to accept your scale?")
    assert turned("How many days do you have if they call you?") == {"How many days do you have if they call you?"}
