"""Each defect that the published RAFT code has (docs/recipes/raft.md lists them) and a test that it is not here."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from groundling import grounding
from groundling.config import Curate
from groundling.curate import Context, curate
from groundling.errors import ConfigError, InputError, TooManyFailed
from groundling.grounding import ABSTAIN, FORMATS
from groundling.llm.base import Reply, Request
from groundling.llm.fake.content import Call, Message, name_of, say
from groundling.llm.schema import REASK, prompted
from groundling.llm.standin import StandIn
from groundling.llm.template import Template
from groundling.pipeline import run_stages
from groundling.records import Chunk, Example
from groundling.runs import open_run
from groundling.synthesize import need_model, options_of, showing
from groundling.synthesize.presets import preset_of
from groundling.synthesize.recipes import raft
from groundling.workspace import Output, read_lines

from .test_raft import GOOD, UNIT, Scripted, from_teacher, interval, made, near, world


def trained(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Those of the larger side of the split: one document is held out, and its few chunks have hardly any others beside them."""
    return [c for c in chunks if c.document != "d1"]


class Faked:
    """What the fake teacher says, without its server."""

    name, fingerprint, documents_role = "faked", "faked/1", False

    def __init__(self) -> None:
        self.asked: list[Request] = []

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += requests
        calls = [Call(model="fake", messages=[Message(**m) for m in prompted(r).messages]) for r in requests]
        return [Reply(text=said.content or "", finish=said.finish) for said in (say(call, name_of(call), 0, "") for call in calls)]


# Questions


@pytest.mark.parametrize(
    "question",
    [
        "What is Llama 3.1?",
        "What happened in 1945?",
        "Does it use grouped-query attention (GQA)?",
        "二十日ですか？",
        "Is 1. first, or\nsecond?",
        "2 + 2",
    ],
)
def test_questions_are_not_cut_after_their_last_letter(tmp_path: Path, question: str) -> None:
    [example], _ = from_teacher(tmp_path, {"questions": [question]})
    assert example.question == question
    assert all(question in FORMATS[f].prompt(example.question, example.passages)[-1]["content"] for f in ("raft", "two-turn", "ja"))


def test_the_numbers_of_a_list_do_not_stay_in_its_questions(tmp_path: Path) -> None:
    examples, _ = from_teacher(tmp_path, {"questions": ["1. How many?", "2) How much?", "3. Since when?"]})
    assert [e.question for e in examples] == ["How many?", "How much?", "Since when?"]
    examples, _ = from_teacher(tmp_path, {"questions": ["1. FC Köln won what?", "7. Army stood where?", "What?"]})
    assert [e.question for e in examples] == ["1. FC Köln won what?", "7. Army stood where?", "What?"]


def test_no_more_questions_than_asked_for_and_the_first_ones(tmp_path: Path) -> None:
    examples, _ = from_teacher(tmp_path, {"questions": [f"How many {n}?" for n in "abcdefg"]}, questions=3)
    assert [e.question for e in examples] == ["How many a?", "How many b?", "How many c?"]


def test_a_question_does_not_mention_the_passage(tmp_path: Path) -> None:
    asked = ["According to the passage, how many?", "What does this text say?", "How many contexts does the text editor open?", "How many?"]
    examples, out = from_teacher(tmp_path, {"questions": asked}, questions=4)
    assert [e.question for e in examples] == asked[2:] and out.dropped == {"the question points at the passage": 2}


# Prompts


def test_no_prompt_holds_the_two_characters_of_a_line_break() -> None:
    assert all("\\n" not in prompt and "<|" not in prompt for prompt in (raft.QUESTIONS, raft.ANSWER, raft.REASONED))


def test_the_prompt_holds_the_passages_and_not_the_bare_question(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, world(4))
    for e in examples:
        user = FORMATS["raft"].prompt(e.question, e.passages)[-1]["content"]
        assert all(p.text in user for p in e.passages) and e.question in user


def test_an_answer_is_read_back_without_its_tag(tmp_path: Path) -> None:
    """The published exact match compares "answer 8k" with "8k"."""
    fmt = FORMATS["raft"]
    for options in ({}, {"reasoning": True}):
        examples, _ = made(tmp_path, world(4), teacher=Faked(), absent="memory", **options)
        for e in examples:
            read = fmt.read(fmt.target(e), e.passages)
            assert (read.text, read.abstained, read.invalid) == (e.answer, False, [])
            assert read.quotes == e.quotes and read.citations == ([e.oracle] if e.oracle is not None else [])


