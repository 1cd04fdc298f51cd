import inspect

import numpy as np
import pytest
from evaluate_world import REFUSAL, answer, case

from groundling import registry, stats
from groundling.config import Evaluate
from groundling.errors import ConfigError
from groundling.evaluate import metrics, scoring
from groundling.evaluate.scoring import Replied
from groundling.grounding import FORMATS

UNANSWERABLE = case(answerable=False, relevant=[])


def of(name, c, a):
    return registry.load("metric", name).score(c, a)


@pytest.mark.parametrize(("name", "c", "a", "wanted"), [
    ("exact_match", case(), answer("The 25 days."), 1), ("exact_match", case(), answer("You get 25 days"), 0),
    ("exact_match", case(), REFUSAL, 0), ("exact_match", UNANSWERABLE, REFUSAL, None), ("exact_match", UNANSWERABLE, answer(), None),
    ("f1", case(), answer("25 working days"), 0.8), ("f1", case(golds=["documents"]), REFUSAL, 0), ("f1", UNANSWERABLE, answer(), None),
    ("rouge_l", case(), answer("days 25"), 0.5), ("rouge_l", case(golds=["not"]), REFUSAL, 0), ("rouge_l", UNANSWERABLE, answer(), None),
    ("refusal_rate", case(), REFUSAL, 1), ("refusal_rate", UNANSWERABLE, REFUSAL, 1), ("refusal_rate", case(), answer(), 0),
    ("precision_answered", case(), answer(), 1),
    ("precision_answered", case(), answer("30"), 0), ("precision_answered", case(), REFUSAL, None),
    ("precision_answered", UNANSWERABLE, answer(), 0), ("precision_answered", UNANSWERABLE, REFUSAL, None),
    ("precision_answered", case(answerable=False, golds=["25 days"]), answer(), 0),
    ("correct", case(), answer("You get 25 days"), 1), ("correct", case(), REFUSAL, 0), ("correct", case(), answer("26"), 0),
    ("correct", UNANSWERABLE, REFUSAL, 1), ("correct", UNANSWERABLE, answer(), 0),
    ("abstain_recall", UNANSWERABLE, REFUSAL, 1), ("abstain_recall", UNANSWERABLE, answer(), 0), ("abstain_recall", case(), REFUSAL, None),
    ("false_refusal_rate", case(), REFUSAL, 1), ("false_refusal_rate", case(relevant=[]), REFUSAL, 1),
    ("false_refusal_rate", case(), answer(), 0), ("false_refusal_rate", UNANSWERABLE, REFUSAL, None),
    ("citation_recall", case(), answer(citations=[2, 0]), 1), ("citation_recall", case(), answer(citations=[2]), 0),
    ("citation_recall", case(), REFUSAL, 0), ("citation_recall", case(relevant=[]), answer(citations=[0]), None),
    ("citation_recall", case(relevant=None), answer(), None), ("citation_recall", UNANSWERABLE, answer(), None),
    ("citation_precision", case(), answer(citations=[2, 0]), (1, 2)),
    ("citation_precision", case(), answer(citations=[0], invalid=["7"]), (1, 2)),
    ("citation_precision", case(), answer(), None), ("citation_precision", case(), REFUSAL, None),
    ("citation_precision", case(relevant=None), answer(citations=[0]), None),
    ("citation_precision", case(relevant=[]), answer(citations=[0]), (0, 1)),
    ("citation_precision", UNANSWERABLE, answer(citations=[1]), (0, 1)),
    ("citation_f1", case(), answer(citations=[2, 0]), (1, 2, 1, 1)), ("citation_f1", case(), REFUSAL, (0, 0, 0, 1)),
    ("citation_f1", UNANSWERABLE, answer(citations=[1]), (0, 1, 0, 0)), ("citation_f1", UNANSWERABLE, REFUSAL, None),
])  # fmt: skip
def test_one_question(name, c, a, wanted):
    assert of(name, c, a) == wanted


def value(name, pairs):
    return scoring.score(scoring.Metric(name, registry.load("metric", name)), [Replied(c, a) for c, a in pairs], ("m", "k=3", "all"), 1)


FOUR = [
    (case(relevant=[0, 1]), answer(citations=[0, 1])),  # 2 of 2, recalled
    (case(), answer("30", citations=[1])),              # 0 of 1, not recalled
    (case(), REFUSAL),                                  # cites nothing, not recalled
    (UNANSWERABLE, answer(citations=[2])),              # 0 of 1, in no recall
]  # fmt: skip


def test_citations_over_all_questions():
    precision, recall, both = (value(n, FOUR) for n in ("citation_precision", "citation_recall", "citation_f1"))
    assert (precision.value, precision.n) == (2 / 4, 3)  # by citation, not the mean over questions, which would be 1/3
    assert (recall.value, recall.n) == (pytest.approx(1 / 3), 3)
    assert (both.value, both.n) == (pytest.approx(2 * 0.5 * (1 / 3) / (0.5 + 1 / 3)), 4)


