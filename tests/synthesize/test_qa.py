"""Question and answer pairs: quotas, kinds, questions over several chunks, and every quote where it is said to be."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling.curate import Context, judged
from groundling.errors import ConfigError, TooManyFailed
from groundling.llm.base import Request
from groundling.records import Chunk, Example
from groundling.synthesize.recipes import qa
from groundling.synthesize.wording import asked_before, points_at_the_passage

from .recipe_world import Fake, Scripted, checked, handbook, made

UNIT = Chunk(
    id="u", document="d", path="u.md", title="Llama", start=0, end=120,
    text="Llama 3.1 came out in 2024. It has 8 billion  parameters. First load the weights, then ask. It is free.",
)  # fmt: skip
FACT = {
    "kind": "fact", "question": "What is Llama 3.1?", "answer": "a model that is free", "quotes": [{"passage": 0, "quote": "It is free."}],
}  # fmt: skip
many = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
choices = st.fixed_dictionaries(
    {
        "questions": st.integers(1, 5),
        "kinds": st.dictionaries(st.sampled_from(sorted(qa.KINDS)), st.sampled_from([0.5, 1.0, 3.0]), min_size=1),
        "multi_hop": st.sampled_from([0.0, 0.5, 1.0]),
        "hops": st.integers(2, 4),
        "multi_hop_questions": st.integers(1, 3),
        "neighbours": st.sampled_from(["search", "document"]),
        "again": st.booleans(),
    }
)


def pairs(tmp_path: Path, said: object, **options) -> tuple[list[Example], object]:
    return made(tmp_path, "qa", [UNIT], Scripted(pairs=said), **{"multi_hop": 0.0, "again": False, "kinds": {"fact": 1}, **options})


@many
@given(choices, st.integers(0, 10**6), st.integers(3, 5))
def test_every_pair_of_every_setting_keeps_its_promises(tmp_path: Path, options: dict, seed: int, documents: int) -> None:
    chunks = {c.id: c for c in handbook(documents)}
    examples, out = made(tmp_path, "qa", list(chunks.values()), seed=seed, **options)
    assert examples and len({e.id for e in examples}) == len(examples)
    units: dict[tuple, list[Example]] = defaultdict(list)
    for e in examples:
        checked(e, chunks)
        assert e.kind in options["kinds"] and qa.of_its_kind(e.kind, e.answer) and e.support == "cited" and not e.history
        assert [(p.title, p.text) for p in e.passages] == [(chunks[p.id].title, chunks[p.id].text) for p in e.passages]
        assert e.unit in {p.id for p in e.passages}
        assert len(e.passages) == 1 or (len(e.passages) == options["hops"] and len({q.passage for q in e.quotes}) > 1)
        units[e.unit, len(e.passages)].append(e)
    for (_, size), own in units.items():
        assert len(own) <= (options["questions"] if size == 1 else options["multi_hop_questions"]), "no unit has more than its quota"
        assert not any(asked_before(e.question, [o.question for o in own if o is not e]) for e in own)
    assert {u for u, size in units if size == 1} == set(chunks), "every chunk is covered"
    if not options["multi_hop"]:
        assert all(size == 1 for _, size in units)
    assert sum(out.notes["kinds"].values()) == pytest.approx(1, abs=1e-3)


@many
@given(choices, st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_bytes_whoever_is_faster(tmp_path: Path, options: dict, seed: int) -> None:
    chunks = handbook(3)
    made(tmp_path, "qa", chunks, Fake(hurried=1), seed, **options)
    first = (tmp_path / "data.jsonl").read_bytes()
    made(tmp_path, "qa", chunks, Fake(hurried=2), seed, **options)
    assert (tmp_path / "data.jsonl").read_bytes() == first


def test_a_pair_does_not_hang_on_the_order_of_the_chunks(tmp_path: Path) -> None:
    one, _ = made(tmp_path, "qa", handbook(4), multi_hop=1.0)
    other, _ = made(tmp_path, "qa", handbook(4)[::-1], multi_hop=1.0)
    assert sorted(one, key=lambda e: e.id) == sorted(other, key=lambda e: e.id)


def test_the_quota_is_met_where_the_chunks_allow_it_and_kinds_come_as_weighed(tmp_path: Path) -> None:
    chunks = handbook(30)
    examples, out = made(tmp_path, "qa", chunks, questions=4, multi_hop=0.0, kinds={"fact": 3, "yes_no": 1})
    assert Counter(Counter(e.unit for e in examples).values()) == {4: len(chunks)}
    assert out.notes["units_with_rows"] == {"4": len(chunks)} and out.notes["noted"] == {"units with their quota of pairs": len(chunks)}
    assert out.notes["advice"] == [f"quota: {len(chunks)} of {len(chunks)} units have all their pairs"]
    assert out.notes["kinds"] == pytest.approx({"fact": 0.75, "yes_no": 0.25}, abs=0.06)
    even, _ = made(tmp_path, "qa", chunks, questions=6, multi_hop=0.0, again=False)
    assert {len(set(kinds)) for kinds in _kinds(even).values()} == {6}, "of six questions each kind is one"


def _kinds(examples: list[Example]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for e in examples:
        found[e.unit].append(e.kind)
    return found


def test_what_is_missing_is_asked_for_once_more_with_what_was_asked_before(tmp_path: Path) -> None:
    def said(request: Request) -> dict:
        kinds, first = request.inputs["kinds"], "asked already" not in request.messages[-1]["content"]
        return {"pairs": [{**FACT, "kind": kinds[0], "question": "First?" if first else "Second?"}]}

    teacher = Scripted(pairs=said)
    examples, out = made(tmp_path, "qa", [UNIT], teacher, multi_hop=0.0, questions=3, kinds={"fact": 1, "comparison": 1})
    assert [e.question for e in examples] == ["First?", "Second?"]
    assert len(teacher.requests) == 2 and "- First?" in teacher.requests[1].messages[-1]["content"]
    assert len(teacher.requests[1].inputs["kinds"]) == 2, "as many as are missing"
    assert out.notes["noted"] == {"units with fewer pairs than their quota": 1}


def test_kinds_that_the_passage_did_not_allow_are_not_asked_for_again(tmp_path: Path) -> None:
    teacher = Scripted(pairs=lambda r: {"pairs": [FACT] if "fact" in r.inputs["kinds"] else []})
    made(tmp_path, "qa", [UNIT], teacher, multi_hop=0.0, questions=4, kinds={"fact": 1, "procedure": 1})
    assert [sorted(r.inputs["kinds"]) for r in teacher.requests] == [["fact", "fact", "procedure", "procedure"], ["fact"] * 3]


def test_no_kind_comes_more_often_than_it_was_asked_for(tmp_path: Path) -> None:
    number = {**FACT, "kind": "number", "answer": "8"}
    said = {"pairs": [FACT, {**FACT, "question": "Who made it?"}, {**number, "question": "How many?"}, {**number, "question": "How large?"}]}
    examples, out = pairs(tmp_path, said, questions=2, kinds={"fact": 1, "number": 1})
    assert [e.question for e in examples] == ["What is Llama 3.1?", "How many?"] and out.dropped == {"a kind that was not asked for": 2}


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ({"quotes": [{"passage": 0, "quote": "It is not free."}]}, "quote not verbatim in the passage"),
        ({"quotes": [{"passage": 1, "quote": "It is free."}]}, "quote not verbatim in the passage"),
        ({"quotes": [{"passage": -1, "quote": "It is free."}]}, "quote not verbatim in the passage"),
        ({"quotes": []}, "quote not verbatim in the passage"),
        ({"kind": "list", "answer": "one, two"}, "a kind that was not asked for"),
        ({"kind": "riddle"}, "a pair that does not fit its schema"),
        ({"answer": ""}, "no question or no answer"),
        ({"answer": "Not in the documents."}, "no question or no answer"),
        ({"question": "What does the passage say of Llama?"}, "the question speaks of the passage"),
        ({"answer": "It is free, says [0]."}, "the answer names passages by their numbers"),
        ({"question": None}, "a pair that does not fit its schema"),
    ],
)
def test_a_pair_that_is_not_good_is_dropped_with_its_reason_and_the_others_stay(tmp_path: Path, pair: dict, reason: str) -> None:
    good = {**FACT, "question": "Is Llama free of charge?"}
    examples, out = pairs(tmp_path, {"pairs": [{**FACT, **pair}, good]}, questions=2)
    assert [e.question for e in examples] == ["Is Llama free of charge?"] and out.dropped == {reason: 1}
    assert json.loads((tmp_path / "dropped.jsonl").read_text())["what"]["kind"]


def test_questions_are_kept_whole_and_quotes_with_other_white_space_become_the_passage_s_own(tmp_path: Path) -> None:
    said = {**FACT, "quotes": [{"passage": 0, "quote": "It has 8 billion parameters."}]}
    [example], _ = pairs(tmp_path, {"pairs": [said]})
    assert example.question == "What is Llama 3.1?" and example.quotes[0].text == "It has 8 billion  parameters."


def test_nothing_is_asked_twice_of_a_chunk(tmp_path: Path) -> None:
    again = [{**FACT, "question": q} for q in ("what is LLAMA 3.1", "What is Llama 3.2?")]
    examples, out = pairs(tmp_path, {"pairs": [FACT, *again]}, questions=3)
    assert [e.question for e in examples] == ["What is Llama 3.1?", "What is Llama 3.2?"], "another number is another question"
    assert out.dropped == {"asked before of the same chunk": 1}


@pytest.mark.parametrize(
    ("kind", "answer", "good"),
    [
        ("yes_no", "Yes, after 14 days.", True), ("yes_no", "Нет, нельзя.", True), ("yes_no", "はい、可能です。", True), ("yes_no", "Nein.", True),
        ("yes_no", "Nobody knows.", False), ("yes_no", "After 14 days.", False), ("yes_no", "Yesterday.", False),
        ("number", "12 kg", True), ("number", "二十日", True), ("number", "a dozen", False),
        ("list", "cats, dogs and bees", True), ("list", "猫、犬", True), ("list", "cats", False), ("list", "cats.", False),
        ("procedure", "First load it, then ask.", True), ("procedure", "1. Load it\n2. Ask", True), ("procedure", "Load it", False),
        ("fact", "Turku", True), ("comparison", "A is heavier", True),
    ],
)  # fmt: skip
def test_the_form_of_an_answer_tells_whether_it_is_of_its_kind(kind: str, answer: str, good: bool) -> None:
    assert qa.of_its_kind(kind, answer) is good


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("What does the passage say about leave?", True), ("According to the text, who signs?", True), ("Что сказано в этом тексте?", True),
        ("この文章によると何日ですか？", True), ("Where must the document be handed in?", False), ("How many passages does the ship make?", False),
    ],
)  # fmt: skip
def test_questions_that_speak_of_the_passage_are_told_from_others(question: str, told: bool) -> None:
    assert points_at_the_passage(question) is told


def test_a_question_over_several_chunks_must_quote_two_of_them(tmp_path: Path) -> None:
    def said(request: Request) -> dict:
        quotes = [{"passage": n, "quote": request.inputs["passages"][n][:20]} for n in range(len(request.inputs["passages"]))]
        return {"pairs": [{**FACT, "quotes": quotes[:1]}, {**FACT, "question": "And both?", "quotes": quotes}]}

    examples, out = made(tmp_path, "qa", handbook(3), Scripted(pairs=said), multi_hop=1.0, questions=2, multi_hop_questions=2, again=False,
                         kinds={"fact": 1})  # fmt: skip
    several = [e for e in examples if len(e.passages) == 2]
    assert several and {e.question for e in several} == {"And both?"}
    assert out.dropped["a question over several chunks that quotes only one"] == len(several)
    assert out.notes["units_called"] == "clusters" and out.notes["units"]["of"] == 12


def test_neighbours_of_the_same_document_come_first_where_they_are_wanted(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, "qa", handbook(4, parts=3), multi_hop=1.0, hops=3, neighbours="document", questions=1)
    several = [e for e in examples if len(e.passages) == 3]
    assert several and all({p.id[:2] for p in e.passages} == {e.unit[:2]} for e in several)


def test_the_filters_of_curate_keep_what_the_recipe_made(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, "qa", handbook(4), multi_hop=1.0)
    assert {len({q.passage for q in e.quotes}) for e in examples} == {1, 2}
    assert judged("cited", examples, Context(questions=[])) == [None] * len(examples)


def test_an_unreadable_reply_is_a_failure_and_is_not_asked_for_a_third_time(tmp_path: Path) -> None:
    teacher = Scripted(pairs="I would rather not.")
    with pytest.raises(TooManyFailed, match="no list of pairs: no JSON object"):
        made(tmp_path, "qa", [UNIT], teacher, multi_hop=0.0)
    assert len(teacher.requests) == 2 and "rather not" in (tmp_path / "failed.jsonl").read_text()


def test_options_are_checked(tmp_path: Path) -> None:
    for options, told in [
        ({"kinds": {"riddle": 1}}, "kinds"), ({"kinds": {"fact": 0}}, "at least one kind needs a weight above 0"), ({"hop": 2}, 'Did you mean "hops"'),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=told):
            made(tmp_path, "qa", [UNIT], **options)
    with pytest.raises(ConfigError, match=r"takes 3 chunks, but the documents gave only 2, of which 2 .*multi_hop to 0"):
        made(tmp_path, "qa", handbook(1), hops=3)