# The right passage and its absence


@pytest.mark.parametrize("absent", ["memory", "abstain"])
def test_the_oracle_probability_is_really_drawn(tmp_path: Path, absent: str) -> None:
    examples, out = made(tmp_path, world(60), teacher=Faked(), preset="raft-paper", absent=absent)
    low, high = interval(0.8, len(examples))
    assert len(examples) > 300 and low < out.notes["realised"]["cited"] < high
    assert set(out.notes["realised"]) == {"cited", absent}


def test_a_refusal_s_record_holds_nothing_of_the_right_passage(tmp_path: Path) -> None:
    chunks = world(20)
    examples, _ = made(tmp_path, chunks, teacher=Faked(), preset="raft-chatbot", refusal_probability=1.0)
    texts = {c.id: c.text for c in chunks}
    refused = [e for e in examples if e.support == "abstain"]
    assert len(refused) == len(examples) / 2 > 20
    for e in refused:
        assert (e.oracle, e.quotes, e.reasoning, e.answer) == (None, [], "", ABSTAIN["en"])
        assert e.unit not in {p.id for p in e.passages} and texts[e.unit] not in {p.text for p in e.passages}
        assert FORMATS["raft"].target(e) == [f"<ANSWER>: {ABSTAIN['en']}"]


def test_refusals_are_counted_as_they_are(tmp_path: Path) -> None:
    examples, out = made(tmp_path, world(60), teacher=Faked(), preset="raft-chatbot", refusal_probability=0.3)
    refused = [e for e in examples if e.support == "abstain"]
    answered = {(e.unit, e.question) for e in examples if e.support == "cited"}
    assert {(e.unit, e.question) for e in refused} <= answered, "a refusal comes beside the answered question, not in its place"
    low, high = interval(0.3, len(answered))
    assert low < len(refused) / len(answered) < high
    assert out.notes["realised"]["abstain"] == round(len(refused) / len(examples), 4)


def test_refusals_beside_their_answers_are_no_duplicates(tmp_path: Path) -> None:
    chunks = world(5)
    examples, _ = made(tmp_path / "a", chunks, teacher=Faked(), units=chunks[:1], preset="raft-chatbot", refusal_probability=1.0)
    assert {e.support for e in examples} == {"cited", "abstain"}
    out = Output(tmp_path / "b")
    curate(examples, Curate(), Context(questions=[]), out)
    out.close()
    kept = list(read_lines(tmp_path / "b" / "data.jsonl", Example))
    assert {e.id for e in kept} == {e.id for e in examples} and not out.dropped


def test_the_number_of_passages_does_not_tell_whether_the_oracle_is_there(tmp_path: Path) -> None:
    """Where the right passage is left out without another in its place, a model learns to count."""
    chunks = world(30)
    fixed, _ = made(tmp_path, chunks, units=trained(chunks), oracle_probability=0.5, distractors=3, vary=False)
    assert {(e.support, len(e.passages)) for e in fixed} == {("cited", 4), ("abstain", 4)}
    chunks = world(60)
    varied, _ = made(tmp_path, chunks, units=trained(chunks), oracle_probability=0.5, distractors=3, questions=4)
    for k in (1, 2, 3, 4):
        supports = [e.support for e in varied if len(e.passages) == k]
        low, high = interval(0.5, len(supports))
        assert low < supports.count("cited") / len(supports) < high, k


def test_what_stands_in_the_oracle_s_place_repeats_no_distractor(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, world(20), oracle_probability=0.0, distractors=6, vary=False)
    assert all(not near(a.text, b.text) for e in examples for n, a in enumerate(e.passages) for b in e.passages[:n])


def test_distractors_are_not_only_random_and_the_preset_keeps_them_hard() -> None:
    for preset in raft.Options.PRESETS:
        assert raft.Options(preset=preset).hard == raft.Options().hard >= 0.5


