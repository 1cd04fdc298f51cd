"""The rule-based teacher's questions about tables, lists and names: as people ask them, about whole rows, and in the words of a name."""

from __future__ import annotations

import re

import pytest

from groundling.llm.rules.english import lower
from groundling.llm.rules.facts import Fact, facts
from groundling.llm.sentences import sentences

PRICES = "Velomar rents bicycles.\n\n| Bicycle | Hour | Lead time |\n|---|---|---|\n| City bike | 4 EUR | 2 days |\n| Trekking bike | 6 EUR | 3 days |\n\nEnd."


def asked(text: str, answer: str, title: str = "") -> set[str]:
    """Every way in which the rules ask for the answer, over titles that draw different styles."""
    return {f.question for n in range(40) for f in facts(text, f"{title} > {n}" if title else f" > {n}") if f.answer == answer}


@pytest.mark.parametrize(
    ("column", "row", "cell", "wanted"),
    [
        ("Hour", "City bike", "4 EUR", "What is the price of the city bike per hour?"),
        ("Points", "Bronze", "200", "How many points are given for Bronze?"),
        ("Price", "Katto 250", "€945", "What is the price of Katto 250?"),
        ("2025", "Electricity", "9", "What was the figure for electricity in 2025?"),
        ("Estonia", "Yearly ceiling", "48 h", "What is the yearly ceiling in Estonia?"),
        ("Order number", "Seals, set of four", "HNK-T4", "What is the order number of “Seals, set of four”?"),
    ],
)
def test_a_cell_is_asked_for_in_a_whole_sentence(column: str, row: str, cell: str, wanted: str) -> None:
    found = asked(f"| What | {column} |\n|---|---|\n| {row} | {cell} |\n| Other | x |\n", cell)
    assert wanted in found, found
    assert not any(re.search(rf"[a-z] (?:the )?{column}\b", q) for q in found if column[0].isalpha() and column != "Estonia"), "capital of the cell"


def test_few_questions_of_tables_are_words_as_typed() -> None:
    rows = "".join(f"| Katla {n} | {n + 400} EUR |\n" for n in range(200))
    found = [f.question for f in facts(f"| Product | Price |\n|---|---|\n{rows}")]
    typed = [q for q in found if not q.endswith("?")]
    assert len(found) == 200 and 0 < len(typed) <= 20 and all(re.fullmatch(r"Katla \d+ price", q) for q in typed)
    assert not any(re.search(r":|, ", q) for q in found)


def test_values_of_lists_are_asked_for_as_what_they_are() -> None:
    text = "Deposits of all kinds are these here.\n\n- City bike: 50 EUR\n- Lost tag: tell Triin at once\n- Author: Pavel Horak\n- Minutes: Ilse Brandt\n"
    found = {f.answer: f.question for f in facts(text, "Rules")}
    assert found["50 EUR"] == "How much is it for the city bike (Rules)?"
    assert found["Pavel Horak"] == "Who is the author (Rules)?"
    assert found["Ilse Brandt"] == "Who took the minutes (Rules)?"
    assert "tell Triin at once" not in found, "no question of the key is natural"


@pytest.mark.parametrize(
    ("cut", "gone"),
    [
        ("bike | 4 EUR | 2 days |\n| Trekking bike | 6 EUR | 3 days |", "bike | 4 EUR | 2 days |"),
        ("4 EUR | 2 days of the year and of the week |\n| Trekking bike | 6 EUR | 3 days |", "2 days of"),
        ("Bicycle | Hour |\n|---|---|\n| City bike | 4 EUR |", "| City bike | 4 EUR |"),  # whose head is cut
        ("| Bicycle | Hour |\n|---|---|\n| City bike | 4 EUR |\n| Cargo bike | 11", "| Cargo bike | 11"),
        ("| Bicycle | Hour |\n|---|---|\n| City bike | 4 EUR |\n| Cargo bikes cost 11 EUR an hour in summer", "Cargo bikes cost"),
        ("takes eleven days in all |\n\nThe shop opens at 7:00 on weekdays.", "eleven days"),
    ],
)
def test_a_row_that_the_edge_of_a_passage_cuts_is_neither_quoted_nor_asked_about(cut: str, gone: str) -> None:
    assert not [f for f in facts(cut) if gone in f.quote]


def test_rows_within_a_passage_and_tables_without_outer_bars_are_asked_about() -> None:
    assert {f.answer for f in facts(PRICES)} == {"4 EUR", "2 days", "6 EUR", "3 days"}
    assert {f.answer for f in facts("Bicycle | Hour\n---|---\nCity bike | 4 EUR\nCargo bike | 11 EUR")} == {"4 EUR", "11 EUR"}
    assert {f.answer for f in facts(PRICES[PRICES.index("|") : PRICES.index("\n\nEnd")])} == {"4 EUR", "2 days", "6 EUR", "3 days"}


def _every(text: str, title: str = "") -> list[Fact]:
    """Facts whose questions are put in other words by many draws."""
    return [f._replace(quote=f"{f.quote}{n}") for f in facts(text, title) for n in range(60)]


