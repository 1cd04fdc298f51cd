"""Models of several runs side by side: the same questions are paired, tests are those of the evaluation, and the better one wins."""

from __future__ import annotations

import pytest

from groundling import stats
from groundling.evaluate.beside import Side, better, tables
from groundling.evaluate.scoring import Row
from groundling.records import Score


def row(n: int, right: bool, answered: bool = True, model: str = "tuned", setting: str = "k=3") -> Row:
    precision = float(right) if answered else None
    return Row(
        model=model, setting=setting, id=f"q{n}", question=f"{n}?", gold=["x"], answerable=True, seen=False, passages=[], relevant=[], turns=["x"],
        answer="x", abstained=not answered, quotes=[], citations=[], invalid=[], cut=False, correct=right,
        scores={"correct": float(right), "precision_answered": precision, "citation_precision": [1.0, 2.0] if right else None, "refusal_rate": float(not answered)},
    )  # fmt: skip


def side(
    label: str, rights: list[bool], answered: list[bool] | None = None, ids: int = 0, settings: tuple[str, ...] = ("k=3",), base: float = 0.125
) -> Side:
    replied = answered or [True] * len(rights)
    rows = [row(ids + n, r, a, setting=s) for s in settings for n, (r, a) in enumerate(zip(rights, replied, strict=True))]
    rows += [row(n, False, model="base") for n in range(3)]
    low, high = stats.wilson(sum(rights), len(rights))
    scores = [
        Score(model=m, setting=s, metric=name, value=base if m == "base" else sum(rights) / len(rights), low=low, high=high, n=len(rights))
        for s in settings for m in ("base", "tuned") for name in ("f1", "correct", "refusal_rate", "citation_precision", "exact_match")
    ]  # fmt: skip
    return Side(label, scores, rows, (settings[0], "correct"))


FIRST = side("sft", [True] * 4 + [False] * 12)
SECOND = side("smpo", [True] * 12 + [False] * 4)


def test_each_model_has_its_scores_and_each_further_one_its_test_against_the_first() -> None:
    [table] = tables([FIRST, SECOND, FIRST._replace(label="again")], seed=1)
    assert (table.setting, table.questions, table.metrics) == ("k=3", 16, ["correct", "refusal_rate", "f1", "citation_precision"])
    assert [line.label for line in table.lines] == ["base", "sft", "smpo", "again"]
    base, sft, smpo, again = table.lines
    assert (
        base.base
        and not sft.base
        and not base.tests
        and not sft.tests
        and sft.scores["correct"].value == 0.25
        and smpo.scores["correct"].value == 0.75
    )
    test = smpo.tests["correct"]
    assert (test.base, test.tuned, test.difference, test.n, test.method) == (0.25, 0.75, 0.5, 16, "exact McNemar")
    assert test.p == stats.mcnemar(0, 8) and test.low > 0
    assert again.tests["correct"].difference == 0 and again.tests["correct"].p == 1
    assert smpo.tests["citation_precision"].base == smpo.tests["citation_precision"].tuned == 0.5, (
        "parts of a ratio are added before they are divided"
    )


def test_one_base_is_told_once_and_a_round_s_base_is_the_model_before_it() -> None:
    rights = [True] * 14 + [False] * 2
    after, other = side("after", rights, base=0.75), side("other", rights, base=0.5)
    assert [line.label for line in tables([FIRST, SECOND, after], seed=1)[0].lines] == ["base", "sft", "smpo", "after"], "after smpo"
    assert [line.label for line in tables([FIRST, other], seed=1)[0].lines] == ["base of sft", "base of other", "sft", "other"]


def test_questions_are_paired_by_their_ids_and_those_of_one_run_alone_are_left_out() -> None:
    later = side("later", [True] * 16, ids=8)  # q8 … q23
    [table] = tables([FIRST, later], seed=1)
    assert table.questions == 8 and table.lines[-1].tests["correct"].n == 8 and table.lines[-1].tests["correct"].base == 0.0
    shuffled = SECOND._replace(rows=SECOND.rows[::-1])
    assert tables([FIRST, shuffled], seed=1) == tables([FIRST, SECOND], seed=1)


def test_only_settings_that_all_were_asked_in_the_headline_s_first() -> None:
    wide = side("wide", [True] * 4, settings=("given", "k=1", "k=3"))._replace(headline=("k=3", "correct"))
    narrow = side("narrow", [True] * 4, settings=("k=1", "k=3", "none"))
    assert [t.setting for t in tables([wide, narrow], seed=1)] == ["k=3", "k=1"]
    assert tables([wide, side("other", [True], settings=("none",))], seed=1) == []


@pytest.mark.parametrize(
    ("parent", "child", "wins"),
    [([True, False, False], [True, True, False], True), ([True, True, False], [True, False, False], False), ([True, False], [False, True], False)],
    ids=["higher", "lower", "tie"],
)
def test_the_higher_value_wins_and_on_a_tie_the_parent_stays(parent: list[bool], child: list[bool], wins: bool) -> None:
    verdict = better(side("a", parent), side("b", child), seed=1)
    assert verdict.better is wins and verdict.test.p is not None and verdict.test.metric == "correct"


def test_without_a_question_in_common_the_parent_stays() -> None:
    assert better(FIRST, side("b", [True] * 3, ids=99), seed=1).better is False
