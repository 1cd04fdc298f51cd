"""Nothing of the evaluation in training: exact, near, and runs of words; with a file of questions and without."""

from __future__ import annotations

import pytest

from groundling.records import Passage, Question, Turn

from .world import ASKED, NOTHING, Context, abstaining, example, kept, verdicts

LONG = "What must an employee of the Tallinn office do before a business trip abroad that lasts longer than two full weeks?"
JA = "海外出張が二週間を超える場合に社員が出発前に人事部へ提出しなければならない書類は何ですか"


def asking(*questions: str, **known) -> Context:
    return Context([Question(id=str(n), question=q, **{"answers": [], "answerable": True} | known) for n, q in enumerate(questions)])


def test_the_same_question_however_it_is_written() -> None:
    told = verdicts("leaked", [example(question=q) for q in ("who approves the LEAVE", "Who approves\nthe leave??", "Who approves leave?")], ASKED)
    assert told == ["asked in the evaluation", "asked in the evaluation", None]
    assert verdicts("leaked", [example(question="有給は何日ですか")], asking("有給は何日ですか？")) == ["asked in the evaluation"]


def test_also_in_an_earlier_turn() -> None:
    turns = [Turn(question="Who approves the leave?", answer="Kirsi.")]
    assert verdicts("leaked", [example(question="And in Riga?", history=turns)], ASKED) == ["asked in the evaluation"]


def test_a_question_without_any_letter_is_not_every_other_one() -> None:
    assert verdicts("leaked", [example(question="！！")], asking("???")) == [None]


@pytest.mark.parametrize(
    ("asked", "near"),
    [(LONG, LONG.replace("must an", "does an")), (JA, JA.replace("何ですか", "何でしょうか"))],
    ids=["English", "Japanese"],
)
def test_a_near_question_is_dropped_unless_it_is_switched_off(asked: str, near: str) -> None:
    one = [example(question=near)]
    assert verdicts("leaked", one, asking(asked), ngram=0) == ["nearly asked in the evaluation"]
    assert verdicts("leaked", one, asking(asked), ngram=0, near=0) == [None]


def test_another_number_makes_another_question() -> None:
    asked = "How much does one battery for the scale Katla 200 cost in Estonia?"
    assert verdicts("leaked", [example(question=asked.replace("200", "250"))], asking(asked)) == [None]
    assert verdicts("leaked", [example(question=asked.replace("Estonia", "Estonia now"))], asking(asked)) == ["nearly asked in the evaluation"]


@pytest.mark.parametrize(("text", "first", "size"), [(LONG, 14, 13), (JA, 30, 26)], ids=["words", "characters"])
def test_a_run_of_words_of_a_question_or_an_answer(text: str, first: int, size: int) -> None:
    japanese = size == 26
    unit, gap = (list(text), "") if japanese else (text.split(), " ")
    carried = f"それでは{gap.join(unit[:first])}、教えて" if japanese else f"Tell me once more {gap.join(unit[:first])} and why so."
    few = f"それでは{gap.join(unit[: size - 1])}、教えて" if japanese else f"Tell me {gap.join(unit[: size - 1])} and why so."
    for context in (asking(text), asking("?", answers=[text])):
        told = verdicts("leaked", [example(question=carried), example(question=few), example(answer=carried)], context, near=0)
        assert told == ["words of the evaluation", None, "words of the evaluation"]
    assert verdicts("leaked", [example(question=carried)], asking(text), near=0, ngram=0) == [None]


def test_shared_passages_are_no_leak_unless_they_are_asked_to_be() -> None:
    secret = asking("Who?", passage="staff have  25 days")
    assert verdicts("leaked", [example()], secret) == [None]
    elsewhere = example(passages=[Passage(id="c", title="", text="Nothing.")], oracle=None, support="memory", quotes=[])
    assert verdicts("leaked", [example(), elsewhere], secret, passages=True) == ["passage of the evaluation", None]


def test_without_questions_the_held_out_examples_that_cite_are_the_evaluation() -> None:
    examples = [
        example(id="held", split="held_out"), example(id="leak", question="how many DAYS"), abstaining(id="held too", split="held_out", question="Why?"),
        example(id="fine", question="Why?"),
    ]  # fmt: skip
    assert kept("leaked", examples, NOTHING) == ["fine", "held", "held too"]
    assert kept("leaked", examples, ASKED) == ["fine", "held", "held too", "leak"], "they are not asked where there is a file"
    assert kept("leaked", examples[1:], NOTHING) == ["fine", "held too", "leak"]
    shows = example(id="shows", question="Why is it so?", answer="So it is")
    assert kept("leaked", [examples[0], shows], NOTHING) == ["held", "shows"]
    assert kept("leaked", [examples[0], shows], NOTHING, passages=True) == ["held"]


def test_where_held_out_examples_are_asked_of_whatever_kind_they_and_the_file_are_the_evaluation() -> None:
    """Formats that are not grounded: their rows rest on nothing shown, and a file of questions may be asked besides."""
    rows = [example(id=f"{n}", question=q, support="memory", quotes=[], oracle=None, split=split) for n, (q, split) in enumerate(
        [("Who painted the mast?", "held_out"), ("Who painted the mast?", "train"), ("What does the Katla cost?", "train"), ("How old is Suvi?", "train")]
    )]  # fmt: skip
    asked = Context([Question(id="q", question="What does the Katla cost?", answers=["x"], answerable=True)])
    assert verdicts("leaked", rows, asked._replace(held_out=True)) == [None, "asked in the evaluation", "asked in the evaluation", None]
    assert verdicts("leaked", rows, asked) == [None, None, "asked in the evaluation", None]