def test_fewer_chunks_than_distractors_do_not_crash_and_are_told(tmp_path: Path) -> None:
    examples, out = made(tmp_path, world(1)[:3], distractors=6, vary=False, oracle_probability=1.0)
    assert examples and all(len(e.passages) <= 3 for e in examples)
    [said] = out.notes["advice"]
    assert (
        said.startswith(f"{len(examples)} of {len(examples)} examples could not be given as many distractors")
        and "Lower synthesize.options.distractors" in said
    )
    chunks = world(10)
    _, enough = made(tmp_path, chunks, units=trained(chunks), distractors=2)
    assert enough.notes["advice"] == [] and showing.FEWER not in enough.notes["noted"]


def test_a_chunk_alone_has_nothing_to_stand_in_its_place(tmp_path: Path) -> None:
    examples, out = made(tmp_path, [world(1)[0]], oracle_probability=0.0)
    assert examples == [] and set(out.dropped) == {"no passage to show in place of the right one"}


def test_rows_are_split_by_document(tmp_path: Path) -> None:
    chunks = world(12)
    documents = {c.id: c.document for c in chunks}
    examples, _ = made(tmp_path, chunks)
    shown = {side: {documents[p.id] for e in examples if e.split == side for p in e.passages} for side in ("train", "held_out")}
    assert shown["train"] and shown["held_out"] and not shown["train"] & shown["held_out"]


# The teacher


class Mending(Scripted):
    """Says `first` to a question, and `second` when told of a fault."""

    def __init__(self, first: object, second: object, questions: Sequence[str] = ("How many?",)) -> None:
        super().__init__({"questions": list(questions)}, None)
        self.first, self.second, self.asked = first, second, []

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += requests
        found = []
        for r in requests:
            self.answer = self.second if r.messages[-1]["content"].startswith(REASK) else self.first
            found += await super().replies([r])
        return found


WRONG = {"quote": "It has eight billion parameters.", "answer": "8 billion"}


def mended(tmp_path: Path, teacher: Mending, **options: object):
    return made(tmp_path, [UNIT, *world(3)], teacher=teacher, units=[UNIT], oracle_probability=1.0, **options)


def test_a_quote_that_is_not_verbatim_is_asked_for_once_more_with_the_fault_named(tmp_path: Path) -> None:
    teacher = Mending(WRONG, GOOD)
    [example], out = mended(tmp_path, teacher)
    assert example.quotes[0].text == GOOD["quote"] and not out.dropped
    [_, first, second] = teacher.asked
    assert "“It has eight billion parameters.” does not stand in the passage word for word" in second.messages[-1]["content"]
    assert second.messages[:-2] == first.messages and WRONG["quote"] in second.messages[-2]["content"]


def test_a_quote_that_is_wrong_twice_is_dropped_and_counted_once(tmp_path: Path) -> None:
    teacher = Mending(WRONG, WRONG)
    examples, out = mended(tmp_path, teacher)
    assert examples == [] and out.dropped == {"quote not verbatim in the passage": 1} and len(teacher.asked) == 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"quote": "", "answer": "8 billion"}, "quote not verbatim in the passage"),
        ({"quote": "It has 8 billion parameters (GQA).", "answer": "<ANSWER>: 8 billion"}, "marks of the format in the answer"),
        ({"quote": "8 billion", "answer": ""}, "the teacher found no answer"),
        ({"quote": "It has 8 billion parameters (GQA).", "answer": "Not stated in the passage."}, "the teacher found no answer"),
    ],
)
def test_no_answer_goes_unchecked(tmp_path: Path, answer: dict, reason: str) -> None:
    examples, out = mended(tmp_path, Mending(answer, answer))
    assert examples == [] and out.dropped == {reason: 1}


def test_a_quote_in_other_white_space_or_in_quotation_marks_is_the_passage_s_own(tmp_path: Path) -> None:
    said = {"quote": "“It has 8\nbillion  parameters (GQA).”", "answer": "8 billion"}
    teacher = Mending(said, GOOD)
    [example], _ = mended(tmp_path, teacher)
    assert example.quotes[0].text == "It has 8 billion parameters (GQA)." in UNIT.text and len(teacher.asked) == 2


