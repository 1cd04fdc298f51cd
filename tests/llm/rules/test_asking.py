"""The rule-based teacher's grammar: questions that people would ask, and none where the grammar is not understood."""

from __future__ import annotations

import re
from random import Random

import pytest

from groundling.llm.rules.english import document_of, lower, names, noun_phrase
from groundling.llm.rules.facts import facts
from groundling.llm.rules.rephrasing import rephrased


def asked(sentence: str, answer: str, title: str = "") -> set[str]:
    """Every way in which the rules ask for the answer, over titles that draw different styles."""
    found = {f.question for n in range(40) for f in facts(sentence, f"{title} > {n}" if title else f" > {n}") if f.answer == answer}
    return {q for q in found if q}


@pytest.mark.parametrize(
    ("sentence", "answer", "wanted"),
    [
        ("Submit the claim within 21 days.", "21 days", "Within how many days should I submit the claim?"),
        ("Hold the button for six seconds.", "six seconds", "How long should I hold the button?"),
        ("The company pays a phone up to €550 every three years.", "every three years", "How often does the company pay a phone up to €550?"),
        ("Hanne publishes the list by 12 December.", "12 December", "By when does Hanne publish the list?"),
        ("The lorry comes at 15:15 from Monday to Friday.", "15:15", "At what time does the lorry come from Monday to Friday?"),
        ("In Finland the week has 37.5 hours on average.", "37.5 hours", "In Finland the week has how many hours on average?"),
        ("If you order early, you get the scale for €390.", "€390", "For how much do you get the scale if you order early?"),
        ("Passwords of the portal need 12 characters.", "12 characters", "How many characters do passwords of the portal need?"),
        ("You have 5 minutes to accept the scale.", "5 minutes", "How many minutes do you have to accept the scale?"),
        ("A check-up takes place within four months of starting.", "four months", "Within how many months of starting does a check-up take place?"),
        ("About 85 % of the staff agreed to it.", "85 %", "What percentage of the staff agreed to it?"),
        ("Printers are called `kal-print-1` in Turku.", "kal-print-1", "What are printers called in Turku?"),
        ("The usual delivery time is three weeks, without Sundays.", "three weeks", "How long is the usual delivery time?"),
    ],
)
def test_questions_as_people_ask_them(sentence: str, answer: str, wanted: str) -> None:
    found = asked(sentence, answer)
    assert wanted in found, found


@pytest.mark.parametrize(
    ("sentence", "answer"),
    [
        ("Office teams can begin between 6:30 and 9:30 every day.", "9:30"),  # half of a range
        ("Use the 5 m antenna cable and bring the antenna outside.", "5 m"),  # belongs to the noun behind it
        ("Hankiro will install 148 Katto 250 scales in three phases.", "250"),  # a part of a name
        ("Wait until the lamp blinks green three times.", "three times"),  # of another verb than the one that would turn
        ("the company opened its second office in 2019.", "2019"),  # no whole sentence
        ("Applications are deleted nine months after the position has been filled.", "nine months"),  # asks without its rest
        ("Down to −45 °C the scale runs on the original cells.", "45 °C"),  # half of a number
        ("Teuvo Hallikas owns 38 %, Aune Lepikmaa 27 %, the staff 15 %.", "27 %"),  # one of a list
        ("The shop opens early, the cafe opens at 9:30 each day.", "9:30"),  # the second of two clauses
    ],
)
def test_nothing_is_asked_where_the_grammar_is_not_understood(sentence: str, answer: str) -> None:
    assert asked(sentence, answer) == set()


def test_a_pronoun_is_asked_about_only_with_the_title_that_tells_what_it_is() -> None:
    sentence = "It is valid for 365 days and then expires."
    assert "How long is it valid (Key rules)?" in asked(sentence, "365 days", "Key rules")
    assert not any(q.startswith("How long is it") for q in {f.question for f in facts(sentence, "")})
    assert not any(
        "title" not in q for q in asked("Its support ends on 30 September 2026.", "30 September 2026", "The title") if q.startswith("When")
    )


def test_questions_end_and_begin_as_questions() -> None:
    text = " ".join(f"The store in hall {n} opens at {n % 12 + 1}:30 and holds {n + 3} boxes of parts." for n in range(60))
    found = [f.question for f in facts(text, "Stores")]
    assert len(found) >= 60
    typed = [q for q in found if not q.endswith("?")]
    assert 0 < len(typed) < len(found) / 6 and all(re.fullmatch(r"[a-z][\w: ]+", q) for q in typed), typed
    assert all(q.endswith("?") and q[0].isupper() and 3 <= len(q.split()) <= 30 for q in set(found) - set(typed)), found[:5]


def test_phrases() -> None:
    assert lower("The building") == "the building" and lower("Passwords of the portal") == "passwords of the portal"
    assert lower("Hankiro Oy") == "Hankiro Oy" and lower("VAT number") == "VAT number" and lower("Katto 250") == "Katto 250"
    assert noun_phrase("The delivery time") and not noun_phrase("After an absence") and not noun_phrase("What it is") and not noun_phrase("a, b")
    assert names("Opening hours") and not names("Keep your calendar honest")
    assert document_of("Price list > Scales > 2026") == "Price list"


def test_a_question_for_the_hour_is_not_turned_into_one_for_the_day() -> None:
    made = {
        rephrased(question, Random(n)) for n in range(40) for question in ("At what time is Diving?", "At what time does the week change on Monday?")
    }
    assert "What time is Diving?" in made and not any(q.startswith("When") for q in made)
    assert "When does the lorry come?" in {rephrased("At what time does the lorry come?", Random(n)) for n in range(40)}
