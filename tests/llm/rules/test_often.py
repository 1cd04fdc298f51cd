"""The rule-based teacher's questions of frequency hold the whole of it, and it measures only what has a measure."""

from __future__ import annotations

import pytest

from groundling.llm.rules.facts import facts
from groundling.llm.rules.often import FREQUENCY


def asked(sentence: str, title: str = "") -> dict[str, set[str]]:
    """Every way in which the rules ask, by the answer, over titles that draw different styles."""
    found: dict[str, set[str]] = {}
    for n in range(40):
        for fact in facts(sentence, f"{title} > {n}"):
            found.setdefault(fact.answer, set()).add(fact.question)
    return found


@pytest.mark.parametrize(
    ("sentence", "answer", "wanted"),
    [
        ("The bins are emptied every two weeks, on Thursday.", "every two weeks", "How often are the bins emptied?"),
        ("The kiln runs twice a week.", "twice a week", "How often does the kiln run?"),
        ("Fees are paid once a month, by the fifth day.", "once a month", "How often are fees paid?"),
        ("The board meets on the first Monday of each month at 18:30.", "on the first Monday of each month", "How often does the board meet?"),
        ("The belts are inspected at least once every two years.", "at least once every two years", "How often are the belts inspected?"),
        ("Rooms are cleaned every other day.", "every other day", "How often are rooms cleaned?"),
        ("A backup is made three times a day.", "three times a day", "How often is a backup made?"),
        ("Clean the tank every 2 to 3 months.", "every 2 to 3 months", "How often should I clean the tank?"),
        ("The society holds its meeting every year in March.", "every year in March", "How often does the society hold its meeting?"),
    ],
)
def test_the_answer_to_how_often_is_the_whole_frequency(sentence: str, answer: str, wanted: str) -> None:
    found = asked(sentence)
    assert wanted in found.get(answer, ()), found
    part = answer.split(" ", 1)[1]
    assert not [q for a, qs in found.items() if a != answer and a in part for q in qs], "no part of it is asked for by itself"


@pytest.mark.parametrize(
    "sentence",
    [
        "You earn two days for every full month worked in the year.",
        "Members get a free lesson for every two weeks of work.",
        "The doctor answers every day until 22:00 in the app.",  # "every day" tells no more than when
        "The archive opens every day of the fair in spring.",
        "It is cleaned every two weeks by the staff.",  # nobody could tell what "it" is
    ],
)
def test_what_is_no_frequency_of_the_sentence_is_not_asked_for_as_one(sentence: str) -> None:
    assert not [q for qs in asked(sentence).values() for q in qs if "how often" in q.lower()]


def test_a_conjunction_is_no_frequency() -> None:
    assert not FREQUENCY.search("The price is paid once a customer has signed.") and not FREQUENCY.search("Once the optician comes, everyone leaves.")


def test_every_is_not_dropped_from_words_as_typed() -> None:
    found = asked("The company pays staff a phone of 550 EUR every three years.")
    assert found and all("every" in q for q in found.get("550 EUR", ()) if "three years" in q), found


@pytest.mark.parametrize(
    ("sentence", "answer", "wanted"),
    [
        ("The trial period is six months in Finland.", "six months", "How long is the trial period in Finland?"),
        ("The discount for members was 12 % in May.", "12 %", "How high was the discount for members in May?"),
        ("The passwords of the portal are at least 14 characters long.", "14 characters", "How long are the passwords of the portal?"),
        ("A notice from the school is needed 14 days in advance.", "14 days", "How many days in advance is a notice from the school needed?"),
    ],
)
def test_a_thing_is_asked_for_by_the_measure_that_it_has(sentence: str, answer: str, wanted: str) -> None:
    assert wanted in asked(sentence)[answer]


@pytest.mark.parametrize(
    "sentence",
    [
        "The condition is six months of employment before the leave starts.",
        "The duty of each member is six hours per season.",
        "The requirement for a loan is 500 EUR in the bank.",
        "The rule for late guests is 40 minutes in summer.",
        "The sums are the same in both countries.",
    ],
)
def test_what_has_no_measure_is_not_asked_for_one(sentence: str) -> None:
    assert asked(sentence) == {}


def test_half_of_a_span_of_time_is_left_out_of_a_question() -> None:
    found = asked("The usual delivery time is two weeks between May and September.")["two weeks"]
    assert "How long is the usual delivery time?" in found and not any("May" in q for q in found)


def test_the_one_who_asks_has_shoes_of_his_own() -> None:
    found = asked("Call your manager within 3 days.")["3 days"]
    assert "Within how many days should I call my manager?" in found