def test_one_chunk_that_fails_does_not_end_the_others(tmp_path: Path) -> None:
    class Moody(Template):
        async def replies(self, requests: Sequence[Request]) -> list[Reply]:
            return [Reply(text="No.") if "Turku" in r.inputs["passage"] else self.reply(r) for r in requests]

    examples, out = made(tmp_path, world(6), teacher=Moody(), fail=0.5)
    assert examples and out.failed and all("Turku" not in e.question for e in examples)


@pytest.mark.parametrize("questions", ["I'm sorry, but I can't help with that.", {"questions": []}])
def test_a_teacher_that_always_refuses_is_stopped_with_a_sentence(tmp_path: Path, questions: object) -> None:
    teacher = Scripted(questions, None)
    asked: list[Request] = []
    given, teacher.parallel = teacher.replies, 4

    async def counted(requests: Sequence[Request]) -> list[Reply]:
        asked.extend(requests)
        return await given(requests)

    teacher.replies = counted
    with pytest.raises(TooManyFailed, match="synthesize.teacher"):
        made(tmp_path, world(100), teacher=teacher)
    assert len(asked) < 100 < len(world(100)), "long before the last chunk"


# Reasoning


def test_reasoning_leads_from_verbatim_quotes_to_the_answer(tmp_path: Path) -> None:
    chunks = world(10)
    examples, _ = made(tmp_path, chunks, teacher=Faked(), reasoning=True)
    cited = [e for e in examples if e.support == "cited"]
    assert cited and len(cited) < len(examples)
    for e in cited:
        assert e.reasoning and all(q.text in e.passages[e.oracle].text for q in e.quotes)
        [target] = FORMATS["raft"].target(e)
        assert target == f"##begin_quote##{e.quotes[0].text}##end_quote## [{e.oracle}]\n{e.reasoning}\n<ANSWER>: {e.answer}"
    assert all(e.reasoning == "" for e in examples if e.support != "cited")


def test_an_example_without_reasoning_is_rendered_as_before() -> None:
    assert grounding.fingerprint("raft") == "raft/1:930c2e66fe84c18c"
    assert all(e.reasoning == "" for e in grounding.fixtures())


REASONED = {"quotes": ["Llama 3.1 came out in 2024.", "It has 8 billion parameters (GQA)."], "reasoning": "It is told.", "answer": "8 billion"}


def test_every_quote_is_verified_not_only_the_first(tmp_path: Path) -> None:
    [example], _ = mended(tmp_path, Mending(REASONED, None), reasoning=True)
    assert [q.text for q in example.quotes] == REASONED["quotes"] and {q.passage for q in example.quotes} == {example.oracle}
    bad = REASONED | {"quotes": [REASONED["quotes"][0], "It has 8 thousand parameters."]}
    examples, out = mended(tmp_path, Mending(bad, bad), reasoning=True)
    assert examples == [] and out.dropped == {"quote not verbatim in the passage": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reasoning": ""}, "no reasoning"),
        ({"reasoning": "As [2] says."}, "bracketed numbers in the reasoning"),
        ({"reasoning": "##begin_quote##It##end_quote## says so."}, "marks of the format in the answer"),
    ],
)
def test_reasoning_is_checked_too(tmp_path: Path, change: dict, reason: str) -> None:
    examples, out = mended(tmp_path, Mending(REASONED | change, REASONED | change), reasoning=True)
    assert examples == [] and out.dropped == {reason: 1}
    assert len(mended(tmp_path, Mending(REASONED | change, REASONED), reasoning=True)[0]) == 1


def test_a_plan_without_a_pilot_counts_on_every_answer(tmp_path: Path) -> None:
    chunks = trained(world(5))
    for reasoning in (False, True):
        examples, out = made(tmp_path, chunks, teacher=StandIn(), questions=2, reasoning=reasoning)
        assert len(examples) == 2 * len(chunks) and not out.dropped and not out.failed
        assert all(bool(e.reasoning) == (reasoning and e.support == "cited") for e in examples)


def test_reasoning_needs_a_language_model() -> None:
    with pytest.raises(ConfigError, match=r"needs a language model to write reasoning .*which the preset raft-paper chose.*synthesize.teacher"):
        need_model("raft", "template", {"preset": "raft-paper"})
    need_model("raft", "template", {"preset": "raft-paper", "reasoning": False})
    need_model("raft", "template", {})
    need_model("raft", "gpt", {"reasoning": True})


