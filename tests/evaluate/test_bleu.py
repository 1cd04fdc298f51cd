"""BLEU against values worked out by hand, and as the published reference defines them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from groundling import registry
from groundling.answer import Asked
from groundling.evaluate import scoring
from groundling.evaluate.cases import Case
from groundling.evaluate.metrics import bleu
from groundling.records import Answer, Question


def parts(said: str, *accepted: str, abstained: bool = False) -> tuple[float, ...]:
    question = Question(id="q", question="", answers=list(accepted), answerable=True)
    answer = Answer(question="", passages=[], turns=[said], text=said, abstained=abstained, quotes=[], citations=[])
    found = bleu.score(Case(question, "given", Asked("", []), [], None), answer)
    assert found is not None
    return found


def value(*pairs: tuple[str, ...]) -> float:
    return float(bleu.summarise(*np.sum([parts(*pair) for pair in pairs], axis=0)))


def test_the_parts_are_clipped_counts_and_lengths() -> None:
    # Papineni et al., example 2: "the" stands twice in the first accepted text, so that of seven two count.
    found = parts("the the the the the the the", "The cat is on the mat.", "There is a cat on the mat.")
    assert found == (2, 0, 0, 0, 7, 6, 5, 4, 7, 7)
    assert parts("a b c", "a b c d", "x")[-2:] == (3, 4) and parts("a b c", "a b c d", "x y")[-2:] == (3, 2), "of equally near ones the shorter"
    assert parts("I do not know", "a b c d", abstained=True) == (0,) * 9 + (4,)


def test_values_by_hand() -> None:
    assert value(("the cat is on the mat", "The cat is on the mat!")) == 1
    assert value(("no word of it", "the cat sat down here")) == 0
    # 5 of 6, 3 of 5, 1 of 4, none of 3 (smoothed to half of one)
    expected = (5 / 6 * 3 / 5 * 1 / 4 * 0.5 / 3) ** 0.25
    assert value(("the cat sat on the mat", "the cat is on the mat")) == pytest.approx(expected)
    # 4 of 4 … 1 of 1, against 6 words: exp(1 − 6/4)
    assert value(("on the mat there", "on the mat there it is")) == pytest.approx(math.exp(-0.5))
    # two orders without a match: half of one, then a quarter
    assert value(("a b x y z", "a b c d e")) == pytest.approx((2 / 5 * 1 / 4 * 0.5 / 3 * 0.25 / 2) ** 0.25)
    assert value(("a b c", "a b c")) == 0, "a text of three words has no run of four: the corpus is too small to be measured"


def test_the_whole_is_of_the_sums_and_not_the_mean_of_values() -> None:
    pairs = [("the cat sat on the mat", "the cat is on the mat"), ("one two three four", "one two three four five")]
    # 9 of 10, 6 of 8, 3 of 6, 1 of 4; 10 words against 11
    assert value(*pairs) == pytest.approx(math.exp(1 - 11 / 10) * (0.9 * 0.75 * 0.5 * 0.25) ** 0.25)
    assert value(*pairs) != pytest.approx((value(pairs[0]) + value(pairs[1])) / 2, abs=0.01)


def test_it_works_on_arrays_as_the_intervals_call_it() -> None:
    rows = np.array([parts("the cat sat on the mat", "the cat is on the mat"), parts("a b c d", "a b c d"), parts("x", "a b")])
    together = bleu.summarise(*rows.T)
    assert together.shape == (3,) and together == pytest.approx([float(bleu.summarise(*row)) for row in rows])
    assert together[1] == 1 and together[2] == 0


def test_japanese_is_measured_by_characters() -> None:
    assert value(("有給休暇は二十日です", "有給休暇は二十日です。")) == 1
    assert 0 < value(("有給休暇は十日です", "有給休暇は二十日です。")) < 1


def test_it_measures_formats_that_write_sentences_and_no_others() -> None:
    assert "bleu" in registry.names("metric")
    for fmt, there in (("backward", True), ("instruct", True), ("raft", False), ("labels", False)):
        assert ("bleu" in {m.name for m in scoring.metrics([], fmt)}) is there
        assert scoring.headline("instruct") == scoring.headline("backward") == "rouge_l"
