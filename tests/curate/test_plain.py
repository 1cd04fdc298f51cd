"""Filters that judge one by one: length, language, score."""

from __future__ import annotations

import math

import pytest

from groundling.errors import ConfigError

from .world import abstaining, example, verdicts


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({"question": " "}, {}, "question too short"),
        ({"question": "How?"}, {"question_min": 5}, "question too short"),
        ({"question": "How??"}, {"question_min": 5}, None),
        ({"question": "H" * 2001}, {}, "question too long"),
        ({"answer": " 25 "}, {"answer_min": 3}, "answer too short"),
        ({"answer": "25 days"}, {"answer_max": 6}, "answer too long"),
        ({}, {"passages_max": 33}, "passages too long"),
        ({}, {"passages_max": 34}, None),
    ],
)
def test_length(changes: dict, options: dict, reason: str | None) -> None:
    assert verdicts("length", [example(**changes)], **options) == [reason]


def test_an_abstention_is_never_too_short() -> None:
    assert verdicts("length", [abstaining(), example()], answer_min=600) == [None, "answer too short"]


GERMAN = "Alle Mitarbeiter haben Anspruch auf fünfundzwanzig Tage Urlaub."
ENGLISH = "All members of staff are entitled to twenty-five days of leave."
RUSSIAN = "Сотрудники имеют право на двадцать пять дней отпуска."
JAPANESE = "社員には年に二十五日の有給休暇があります。"


@pytest.mark.parametrize("text", [GERMAN, RUSSIAN, JAPANESE])
def test_an_answer_in_another_language_than_its_question_s(text: str) -> None:
    assert verdicts("language", [example(question=ENGLISH, answer=text)]) == ["answer not in the question's language"]
    assert verdicts("language", [example(question=text, answer=text), example(question=ENGLISH, answer=ENGLISH)]) == [None, None]
    assert verdicts("language", [example(question=ENGLISH, answer=text)], same=False) == [None]


def test_only_the_languages_that_are_allowed() -> None:
    examples = [example(question=GERMAN, answer=GERMAN), example(question=ENGLISH, answer=GERMAN), example(question=JAPANESE, answer=JAPANESE)]
    told = ["question in a language not allowed", "answer in a language not allowed", None]
    assert verdicts("language", examples, allowed=["en", "ja"]) == told


@pytest.mark.parametrize("answer", ["25", "140 EUR", "Kirsi Alanko", "Katla 250", "E-14", "", "???"])
def test_what_is_of_no_language_for_sure_is_kept(answer: str) -> None:
    assert verdicts("language", [example(question=JAPANESE, answer=answer), example(question=answer)], allowed=["ja", "en"]) == [None, None]


@pytest.mark.parametrize(
    ("score", "reason"),
    [(5.0, None), (4.0, None), (3.99, "score too low"), (0.0, "score outside its scale"), (8.0, "score outside its scale"),
     (91.0, "score outside its scale"), (1986.0, "score outside its scale"), (None, "no score"), (math.nan, "no score"), (math.inf, "score outside its scale")],
)  # fmt: skip
def test_score_on_a_scale_of_1_to_5(score: float | None, reason: str | None) -> None:
    assert verdicts("score", [example(score=score)], minimum=4, scale=[1, 5]) == [reason]


def test_score_without_a_threshold_keeps_all_and_unscored_ones_where_they_are_wanted() -> None:
    assert verdicts("score", [example(), example(score=-9.0)]) == [None, None]
    assert verdicts("score", [example(), example(score=-9.0)], minimum=-1.5, unscored="keep") == [None, "score too low"]
    assert verdicts("score", [example()], scale=[1, 5]) == ["no score"]


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("length", {"answer_min": 9, "answer_max": 8}, "curate.filters: length = .*answer_min is above answer_max, so nothing could be kept"),
        ("language", {"allowed": ["en", "jp"]}, r'curate.filters: language.allowed = .*there is no language "jp"'),
        ("score", {"scale": [5, 1]}, r"curate.filters: score = .*a scale is written \[lowest, highest\]"),
        ("score", {"minimum": 6, "scale": [1, 5]}, "curate.filters: score = .*minimum is above the scale"),
        ("score", {"minimum": math.nan}, "curate.filters: score.minimum = nan"),
    ],
)
def test_options_that_make_no_sense_are_a_sentence(name: str, options: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        verdicts(name, [], **options)