def test_denominators_are_of_what_was_asked():
    pairs = [(case(), answer()), (case(), REFUSAL), (UNANSWERABLE, REFUSAL), (UNANSWERABLE, answer())]
    assert [(s.value, s.n) for s in (value("correct", pairs), value("precision_answered", pairs), value("abstain_recall", pairs))] == [
        (0.5, 4), (0.5, 2), (0.5, 2)]  # fmt: skip


def test_nothing_to_score_is_no_value():
    for name in registry.names("metric"):
        assert (value(name, []).value, value(name, []).low, value(name, []).n) == (None, None, 0)
    assert value("citation_f1", [(case(), REFUSAL)]).value == 0  # cites nothing though it could
    assert value("citation_f1", [(UNANSWERABLE, answer(citations=[0]))]).value is None  # recall has no denominator


def test_a_missing_reply_is_unscored_and_leaves_the_denominator():
    replied = [Replied(case(), answer()), Replied(case(), None), Replied(UNANSWERABLE, None)]
    found = {m.name: scoring.score(m, replied, ("m", "k=3", "all"), 1) for m in scoring.metrics(["exact_match", "abstain_recall"])}
    assert [(s.value, s.n, s.unscored) for s in found.values()] == [(1, 1, 2), (1, 1, 1), (None, 0, 1)]


def test_intervals_fit_the_metric():
    share = value("correct", FOUR)
    assert (share.low, share.high) == stats.wilson(1, 4)
    ratio = value("citation_precision", FOUR)
    assert 0 <= ratio.low <= ratio.value <= ratio.high <= 1 and ratio == value("citation_precision", FOUR)
    sure = value("citation_precision", [(case(), answer(citations=[0]))] * 3)
    assert (sure.low, sure.high) == stats.wilson(3, 3)  # the bootstrap would say 1 to 1


def test_comparison_uses_common_questions_and_the_fitting_test():
    base = [Replied(case(), REFUSAL) for _ in range(6)] + [Replied(case(), None)]
    tuned = [Replied(case(), answer(citations=[0])) for _ in range(7)]
    tests = {m.name: scoring.compare(m, base, tuned, 1) for m in scoring.metrics(["f1", "citation_f1", "precision_answered", "abstain_recall"])}
    assert (tests["correct"].method, tests["correct"].n, tests["correct"].p) == ("exact McNemar", 6, 2 / 2**6)
    assert tests["citation_f1"].method == "swap permutation" and tests["citation_f1"].difference == 1
    assert (tests["precision_answered"].base, tests["precision_answered"].p) == (None, None)  # the base model answered nothing
    assert (tests["abstain_recall"].n, tests["abstain_recall"].p) == (0, None)


@pytest.mark.parametrize("name", registry.names("metric"))
def test_contract(name):
    module = registry.load("metric", name)
    assert list(inspect.signature(module.score).parameters) == ["case", "answer"] and "Denominator:" in module.__doc__
    assert len(registry.summary("metric", name)) <= 140 and module.score.__doc__
    shapes = set()
    for c in (case(), case(relevant=None), case(relevant=[]), UNANSWERABLE, case(shown=0, relevant=[])):
        for a in (answer(), answer(citations=[0]), answer("", invalid=["9"]), REFUSAL):
            found = module.score(c, a)
            if found is not None:
                shapes.add(len(found) if isinstance(found, tuple) else 0)
                assert all(0 <= v <= 9 for v in (found if isinstance(found, tuple) else (found,)))
    assert len(shapes) == 1 and (shapes == {0}) is not hasattr(module, "summarise")
    if hasattr(module, "summarise"):
        assert np.shape(module.summarise(*np.ones((shapes.pop(), 5)))) == (5,)


def test_without_names_every_metric_of_the_format_is_scored_its_headline_first():
    names = [m.name for m in scoring.metrics(Evaluate().metrics)]
    assert names[0] == "correct" and {"f1", "rouge_l", "citation_f1", "abstain_recall"} < set(names) and not {"accuracy", "macro_f1"} & set(names)
    assert [m.name for m in scoring.metrics([], "labels")] == ["accuracy", "macro_f1"]
    fit = {fmt: {m.name for m in scoring.metrics([], fmt)} for fmt in FORMATS}
    assert set().union(*fit.values()) == set(registry.names("metric")), "every file measures some format"
    with pytest.raises(ConfigError, match="citation_f1 says nothing of models in the format labels. Those that do: accuracy, macro_f1."):
        scoring.metrics(["macro_f1", "citation_f1"], "labels")


def test_a_metric_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "shouting.py").write_text(
        '"""Answers in capitals.\n\nDenominator: all."""\n\ndef score(case, answer):\n    return answer.text.isupper()\n'
    )
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "names", lambda kind: ["correct", "shouting"])
    found = value("shouting", [(case(), answer("AT EIGHT")), (case(), answer("at eight"))])
    assert (found.metric, found.value, found.n) == ("shouting", 0.5, 2)
