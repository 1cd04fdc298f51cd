"""The teacher that is no model: what it asks stands in the text, word for word."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import ModelError
from groundling.llm.base import Request
from groundling.llm.rules.facts import facts, sentences
from groundling.llm.template import Template

TEXT = (
    "# Leave\n\nStaff in Finland have 30 days of annual leave. Leave is requested at least 14 days before it starts. "
    "Every request is approved by Kirsi Alanko in Turku.\n\nA hotel night may cost at most 140 EUR, e.g. in Turku. Write to travel@hankiro.example for more.\n\n"
    "| Product | Price | Delivery |\n|---|---|---|\n| Katla 200 | 480 EUR | 2 weeks |\n| Katla 250 | 690 EUR | 4 weeks |\n\n"
    "**Support hours:** 08:00 to 16:00\n\nPrices are valid until 31 December 2026. The firmware is version 2.4.1. About 85 % of the staff agreed to it."
)


def found(text: str, title: str = "") -> dict[str, str]:
    return {f.answer: f.question for f in facts(text, title)}


@pytest.mark.parametrize(
    ("answer", "asks", "about"),
    [
        ("30 days", "days|long", "Finland"),
        ("140 EUR", "much", "hotel"),
        ("travel@hankiro.example", "e-mail", ""),
        ("31 December 2026", "When|date|until", "valid"),
        ("2.4.1", "version", ""),
        ("85 %", "percentage", "agreed"),
        ("Kirsi Alanko", "who", "request"),
    ],
)
def test_the_rules_find_facts_and_ask_for_them(answer: str, asks: str, about: str) -> None:
    import re

    question = found(TEXT)[answer]
    assert re.search(asks, question, re.I) and about in question, question


def test_table_cells_are_asked_for_by_their_row_and_column() -> None:
    cells = [f for f in facts(TEXT) if f.quote.startswith("|")]
    assert [(f.answer, f.quote) for f in cells] == [
        ("480 EUR", "| Katla 200 | 480 EUR | 2 weeks |"), ("2 weeks", "| Katla 200 | 480 EUR | 2 weeks |"),
        ("690 EUR", "| Katla 250 | 690 EUR | 4 weeks |"), ("4 weeks", "| Katla 250 | 690 EUR | 4 weeks |"),
    ]  # fmt: skip
    assert all(key in f.question for f in cells for key in [f.quote.split("|")[1].strip()])
    assert facts("| Katla 200 | 480 EUR | 2 weeks |\n\nno header") == []


def test_japanese_and_russian_are_asked_in_place() -> None:
    assert found("正社員には毎年20日間の有給休暇が与えられます。") == {"20日間": "正社員には毎年何日間の有給休暇が与えられますか？"}
    assert found("Гарантия на весы действует 3 года со дня покупки.") == {"3 года": "Гарантия на весы действует сколько года со дня покупки?"}


def test_sentences_do_not_end_at_an_abbreviation() -> None:
    assert sentences("Ask Dr. Alanko about it. Then go, e.g. Home.\nNew line。次の文。") == [
        "Ask Dr. Alanko about it.", "Then go, e.g. Home.", "New line。", "次の文。",
    ]  # fmt: skip


def test_a_question_never_holds_its_answer_and_none_comes_twice() -> None:
    every = facts(TEXT * 2, "Leave")
    assert every and all(f.answer not in f.question for f in every)
    assert len({f.question for f in every}) == len(every)


fragment = st.sampled_from(
    [
        *TEXT.split(),
        "\n\n",
        "| a | b |\n|---|---|\n| c | d |\n",
        "20日間です。",
        "3 года",
        "(",
        '"quoted"',
        "$5",
        "1,000.50",
        "07:30",
        "AB-12",
        "**x:** y",
    ]
)


@given(st.lists(fragment, max_size=40).map(" ".join) | st.text(max_size=200), st.sampled_from(["", "Leave > Sick", "a\nb"]))
def test_whatever_the_text_quotes_are_in_it_and_answers_in_the_quote(text: str, title: str) -> None:
    every = facts(text, title)
    for fact in every:
        assert fact.quote in text and fact.answer and fact.answer in fact.quote and fact.question.strip()
    assert facts(text, title) == every, "the same text gives the same facts"


def ask(task: str, **inputs) -> dict:
    request = Request(messages=[{"role": "user", "content": "not read"}], task=task, inputs=inputs)
    [reply] = asyncio.run(Template().replies([request]))
    return json.loads(reply.text)


def test_the_teacher_answers_its_own_questions_verbatim() -> None:
    questions = ask("questions", passage=TEXT, title="Leave", count=8)["questions"]
    assert len(questions) == len(set(questions)) == 8
    for question in questions:
        said = ask("answer", passage=TEXT, title="Leave", question=question)
        assert said["quote"] in TEXT and said["answer"] and said["answer"] in said["quote"]


def test_questions_are_spread_over_sentences_before_one_is_asked_twice() -> None:
    questions = ask("questions", passage=TEXT, title="", count=7)["questions"]
    quotes = {f.asked: f.quote for f in facts(TEXT)}
    assert len({quotes[q] for q in questions}) == 7


def test_some_questions_stand_in_words_that_no_document_has() -> None:
    known = [f for n in range(60) for f in facts(f"The Katla {n} weighs {n + 3} kg with its lid. Repairs take {n + 2} days in the office of Turku.")]
    wrapped = [f for f in known if f.way != "{}"]
    assert 0.25 < len(wrapped) / len(known) < 0.55
    spoken = [f for f in known if f.question.endswith("?")]
    assert len(spoken) > 0.85 * len(known) and all(f.asked[0].islower() or f.asked.startswith("Katla") for f in known if f not in spoken), (
        "typed: nothing around it"
    )
    assert all(f.asked.startswith(f.way.split("{}")[0]) and f.asked.endswith(f.way.split("{}")[1]) for f in spoken)
    assert len({f.way for f in wrapped}) > 5
    reworded = [f for f in known if f.question not in f.asked]
    assert 10 < len(reworded) < len(known) / 2 and all("Katla" in f.asked for f in reworded if "Katla" in f.question)


def test_a_strange_question_or_a_text_without_facts_gets_nothing() -> None:
    assert ask("answer", passage=TEXT, title="", question="Who founded it?") == {"quote": "", "answer": ""}
    assert ask("questions", passage="nothing here", title="", count=3) == {"questions": []}


def test_a_task_it_cannot_do_is_a_sentence() -> None:
    with pytest.raises(ModelError, match='The teacher "template" cannot do the task "judge".*synthesize.teacher'):
        ask("judge")


def test_a_passage_is_read_once_for_its_questions_and_all_their_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    monkeypatch.setattr("groundling.llm.template.facts", lambda text, title: read.append(text) or facts(text, title))
    given = {"passage": "The Hekla of 1987 weighs 31 kg with its lid. Repairs of the Hekla take 12 days in the office of Turku.", "title": "Hekla"}
    asked = json.loads(Template().reply(Request(messages=[], task="questions", inputs={**given, "count": 3})).text)["questions"]
    for question in asked:
        Template().reply(Request(messages=[], task="answer", inputs={**given, "question": question}))
    assert len(asked) > 1 and len(read) == 1
