"""The recipe preference: which replies are set side by side, which are not, and that nothing of it hangs on the order of things."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling import config, registry
from groundling.errors import ConfigError, InputError, TooManyFailed
from groundling.grounding import FORMATS
from groundling.llm.base import Reply, call_key
from groundling.llm.journal import Journal
from groundling.llm.journaled import Journaled
from groundling.records import Turn
from groundling.synthesize import Bench, called, check, options_of, units_of
from groundling.synthesize.scoring import agreement

from .preference_world import PASSAGES, REFUSED, RIGHT, UNCITED, WRONG, Rewards, Student, abstaining, example, made, marks

RAFT = FORMATS["raft"]
MIXED = [WRONG, RIGHT, REFUSED, RIGHT, "<ANSWER>: 24 days", UNCITED, WRONG]


@pytest.mark.parametrize(
    ("reply", "worth"),
    [
        (RIGHT, 1.0), (UNCITED, 0.6), (REFUSED, 0.0), ("", 0.0), (WRONG.replace("7 days", "25 days"), 0.8),
        (RIGHT.replace("25 days of", "26 days of"), 0.8), (RIGHT.replace("[0]", "[9]"), 0.6), (f"{RIGHT} [1]", round(0.6 + 0.2 * 2 / 3 + 0.2, 6)),
        ("<ANSWER>: 7 days", 0.5 * 0.5 * 0.6), (RIGHT.replace("<ANSWER>: 25", "<ANSWER>: 24"), 0.5 * 0.5),
    ],
)  # fmt: skip
def test_a_right_answer_is_worth_most_and_more_with_its_citation_and_its_quote(reply: str, worth: float) -> None:
    assert agreement(example(), RAFT, reply) == pytest.approx(worth)


def test_what_an_abstention_and_an_answer_from_memory_are_worth() -> None:
    assert [agreement(abstaining(), RAFT, reply) for reply in (REFUSED, RIGHT, "I do not know.", "")] == [1.0, 0.0, 1.0, 0.0]
    memory = abstaining(support="memory", answer="25 days")
    assert [agreement(memory, RAFT, reply) for reply in (UNCITED, RIGHT, REFUSED)] == [1.0, 1.0, 0.0]
    assert [agreement(example(), FORMATS["ja"], reply) for reply in ("25 days [0]", "25 days [1]", "25 days")] == [1.0, 0.6, 0.6]


def test_the_right_one_is_chosen_and_the_two_worst_are_rejected(tmp_path: Path) -> None:
    pairs, out = made(tmp_path, [example()], Student(MIXED))
    assert [(p.chosen, p.rejected, p.margin) for p in pairs] == [(RIGHT, REFUSED, 1.0), (RIGHT, "<ANSWER>: 24 days", 0.85)]
    assert {(p.unit, p.document, p.question, p.recipe, p.split) for p in pairs} == {("e0", "d", "How many days of leave, 0?", "preference", "train")}
    assert len({p.id for p in pairs}) == 2 and all(p.passages == PASSAGES for p in pairs)
    assert out.notes["noted"] == {"hypotheses": 7, "hypotheses that are right": 2}
    assert out.notes["advice"] == ["2 of 7 whole hypotheses were right (reference score of 0.9 and more)."]
    assert out.notes["margins"] == {"least": 0.85, "median": 0.925, "most": 1.0} and out.notes["realised"] == {"train": 1.0}


def test_best_against_worst_is_one_pair(tmp_path: Path) -> None:
    pairs, _ = made(tmp_path, [example()], Student(MIXED), rejected="worst")
    assert [(p.chosen, p.rejected) for p in pairs] == [(RIGHT, REFUSED)]


def test_a_single_worse_reply_is_one_pair_and_right_ones_are_never_rejected(tmp_path: Path) -> None:
    nearly = RIGHT.replace("25 days\n", "25 days").replace("<ANSWER>: 25 days", "<ANSWER>: 25 days of leave")
    pairs, _ = made(tmp_path, [example()], Student([RIGHT, nearly, REFUSED, REFUSED]), hypotheses=4)
    assert [(p.chosen, p.rejected) for p in pairs] == [(RIGHT, REFUSED)], "the second right one has a lower draw's rank, not a worse score"


@pytest.mark.parametrize(
    ("replies", "options", "reason"),
    [
        ([RIGHT], {}, "all hypotheses are equal"),
        ([RIGHT, f"{RIGHT} "], {}, "all hypotheses are equal"),
        ([RIGHT, RIGHT.replace("25 days", "25 days of leave", 2)], {"good": 0.5}, "all hypotheses are right"),
        ([WRONG, REFUSED], {}, "no hypothesis is right"),
        (["<ANSWER>: 7 days", "<ANSWER>: 8 days"], {"good": 0.1}, "all hypotheses are right"),
    ],
)
def test_what_shows_no_difference_is_no_pair_and_counted(tmp_path: Path, replies: list[str], options: dict, reason: str) -> None:
    pairs, out = made(tmp_path, [example()], Student(replies), **options)
    assert pairs == [] and out.dropped == {reason: 1}


def test_a_tie_by_reward_is_no_pair(tmp_path: Path) -> None:
    pairs, out = made(tmp_path, [example()], Student([RIGHT, WRONG]), Rewards({RIGHT: 2.0, WRONG: 2.0}), scorer="reward")
    assert pairs == [] and out.dropped == {"no hypothesis is worse than the best": 1}


def test_where_none_is_right_the_example_s_own_answer_can_stand_in(tmp_path: Path) -> None:
    pairs, _ = made(tmp_path, [example(), abstaining(1)], Student([WRONG, "<ANSWER>: 7 days"]), chosen="reference")
    own, refusal = RAFT.target(example())[0], RAFT.target(abstaining())[0]
    assert [(p.unit, p.chosen, p.rejected) for p in pairs] == [
        ("e0", own, "<ANSWER>: 7 days"), ("e0", own, WRONG), ("e1", refusal, WRONG), ("e1", refusal, "<ANSWER>: 7 days"),
    ]  # fmt: skip
    pairs, _ = made(tmp_path / "alike", [example()], Student([WRONG]), chosen="reference")
    assert [(p.chosen, p.rejected) for p in pairs] == [(own, WRONG)], "always the same mistake: there is still something to learn"
    pairs, _ = made(tmp_path / "right", [example()], Student([RIGHT, WRONG]), chosen="reference")
    assert [p.chosen for p in pairs] == [RIGHT], "the student's own words are better to learn from"


def test_a_reward_model_ranks_without_a_threshold(tmp_path: Path) -> None:
    rewards = Rewards({RIGHT: 3.5, UNCITED: 1.0, WRONG: -2.0, REFUSED: -1.0})
    pairs, out = made(tmp_path, [example()], Student([REFUSED, UNCITED, RIGHT, WRONG]), rewards, scorer="reward")
    assert [(p.chosen, p.rejected, p.margin) for p in pairs] == [(RIGHT, WRONG, 5.5), (RIGHT, REFUSED, 4.5)]
    assert out.notes["noted"] == {"hypotheses": 7} and out.notes["advice"] == []
    messages, reply = rewards.asked[0]
    assert messages == RAFT.prompt("How many days of leave, 0?", PASSAGES) and reply == REFUSED


@pytest.mark.parametrize(
    ("refusals", "answerable", "unanswerable"),
    [
        ("known", {(WRONG, RIGHT)}, {(REFUSED, RIGHT)}),
        ("scored", {(REFUSED, RIGHT), (REFUSED, WRONG)}, {(WRONG, RIGHT), (WRONG, REFUSED)}),
        ("apart", {(WRONG, RIGHT)}, set()),
    ],
)
def test_a_refusal_is_chosen_where_the_example_refuses_and_only_there(tmp_path: Path, refusals: str, answerable: set, unanswerable: set) -> None:
    """A reward model that is unsure likes refusals; or, as here, answers where there is none."""
    replies, more = [REFUSED, WRONG, RIGHT], {"scorer": "reward", "hypotheses": 3, "refusals": refusals}
    for folder, one, liked, chosen in (("a", example(), REFUSED, answerable), ("b", abstaining(), WRONG, unanswerable)):
        pairs, _ = made(tmp_path / folder, [one], Student(replies), Rewards({RIGHT: 1.0, WRONG: 2.0, REFUSED: 2.0} | {liked: 3.0}), **more)
        assert {(p.chosen, p.rejected) for p in pairs} == chosen


@pytest.mark.parametrize(("refusals", "rejected"), [("known", {REFUSED, WRONG}), ("apart", {WRONG})])
def test_refusals_can_be_kept_apart_on_both_sides(tmp_path: Path, refusals: str, rejected: set) -> None:
    """Then what is learnt is which answer, and not when to refuse."""
    rewards = Rewards({RIGHT: 3.0, WRONG: 2.0, REFUSED: 1.0})
    more = {"scorer": "reward", "hypotheses": 3, "refusals": refusals}
    pairs, out = made(tmp_path, [example(), abstaining()], Student([REFUSED, WRONG, RIGHT]), rewards, **more)
    assert {p.rejected for p in pairs if p.unit == example().id} == rejected
    assert out.dropped.get("it is to be refused, and refusals are kept apart", 0) == (refusals == "apart")


def test_where_every_reply_refuses_what_can_be_answered_there_is_no_pair(tmp_path: Path) -> None:
    replies = [REFUSED, "I do not know."]
    pairs, out = made(tmp_path, [example()], Student(replies), Rewards({REFUSED: 2.0, replies[1]: 1.0}), scorer="reward", hypotheses=2)
    assert pairs == [] and out.dropped == {"no hypothesis refuses where it should and only there": 1}


def test_a_judge_gives_one_to_five_and_a_reply_that_it_cannot_score_is_counted(tmp_path: Path) -> None:
    judge = marks({RIGHT: 5, UNCITED: 4, WRONG: 1, REFUSED: "I would rather not."})
    pairs, out = made(
        tmp_path, [example()], Student([REFUSED, UNCITED, RIGHT, WRONG]), judge, {"judge": "judge", "max_failed": 0.5}, scorer="judge", hypotheses=4
    )
    assert [(p.chosen, p.rejected, p.margin) for p in pairs] == [(RIGHT, WRONG, 4.0)], "4 is good enough not to be rejected"
    assert out.failed == {"no score: no JSON object in the reply": 1}
    asked = judge.requests[0].messages[0]["content"]
    assert "An answer that is known to be right: 25 days" in asked and "[0] Leave\nStaff have 25 days" in asked and judge.requests[0].schema


def test_each_hypothesis_is_a_draw_of_its_own_at_the_temperature(tmp_path: Path) -> None:
    student = Student(MIXED)
    history = [Turn(question="Who?", answer="All staff")]
    made(tmp_path, [example(history=history)], student, temperature=0.7, top_p=0.9, max_tokens=99)
    assert [r.draw for r in student.requests] == list(range(7)) and len({call_key("s", r) for r in student.requests}) == 7
    assert {(r.temperature, r.top_p, r.max_tokens) for r in student.requests} == {(0.7, 0.9, 99)}
    first = student.requests[0]
    assert first.verbatim.texts == [p.text for p in PASSAGES] and [m["role"] for m in first.messages] == ["system", "user", "assistant", "user"]
    free = Student(MIXED)
    made(tmp_path / "free", [example()], free, verbatim=False)
    assert free.requests[0].verbatim is None


def test_cut_and_failed_replies_are_neither_chosen_nor_rejected_and_are_counted(tmp_path: Path) -> None:
    said = [Reply(text=RIGHT), Reply(text=WRONG, finish="length"), Reply(text="overloaded", finish="error"), Reply(text=REFUSED)]
    student = Student(lambda r: said[r.draw])
    pairs, out = made(tmp_path, [example()], student, section={"max_failed": 0.9}, hypotheses=4)
    assert [(p.chosen, p.rejected) for p in pairs] == [(RIGHT, REFUSED)]
    assert out.failed == {"no hypothesis: the call failed": 1} and out.notes["noted"]["hypotheses cut at max_tokens"] == 1
    assert "1 hypotheses were cut at 256 tokens and left out" in out.notes["advice"][1]


def test_a_student_that_always_fails_is_given_up_early(tmp_path: Path) -> None:
    student = Student(lambda r: Reply(text="down", finish="error"))
    with pytest.raises(TooManyFailed, match="None of the first 25 units"):
        made(tmp_path, [example(n) for n in range(200)], student)
    assert len(student.requests) < 200 * 7


def test_the_units_are_the_other_run_s_examples_with_a_place_to_be_shown(tmp_path: Path) -> None:
    chosen = options_of(registry.load("recipe", "preference"), {"examples": "run:other"})
    asked: list[str] = []
    find = lambda name: asked.append(name) or MANY  # noqa: E731
    at = Bench(None, None, [], 1, "preference", None, None, None, student=Student(MIXED), examples=find)
    found = units_of("preference", [], at, chosen)
    assert asked == ["run:other"] and [u.id for u in found] == sorted(e.id for e in MANY)
    assert all(u.document and u.path and u.title for u in found) and called("preference") == "prompts"


def test_held_out_examples_become_held_out_pairs(tmp_path: Path) -> None:
    pairs, out = made(tmp_path, [example(), example(1, split="held_out", document="h")], Student(MIXED))
    assert {(p.unit, p.split, p.document) for p in pairs} == {("e0", "train", "d"), ("e1", "held_out", "h")}
    assert out.notes["realised"] == {"held_out": 0.5, "train": 0.5}


def saying(request) -> str:
    """What hangs on prompt and draw alone."""
    return MIXED[int(call_key("s", request)[:8], 16) % len(MIXED)]


MANY = [(abstaining if n % 4 == 0 else example)(n, split="held_out" if n % 3 == 0 else "train") for n in range(24)]


def test_the_same_seed_gives_the_same_bytes_whoever_is_faster_and_however_the_examples_come(tmp_path: Path) -> None:
    kept = set()
    for number, (hurried, order) in enumerate(itertools.product([None, 1, 2], [1, -1])):
        made(tmp_path / str(number), MANY[::order], Student(saying, hurried), section={"target": 0})
        kept.add((tmp_path / str(number) / "data.jsonl").read_bytes())
    assert len(kept) == 1 and kept != {b""}


def test_a_limit_draws_by_the_seed(tmp_path: Path) -> None:
    units = [
        {p.unit for p in made(tmp_path / str(n), MANY, Student(MIXED), section={"limit": 6, "seed": seed})[0]} for n, seed in enumerate([1, 1, 2])
    ]
    assert units[0] == units[1] != units[2] and max(map(len, units)) <= 6


def test_every_hypothesis_is_asked_for_once_also_after_an_interruption(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    student = Student(saying)
    made(tmp_path / "a", MANY[:9], Journaled(student, journal))
    assert len(student.requests) == 63 == len(journal)
    made(tmp_path / "b", MANY, Journaled(student, journal))
    assert len(student.requests) == 24 * 7 == len({call_key("s", r) for r in student.requests})
    made(tmp_path / "c", MANY, Student(saying))
    assert (tmp_path / "b" / "data.jsonl").read_bytes() == (tmp_path / "c" / "data.jsonl").read_bytes()
    journal.close()


@given(st.lists(st.sampled_from([RIGHT, WRONG, UNCITED, REFUSED, "<ANSWER>: 24 days", ""]), min_size=2, max_size=7), st.booleans(), st.booleans())
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_replies_the_chosen_one_is_right_and_the_rejected_ones_are_worse_and_not(tmp_path, replies, two, own) -> None:
    options = {"rejected": "two-worst" if two else "worst", "chosen": "reference" if own else "hypothesis", "hypotheses": len(replies)}
    pairs, out = made(tmp_path / "x", [example()], Student(replies), **options)
    assert len(pairs) <= (2 if two else 1) and len(pairs) + sum(out.dropped.values()) >= 1
    for pair in pairs:
        chosen, rejected = (agreement(example(), RAFT, reply) for reply in (pair.chosen, pair.rejected))
        assert chosen >= 0.9 > rejected and pair.margin == pytest.approx(chosen - rejected)
        assert rejected == min(agreement(example(), RAFT, r) for r in replies) or pair is pairs[1]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "synthesize.student is empty. Name it: run:NAME"),
        ({"student": "nano"}, r'The student "nano" is no run, so it has no examples of its own. Set synthesize.options.examples'),
        ({"student": "run:a", "options": {"scorer": "reward"}}, "scorer is reward, which needs synthesize.judge: run:NAME of a run that trained"),
        ({"student": "run:a", "options": {"scorer": "judge"}, "judge": "template"}, "which needs synthesize.judge: a language model"),
        ({"student": "run:a", "options": {"scorer": "reward", "chosen": "reference"}, "judge": "run:b"}, "a reward has no scale of its own"),
        ({"student": "run:a", "options": {"hypotheses": 1}}, "hypotheses = 1"),
    ],
)
def test_a_config_that_names_too_little_is_a_sentence(settings: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        check(config.Synthesize(recipe="preference", **settings))


def test_a_config_that_names_enough_is_good() -> None:
    check(config.Synthesize(recipe="preference", student="run:a"))
    check(config.Synthesize(recipe="preference", student="nano", judge="run:b", options={"examples": "run:a", "scorer": "reward"}))
    check(config.Synthesize(recipe="preference", student="run:a", judge="b", options={"scorer": "reward", "chosen": "reference", "good": 0.0}))


def test_a_judge_of_the_other_kind_a_format_of_two_turns_and_no_examples_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='the judge "run:reward" is a reward model. Set scorer to reward'):
        made(tmp_path, [example()], Student(MIXED), Rewards({}), scorer="judge")
    with pytest.raises(ConfigError, match='the judge "judge" is no reward model'):
        made(tmp_path, [example()], Student(MIXED), marks({}), scorer="reward")
    with pytest.raises(ConfigError, match="train.format two-turn answers in 2 turns"):
        made(tmp_path, [example()], Student(MIXED), section={"format": "two-turn"})
    with pytest.raises(InputError, match="run:handbook has no curated example"):
        made(tmp_path, [], Student(MIXED))


def test_what_the_published_code_does_otherwise_is_guarded() -> None:
    """7 hypotheses at 0.8 and the two worst by default; the published script takes 5, and only the worst."""
    recipe = registry.load("recipe", "preference")
    options = options_of(recipe, {})
    assert (options.hypotheses, options.temperature, options.rejected, options.scorer) == (7, 0.8, "two-worst", "reference")
    assert msgspec.structs.fields(recipe.MAKES) and recipe.MAKES.__name__ == "Pair"
