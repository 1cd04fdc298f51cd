"""Sentences with several answers: a question wants one of them, and the quote holds them all."""

from groundling.nano import parallel
from groundling.seeds import rng


def test_a_sentence_holds_every_answer_once_and_each_question_wants_another() -> None:
    two, three = 0, 0
    for n in range(200):
        text, asks = parallel.line(rng(1, n))
        assert text[0].isupper() or not text[0].isalpha()
        assert all(text.count(answer) == 1 for _, answer in asks) and len({answer for _, answer in asks}) == len(asks) >= 2
        two, three = two + (len(asks) == 2), three + (len(asks) == 3)
    assert two > 100 and three > 10


def test_questions_quote_their_sentence_and_some_are_not_answered() -> None:
    cited = absent = 0
    for n in range(100):
        for e in parallel.ask(rng(2, n), 2, 3):
            absent += not e.quotes
            if e.quotes:
                cited += 1
                assert e.quotes[0].text in e.passages[e.oracle].text and e.answer in e.quotes[0].text
    assert cited > 200 and 0.08 < absent / (cited + absent) < 0.25