# Presets


def test_the_presets_are_what_was_published() -> None:
    paper, chatbot = (raft.Options(preset=name) for name in ("raft-paper", "raft-chatbot"))
    assert (paper.oracle_probability, paper.distractors, paper.absent, paper.refusal_probability, paper.reasoning) == (0.8, 4, "memory", 0, True)
    assert (chatbot.oracle_probability, chatbot.distractors, chatbot.refusal_probability, chatbot.questions) == (1.0, 4, 0.05, 4)
    assert not paper.vary and not chatbot.vary and chatbot.reasoning


def test_each_value_of_a_preset_can_be_set_by_hand_and_is_told(tmp_path: Path) -> None:
    given = {"preset": "raft-paper", "distractors": 2, "reasoning": False}
    chosen = options_of(raft, given)
    assert (chosen.distractors, chosen.reasoning, chosen.oracle_probability, chosen.absent) == (2, False, 0.8, "memory")
    told = preset_of(raft, given)
    assert told == {
        "name": "raft-paper", "by_hand": {"distractors": 2, "reasoning": False},
        "chose": {"questions": 5, "vary": False, "oracle_probability": 0.8, "absent": "memory", "refusal_probability": 0.0},
    }  # fmt: skip
    assert made(tmp_path, world(2), **given)[1].notes["preset"] == told
    assert "preset" not in made(tmp_path, world(2))[1].notes


def test_a_preset_of_another_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match='there is no preset "raftpaper". Did you mean "raft-paper"'):
        options_of(raft, {"preset": "raftpaper"})


def test_a_preset_is_told_when_the_stage_ends() -> None:
    from groundling.told import summary

    notes = {"preset": preset_of(raft, {"preset": "raft-chatbot", "questions": 2}), "advice": ["Lower something."]}
    text = summary("synthesize", {"counts": {"in": 1, "kept": 1, "dropped": {}, "failed": {}}, "seconds": 1, "notes": notes})
    assert "\n  preset raft-chatbot: distractors 4, vary false, oracle_probability 1.0" in text
    assert "; set by hand: questions 2\n  Lower something." in text


def test_the_list_of_recipes_says_what_it_makes_what_it_costs_and_when_to_use_it() -> None:
    from groundling.registry import explained

    makes, costs = explained("recipe", "raft")
    assert makes.startswith("Makes: ") and costs.startswith("Costs: ") and re.search(r"\. Use when: .+\.$", costs)


# Randomness


def test_randomness_is_not_shared_and_hangs_on_no_order(tmp_path: Path) -> None:
    chunks = world(6)
    mixed = random.Random(5).sample(chunks, len(chunks))
    one, other = made(tmp_path, chunks)[0], made(tmp_path, chunks, units=mixed)[0]
    assert sorted(one, key=lambda e: e.id) == sorted(other, key=lambda e: e.id)
    state = random.getstate()
    made(tmp_path, chunks)
    assert random.getstate() == state


def test_each_setting_that_shapes_the_rows_is_in_the_record_s_settings() -> None:
    """The published resume hangs on the output's path alone: changed settings mix without a word."""
    settings = [
        options_of(raft, given).model_dump(mode="json") for given in ({}, {"preset": "raft-paper"}, {"near_duplicate": 0.5}, {"reasoning": True})
    ]
    assert all(a != b for a, b in pairwise(settings)) and set(settings[0]) == set(raft.Options.model_fields)


def test_a_run_that_makes_nothing_at_all_says_what_to_change(tmp_path: Path) -> None:
    (tmp_path / "poem.md").write_text("# Poem\n\nQuiet waters, gentle skies, nothing here that one could ask about at all.\n", "utf-8")
    run = open_run(tmp_path, tmp_path / "run", [], lambda text: None)
    with pytest.raises(InputError, match=r'no example at all with the teacher "template": 1 × no question for this chunk.*a language model'):
        run_stages(run, "ingest", "synthesize")
    with pytest.raises(ConfigError, match="needs a language model to write reasoning"):
        run_stages(open_run(tmp_path, tmp_path / "run", ["synthesize.options.reasoning=true"], lambda text: None), "ingest", "synthesize")
