"""Preference pairs through the filters: what judges them, what refuses, and that nothing vanishes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from groundling import config
from groundling.curate import Context, check_kind, curate, judged, reads
from groundling.errors import ConfigError
from groundling.records import Example, Pair, Passage, Question
from groundling.workspace import Output, read_lines

from .world import ASKED, NOTHING, PASSAGES

RIGHT = "##begin_quote##Staff have 25 days.##end_quote## [0]\n<ANSWER>: 25 days"


def pair(**changes: Any) -> Pair:
    plain = {
        "id": "1", "unit": "e", "document": "d", "question": "How many days?", "passages": list(PASSAGES), "chosen": RIGHT,
        "rejected": "<ANSWER>: 30 days", "margin": 0.5, "recipe": "preference",
    }  # fmt: skip
    return Pair(**plain | changes)


def told(name: str, pairs: list[Pair], context: Context = NOTHING, **options: Any) -> list[str | None]:
    return judged(name, pairs, context, options)


@pytest.mark.parametrize(
    ("changes", "options", "reason"),
    [
        ({}, {}, None), ({}, {"minimum": 0.5}, None), ({}, {"minimum": 0.51}, "margin too small"), ({"margin": 0.0}, {}, "margin too small"),
        ({"margin": -1.0}, {"minimum": -2}, "margin too small"), ({}, {"maximum": 0.4}, "margin too large"), ({}, {"maximum": 0.5}, None),
        ({"margin": None}, {}, "no margin"), ({"margin": math.nan}, {}, "no margin"), ({"margin": None}, {"unknown": "keep"}, None),
    ],
)  # fmt: skip
def test_margin(changes: dict, options: dict, reason: str | None) -> None:
    assert told("margin", [pair(**changes)], **options) == [reason]


REFUSED = "<ANSWER>: Not in the documents."
TEACHES = {"refuse": (REFUSED, RIGHT), "answer": (RIGHT, REFUSED), "which": (RIGHT, "<ANSWER>: 30 days"), "neither": (REFUSED, "Not stated.")}


def teaching(*whats: str, **more: Any) -> list[Pair]:
    return [pair(id=str(n), chosen=TEACHES[what][0], rejected=TEACHES[what][1], **more) for n, what in enumerate(whats)]


@pytest.mark.parametrize(
    ("refuse", "answer", "ratio", "left"),
    [(6, 2, 1, (2, 2)), (2, 6, 1, (2, 2)), (6, 2, 2, (4, 2)), (6, 2, 3, (6, 2)), (3, 6, 0.5, (3, 6)), (6, 6, 0.5, (3, 6)), (4, 0, 1, (0, 0))],
)
def test_as_many_pairs_teach_to_refuse_as_to_answer(refuse: int, answer: int, ratio: float, left: tuple[int, int]) -> None:
    whats = ["refuse"] * refuse + ["answer"] * answer + ["which", "neither"]
    reasons = told("even", teaching(*whats), ratio=ratio)
    stays = [what for what, reason in zip(whats, reasons, strict=True) if reason is None]
    assert (stays.count("refuse"), stays.count("answer"), stays.count("which"), stays.count("neither")) == (*left, 1, 1)
    assert {r for r in reasons if r} <= {"more teach to refuse than to answer", "more teach to answer than to refuse"}


def test_which_surplus_pairs_stay_is_drawn_by_the_seed_and_held_out_ones_all_stay() -> None:
    pairs = teaching(*["refuse"] * 40, *["answer"] * 10)
    stays = [n for n, reason in enumerate(told("even", pairs)) if reason is None]
    assert len(stays) == 20 and stays != list(range(10)) + list(range(40, 50))
    turned = told("even", pairs[::-1])
    assert [49 - n for n, reason in enumerate(turned) if reason is None][::-1] == stays, "whatever order they came in"
    assert told("even", pairs, NOTHING._replace(seed=1)) != told("even", pairs)
    assert told("even", teaching("refuse", "refuse", "answer", split="held_out")) == [None] * 3


def test_a_margin_that_keeps_nothing_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="maximum is below minimum, so nothing could be kept"):
        told("margin", [], minimum=1, maximum=0.5)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None), ({"chosen": "<ANSWER>: 25 days"}, None), ({"chosen": " "}, "no answer"),
        ({"rejected": f" {RIGHT}"}, "chosen and rejected are equal"),
        ({"chosen": RIGHT.replace("25 days.##", "26 days.##")}, "quote not verbatim"),
        ({"chosen": RIGHT.replace("[0]", "[1]")}, "quote not verbatim"),
        ({"chosen": RIGHT.replace("[0]", "[7]")}, "quotes a passage that is not shown"),
        ({"rejected": "##begin_quote##No such words.##end_quote## [0]\n<ANSWER>: 3"}, None),
    ],
)  # fmt: skip
def test_cited_holds_the_chosen_reply_to_its_quotes_and_leaves_the_rejected_one_alone(changes: dict, reason: str | None) -> None:
    assert told("cited", [pair(**changes)]) == [reason]


def test_the_same_two_replies_to_the_same_prompt_are_repeats_and_the_larger_margin_stays() -> None:
    one, better = pair(id="b", margin=0.2), pair(id="a", margin=0.3, question="how  many days?")
    others = [
        pair(rejected="<ANSWER>: 31 days"), pair(chosen="<ANSWER>: 25 days"), pair(split="held_out"), pair(question="How many hours?"),
        pair(passages=[Passage(id="a", title="", text="Staff have 25 days. Or not.")]),
    ]  # fmt: skip
    assert told("duplicates", [one, better, *others]) == ["the same replies side by side before", None, *[None] * 5]
    assert told("duplicates", [better, one]) == [None, "the same replies side by side before"], "the order of the input decides nothing"


def test_leaked_reads_the_question_and_the_chosen_answer_but_not_its_quotes() -> None:
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    context = Context(questions=[Question(id="q", question="Who approves it?", answers=[long], answerable=True)])
    quoted = f"##begin_quote##{long}##end_quote## [0]\n<ANSWER>: 25 days"
    pairs = [pair(), pair(question="who approves it"), pair(chosen=f"<ANSWER>: {long}"), pair(chosen=quoted)]
    assert told("leaked", pairs, context) == [None, "asked in the evaluation", "words of the evaluation", None]
    held = pair(split="held_out", question="Who approves it?")
    assert told("leaked", [held, pair(question="Who approves it?")]) == [None, "asked in the evaluation"], "held-out pairs are asked, too"


def test_length_holds_both_replies_to_its_bounds() -> None:
    assert told("length", [pair(), pair(rejected="x" * 99), pair(chosen="x" * 99)], answer_max=98) == [None, "answer too long", "answer too long"]
    assert told("length", [pair(question="?")], question_min=2) == ["question too short"]


def test_filters_that_do_not_understand_pairs_refuse_them_and_margin_refuses_examples() -> None:
    assert [name for name in ("cited", "duplicates", "leaked", "length", "margin") if Pair not in reads(name)] == []
    check_kind(config.Curate(), Pair)
    with pytest.raises(ConfigError, match=r"The filter near judges examples, and the recipe makes preference pairs. Take it out of curate.filters"):
        check_kind(config.Curate(filters=["cited", "near"]), Pair)
    with pytest.raises(ConfigError, match="The filter margin judges preference pairs, and the recipe makes examples"):
        check_kind(config.Curate(filters=["margin"]), Example)


def test_nothing_vanishes(tmp_path: Path) -> None:
    out = Output(tmp_path)
    rows = [pair(id="1"), pair(id="2", margin=0.01, rejected="<ANSWER>: 1"), pair(id="3", split="held_out"), pair(id="4", chosen=" ")]
    curate(rows, config.Curate(filters=["cited", "duplicates", "leaked", {"margin": {"minimum": 0.1}}]), ASKED, out)
    out.close()
    assert [p.id for p in read_lines(tmp_path / "data.jsonl", Pair)] == ["1", "3"]
    assert out.counts() == {"in": 4, "kept": 2, "dropped": {"cited: no answer": 1, "margin: margin too small": 1}, "failed": {}}
    assert out.notes["kept_by"] == {"held_out pairs": 1, "train pairs": 1}
