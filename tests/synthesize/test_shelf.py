"""Distractors: what may not stand beside a question's passage, and that drawing them does not take longer where there are more."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.records import Chunk
from groundling.synthesize.shelf import TRIES, Shelf, Told, alike, answering, runs, sketch, twin

LEAVE = Told("How much leave do staff in Finland have?", ("Staff have 25 days of leave",), "25 days")


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ("Staff have 25 days of leave in Finland.", True),
        ("As was said, STAFF HAVE  25 days\nof leave.", True),
        ("In Finland the leave of staff is 25 days a year.", True),
        ("The lift was repaired after 25 days.", True),
        ("The lift was repaired after 25\ndays.", True),
        ("Staff in Finland have 125 days of leave.", False),
        ("Staff in Finland have leave for 25 daysworth.", False),
        ("Staff in Finland have leave.", False),
        ("125 days, and then 25 days.", True),
    ],
)
def test_a_passage_that_holds_quote_or_answer_is_no_distractor(text: str, answers: bool) -> None:
    assert answering(LEAVE)(text) is answers


def test_a_passage_with_the_quote_is_none_though_the_answer_is_in_other_words() -> None:
    told = LEAVE._replace(answer="Twenty-five days a year")
    assert answering(told)("It is known that staff have 25 days\nof leave.") and not answering(told)("Staff have 30 days of leave.")


@pytest.mark.parametrize(("text", "answers"), [("The warranty of the kettle is 3 years.", True), ("Bring 3 pens to the meeting.", False)])
def test_an_answer_of_hardly_any_characters_counts_with_the_question_s_words(text: str, answers: bool) -> None:
    assert answering(Told("How many years is the warranty of the kettle?", ("It is 3.",), "3"))(text) is answers


@pytest.mark.parametrize(
    ("text", "answers"),
    [("当社の有給休暇は二十日です。", True), ("会議は二十日に開かれます。", True), ("当社の有給休暇は十日です。", False)],
)
def test_a_passage_that_could_answer_is_no_distractor_in_japanese_either(text: str, answers: bool) -> None:
    assert answering(Told("有給休暇は何日ですか", ("有給は二十日となります",), "二十日"))(text) is answers


LONG = "The usual delivery time is three weeks between May and September and six weeks between October and February for all our customers abroad."


@pytest.mark.parametrize(
    ("other", "near", "same"),
    [
        (LONG, 0.8, True),
        (LONG.upper().replace(" ", "\n"), 0.8, True),
        (LONG.replace(".", " !"), 0.8, True),
        (LONG.replace("usual", "normal"), 0.8, True),
        (LONG.replace("usual", "normal"), 0.99, False),
        (LONG.replace("usual", "normal"), 1.0, False),
        ("The office opens at seven and closes at eight.", 0.8, False),
    ],
)
def test_passages_that_say_the_same_are_alike(other: str, near: float, same: bool) -> None:
    assert alike(LONG, other, near) is same and alike(other, LONG, near) is same


def test_passages_that_differ_in_a_number_are_not_alike() -> None:
    sheet = f"{LONG} It weighs 12 kg."
    assert not alike(sheet, sheet.replace("12", "15"), 0.8) and alike(sheet, sheet.replace("usual", "normal"), 0.8)


def test_japanese_passages_are_compared_by_characters() -> None:
    text = "当社の有給休暇は入社日から数えて毎年四月に与えられます。残った分は翌年に繰り越すことができます。"
    assert alike(text, text.replace("四月", "五月"), 0.8) and not alike(text, "会議室の予約は前日までに行ってください。", 0.8)


words = st.lists(st.sampled_from("ash birch cedar elm fir hazel larch maple oak pine rowan willow".split()), min_size=1, max_size=40)


@given(words, words)
def test_a_sketch_only_saves_work(a: list[str], b: list[str]) -> None:
    """What the sketches let pass is decided exactly; what they hold back is far from alike."""
    one, other = " ".join(a), " ".join(b)
    share = len(runs(one) & runs(other)) / len(runs(one) | runs(other))
    assert alike(one, other, 0.8) is (share >= 0.8)
    assert sketch(one) == sketch(" ".join(a).upper())


def chunks(count: int) -> list[Chunk]:
    return [Chunk(id=str(n), document=str(n), path="", title="", text=f"Text {n}", start=0, end=9) for n in range(count)]


def shelf(count: int) -> Shelf:
    return Shelf(chunks(count), lambda document: "train")


def test_chunks_are_drawn_without_going_through_all_of_them() -> None:
    many = chunks(30_000)
    found = list(Shelf(many, lambda document: "train").drawn(random.Random(1), many[0]))
    assert len(found) == len({c.id for c in found}) == TRIES
    assert max(int(c.id) for c in found) > 25_000 and min(int(c.id) for c in found) < 5_000


def test_of_few_chunks_all_are_tried() -> None:
    few = chunks(TRIES)
    assert sorted(c.id for c in shelf(TRIES).drawn(random.Random(1), few[0])) == sorted(c.id for c in few)


def test_only_chunks_of_the_same_side_are_drawn() -> None:
    sides = Shelf(chunks(400), lambda document: "train" if int(document) % 2 else "held_out")
    assert {int(c.id) % 2 for c in sides.drawn(random.Random(1), chunks(2)[1])} == {1}


@pytest.mark.parametrize(
    ("question", "title", "text", "is_twin"),
    [
        ("How often is the manhole gasket changed?", "Kettle K1", "It holds 900 l. The manhole gasket is changed every 18 months.", True),
        ("How often is the manhole gasket of the K2 changed?", "Kettle K1", "It holds 900 l. The manhole gasket is changed every 18 months.", False),
        ("How often is the manhole gasket changed?", "Kettle K1", "It holds 900 l. The drive belt is changed every 18 months.", False),
        (
            "How often is the manhole gasket changed?",
            "Kettle K1",
            "The manhole is shut. A gasket lies there. Valves are changed every 18 months.",
            False,
        ),
    ],
)
def test_a_passage_that_says_the_same_of_another_thing_is_a_distractor_only_where_the_question_tells_them_apart(
    question: str, title: str, text: str, is_twin: bool
) -> None:
    told = Told(question, ("The manhole gasket is changed every 24 months.",), "24 months")
    chunk = Chunk(id="c", document="d", path="k1.md", title=title, text=text, start=0, end=len(text))
    assert twin(told, "Kettle K2 The manhole gasket is changed every 24 months.")(chunk) is is_twin