def test_no_word_of_a_name_is_replaced_in_whatever_letters_the_question_has_it() -> None:
    text = (
        f"{PRICES}\n\nThe wheel of the city bike weighs 4 kg with its tyre. Each employee of the Repair shop gets 9 EUR for each mistake in a week."
    )
    found = {f.asked for f in _every(text, "Bicycle company")}
    about = [q for q in found if "wheel" in q]
    assert about and all("city bike" in q for q in about)
    assert any("worker" in q for q in found) and not any("store" in q for q in found)
    titled = {f.asked for f in _every("It is valid for 365 days and then expires.", "Rule of the company > Cards")}
    assert titled and all("Rule of the company" in q for q in titled if "(" in q)


def test_a_compound_that_stands_in_no_name_keeps_its_words_too() -> None:
    found = {f.asked for f in _every("The battery of the city bike holds 500 litres for each customer. Theft insurance costs 3 EUR for customers.")}
    assert any("client" in q for q in found) and all("city bike" in q for q in found if "litres" in q)


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("Ask the accountant, Mr. Pavel Horak.", None),
        ("Ask Prof. Brandt or Dr. J. R. Smith about it.", None),
        ("Bring tools, e.g. Allen keys, i.e. Inbus keys.", None),
        ("Call the desk, ext. 123, or Ms. Kask.", None),
        ("The letter came from Mr.\nPavel Horak.", None),
        ("Ask Mr. Horak. Then go home.", "Then go home."),
    ],
)
def test_no_sentence_is_cut_at_an_abbreviation_or_an_initial(text: str, last: str | None) -> None:
    assert sentences(text) == ([text] if last is None else [text.removesuffix(f" {last}"), last])


def test_a_question_keeps_the_abbreviation_whole() -> None:
    found = asked("A difference is reported to Mr. Pavel Horak within 21 days of the count.", "21 days")
    assert found and all("Mr. Pavel Horak" in q for q in found if q.endswith("?")), found
    assert asked("J. Smith pays the shop 40 EUR for each wheel.", "40 EUR") == set() or all(
        "Smith" in q and not q.startswith("Smith") for q in asked("J. Smith pays the shop 40 EUR for each wheel.", "40 EUR")
    )


@pytest.mark.parametrize(
    ("sentence", "answer", "wanted"),
    [
        ("Theft must be reported within 12 hours.", "12 hours", "Within how many hours must theft be reported?"),
        ("Disc brake pads are changed at 0.8 mm.", "0.8 mm", "At how many millimetres are disc brake pads changed?"),
        ("With Katto, an operator phones you within ten minutes.", "ten minutes", "Within how many minutes does an operator phone you with Katto?"),
        ("Friends of staff get 25 percent off.", "25 percent", "What percentage do friends of staff get off?"),
        ("The new locks cost 640 EUR.", "640 EUR", "How much do the new locks cost?"),
        ("Tell Otto Kynsilehto the same day.", "Otto Kynsilehto", "Who should I tell the same day?"),
        ("The trekking bike has a derailleur with 27 speeds.", "27 speeds", "The trekking bike has a derailleur with how many speeds?"),
    ],
)
def test_faults_that_a_reader_found(sentence: str, answer: str, wanted: str) -> None:
    found = asked(sentence, answer)
    assert wanted in found, found


def test_typed_questions_read_as_typed_ones() -> None:
    found = asked("Carried days expire on 31 December of each year.", "31 December")
    typed = {q for q in found if not q.endswith("?")}
    assert any(q.startswith("carried days expire") and q.endswith("when") and "," not in q for q in typed), found


@pytest.mark.parametrize(
    ("sentence", "answer", "never"),
    [
        ("The trekking bike has a derailleur with 27 speeds.", "27 speeds", "^With how many"),  # hangs on the noun
        ("A new one costs the firm €15 from the second loss.", "€15", "^[a-z]"),  # typed without its "one"
        ("Tykky must not be booked without asking for four hours.", "four hours", "must Tykky not"),
        ("Last winter we shovelled 31 roofs of the town.", "31 roofs", "should I"),
        ("The scale had a warranty of two years and registration had to be made within 30 days.", "30 days", "^The scale had"),
        ("Premium economy may be booked for flights of more than nine hours.", "nine hours", "flights of how many"),
    ],
)
def test_what_a_reader_found_to_be_wrong_is_not_asked(sentence: str, answer: str, never: str) -> None:
    assert not [q for q in asked(sentence, answer) if re.search(never, q)]


def test_a_word_that_began_a_sentence_has_a_capital_inside_only_if_it_is_a_name() -> None:
    text = "Absinth must be ordered within 3 days. All absinth is cooled. Saimi must be asked within 4 days. Ask Saimi, or any saimi-like person."
    assert "Within how many days must absinth be ordered?" in asked(text, "3 days")
    assert "Within how many days must Saimi be asked?" in asked(text, "4 days")
    assert not any(re.search(r"[a-z] Absinth|saimi", question) for answer in ("3 days", "4 days") for question in asked(text, answer))
    assert "At how many bar do city bikes run?" in asked("City bikes run at 4.0 bar.", "4.0 bar")


def test_names_of_languages_keep_their_capital_and_other_scripts_get_no_english_sentence() -> None:
    assert lower("Russian-language line") == "Russian-language line"
    assert asked("| Параметр | Значение |\n|---|---|\n| Вес | лёгкий |", "лёгкий") == {"Вес: Значение?"}
