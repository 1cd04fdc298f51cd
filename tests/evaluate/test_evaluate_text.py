import pytest

from groundling.evaluate import text


@pytest.mark.parametrize(("given", "wanted"), [
    ("The cat, sat.", ["cat", "sat"]),
    ("1,200 days", ["1200", "days"]),
    ("1 200 дней", ["1200", "дней"]),
    ("1,234,567.80", ["1234567.80"]),
    ("3.5", ["3.5"]),
    ("3,5 %", ["3.5"]),
    ("-5 °C", ["-5", "°c"]),
    ("A", ["a"]),
    ("«Привет», мир!", ["привет", "мир"]),
    ("３，０００円です。", ["3000", "円", "で", "す"]),
    ("", []),
])  # fmt: skip
def test_tokens(given, wanted):
    assert text.tokens(given) == wanted


def test_a_decimal_point_is_not_dropped():
    assert not text.exact("3.5 days", "35 days")
    assert text.exact("1,200", "1200") and text.exact("1\u202f200", "1200")


def test_f1_by_hand():
    assert text.f1("25 working days", "25 days") == pytest.approx(2 * 2 / 5)
    assert text.f1("nothing", "25 days") == 0
    assert text.f1("二十日です", "二十日") == pytest.approx(2 * 3 / 8)
    assert text.f1("", "25") == 0 and text.f1("...", "...") == 1


def test_rouge_l_by_hand():
    assert text.rouge_l("the cat sat on the mat", "the cat on a mat") == pytest.approx(2 * 4 / 11)  # the cat on mat
    assert text.rouge_l("days 25", "25 days") == pytest.approx(0.5)


def test_rouge_l_agrees_with_the_reference_implementation():
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rougeL"])
    for a, b in [("staff have many days", "all staff have 25 days of leave"), ("a b c d", "b d c a"), ("one", "two")]:
        assert text.rouge_l(a, b) == pytest.approx(scorer.score(b, a)["rougeL"].fmeasure)


def test_best_takes_the_best_accepted_answer():
    assert text.best(text.f1, "8 am", ["eight", "8 am"]) == 1 and text.best(text.f1, "x", []) == 0


@pytest.mark.parametrize(("said", "golds", "wanted"), [
    ("25 days", ["25 days"], True),
    ("You get 25 days of leave", ["25 days"], True),
    ("one two three four five six 25 days", ["25 days"], True),
    ("one two three four five six seven 25 days", ["25 days"], False),
    ("125 days", ["25 days"], False),
    ("25 long days", ["25 days"], False),
    ("年次有給休暇は二十日です。", ["二十日"], True),
    ("二十日", ["十日"], False),
    ("十二", ["十"], False),
    ("Ставка составляет 40 евро.", ["40 евро"], True),
    ("", ["25"], False),
    ("25", [""], False),
])  # fmt: skip
def test_correct(said, golds, wanted):
    assert text.correct(said, golds) is wanted


def test_contains_ignores_case_and_space():
    assert text.contains("Staff have 25\n DAYS off", "25 days") and not text.contains("Staff", "") and not text.contains("a", "b")
