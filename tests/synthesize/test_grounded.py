"""Conversations over clusters: ids that quotes prove, rows without an answer that really have none, histories that their documents support."""

from __future__ import annotations

import html
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling.curate import Context, judged
from groundling.errors import ConfigError, TooManyFailed
from groundling.grounding import ABSTAIN, FORMATS, conversation
from groundling.llm.base import Request
from groundling.records import Chunk, Example
from groundling.synthesize.contents import FORMS, content

from .recipe_world import HELD_OUT, Fake, Scripted, checked, handbook, made

many = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
choices = st.fixed_dictionaries(
    {
        "documents": st.integers(2, 5),
        "least": st.integers(2, 3),
        "dialogues": st.integers(1, 3),
        "turns": st.integers(1, 3),
        "out_of_domain": st.sampled_from([0.0, 0.4, 1.0]),
        "check": st.booleans(),
        "contents": st.lists(st.sampled_from(FORMS), min_size=1, max_size=3, unique=True),
        "untitled": st.sampled_from([0.0, 0.5]),
        "neighbours": st.sampled_from(["search", "document"]),
    }
)


@many
@given(choices, st.integers(0, 10**6))
def test_every_row_of_every_setting_keeps_its_promises(tmp_path: Path, options: dict, seed: int) -> None:
    chunks = {c.id: c for c in handbook(6)}
    examples, out = made(tmp_path, "grounded", list(chunks.values()), seed=seed, **options)
    assert examples and len({e.id for e in examples}) == len(examples)
    for e in examples:
        checked(e, chunks)
        assert 1 <= len(e.passages) <= max(options["documents"], options["least"])
        for p in e.passages:
            assert p.text in {content(chunks[p.id].text, form) for form in options["contents"]} and p.title in ("", chunks[p.id].title)
        turns = FORMATS["two-turn"].target(e)
        ids = json.loads(turns[0])["relevant_doc_ids"]
        assert ids == sorted({q.passage for q in e.quotes}) and turns[1] == e.answer
        assert len(e.history) < options["turns"] and e.kind == ("good" if e.support == "cited" else "ood")
        assert e.answer == ABSTAIN["en"] if e.kind == "ood" else ids
    rows = defaultdict(list)
    for e in examples:
        rows[e.unit].append(e)
    for own in rows.values():
        assert sum(not e.history for e in own) <= options["dialogues"]
    if options["out_of_domain"] == 0:
        assert {e.kind for e in examples} == {"good"}
    assert out.notes["kinds"].keys() == {e.kind for e in examples}


@many
@given(choices, st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_bytes_whoever_is_faster(tmp_path: Path, options: dict, seed: int) -> None:
    chunks = handbook(4)
    made(tmp_path, "grounded", chunks, Fake(hurried=1), seed, **options)
    first = (tmp_path / "data.jsonl").read_bytes()
    made(tmp_path, "grounded", chunks, Fake(hurried=2), seed, **options)
    assert (tmp_path / "data.jsonl").read_bytes() == first


def test_a_row_does_not_hang_on_the_order_of_the_chunks(tmp_path: Path) -> None:
    one, _ = made(tmp_path, "grounded", handbook(4), out_of_domain=0.5)
    other, _ = made(tmp_path, "grounded", handbook(4)[::-1], out_of_domain=0.5)
    assert sorted(one, key=lambda e: e.id) == sorted(other, key=lambda e: e.id)


def test_a_row_without_an_answer_shows_no_document_that_holds_it(tmp_path: Path) -> None:
    chunks = handbook(8)
    options: dict[str, Any] = {"turns": 1, "dialogues": 3}
    good, _ = made(tmp_path, "grounded", chunks, out_of_domain=0.0, **options)
    ood, _ = made(tmp_path, "grounded", chunks, out_of_domain=1.0, **options)
    answered = {e.id: e for e in good}
    assert len(ood) == len(good) > 30 and sum(e.kind == "ood" for e in ood) > 0.9 * len(ood)
    for e in (e for e in ood if e.kind == "ood"):
        had = answered[e.id]
        relevant = {had.passages[q.passage].id for q in had.quotes}
        assert e.question == had.question and relevant and not relevant & {p.id for p in e.passages}
        stay = [p for n, p in enumerate(had.passages) if n not in {q.passage for q in had.quotes}]
        assert all(p in e.passages for p in stay), "the others stay"
        bare = [html.unescape(p.text) for p in e.passages]
        assert all(html.unescape(q.text) not in text for q in had.quotes for text in bare)


MONDAYS = "The siren sounds at noon on Mondays."


@pytest.mark.parametrize("everywhere", [MONDAYS, "On Mondays at noon the siren can be heard."])
def test_a_fact_told_everywhere_is_never_beside_an_abstention(tmp_path: Path, everywhere: str) -> None:
    """Also where it is told in other words: the answer is there. Without the teacher's second look, so that the check of words stands alone."""
    chunks = [type(c)(**{**_fields(c), "text": f"{c.text}\n\n{everywhere if n % 2 else MONDAYS}"}) for n, c in enumerate(handbook(6))]

    def said(request: Request) -> dict:
        [quote, *_] = [line for line in (MONDAYS, everywhere) if line in request.inputs["documents"][0]]
        return {"relevant_doc_ids": [0], "quotes": [{"doc_id": 0, "quote": quote}], "answer": "noon"}

    teacher = Scripted(dialogues={"dialogues": [{"questions": ["When does the siren sound?"]}]}, grounded=said)
    rows, out = made(tmp_path, "grounded", chunks, teacher, turns=1, dialogues=1, out_of_domain=1.0, check=False, documents=2)
    assert rows and {e.kind for e in rows} == {"good"} and out.notes["noted"] == {"kept as good: its documents cannot be left out": len(rows)}
    assert out.notes["advice"] == [
        f"{len(rows)} rows drawn to be without an answer were kept as good: its documents cannot be left out; raise out_of_domain for more."
    ]


def _fields(chunk: Chunk) -> dict[str, Any]:
    return {name: getattr(chunk, name) for name in chunk.__struct_fields__}


def test_a_document_that_an_earlier_answer_rests_on_is_never_left_out(tmp_path: Path) -> None:
    examples, out = made(tmp_path, "grounded", handbook(8), out_of_domain=1.0, turns=3, dialogues=3)
    later = [e for e in examples if e.history]
    assert {e.kind for e in later} == {"good", "ood"} and out.notes["noted"]["kept as good: its documents cannot be left out"]
    for e in later:
        shown = "\n".join(html.unescape(p.text) for p in e.passages)
        said = [turn.answer.removeprefix("It is stated as ").rstrip(".") for turn in e.history if turn.answer.count("stated") == 1]
        assert all(fact in shown for fact in said)


def test_the_teacher_is_asked_whether_the_other_documents_answer_after_all(tmp_path: Path) -> None:
    def knows(request: Request) -> dict:
        text = request.inputs["documents"][0]
        return {"relevant_doc_ids": [0], "quotes": [{"doc_id": 0, "quote": text[:12]}], "answer": "It is so in every town."}

    rows, out = made(tmp_path, "grounded", handbook(5), Scripted(grounded=knows), out_of_domain=1.0, turns=1)
    assert {e.kind for e in rows} == {"good"} and out.notes["noted"]["kept as good: other documents answer it too"] == len(rows)
    unchecked, _ = made(tmp_path, "grounded", handbook(5), Scripted(grounded=knows), out_of_domain=1.0, turns=1, check=False)
    assert {e.kind for e in unchecked} == {"ood"}


def test_the_documents_that_answer_stand_at_every_place_equally_often(tmp_path: Path) -> None:
    """The teacher asks about the first document only."""

    def said(request: Request) -> dict:
        return {**GOOD, "quotes": [{"doc_id": 0, "quote": request.inputs["documents"][0][:12]}]}

    teacher = Scripted(grounded=said)
    rows, out = made(tmp_path, "grounded", handbook(40), teacher, documents=3, least=3, dialogues=3, turns=2, out_of_domain=0.0)
    assert len(rows) > 200
    assert {n: count / len(rows) for n, count in out.notes["oracle_at"].items()} == pytest.approx(dict.fromkeys("012", 1 / 3), abs=0.12)


def test_a_question_may_need_several_documents(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, "grounded", handbook(6), dialogues=2)
    several = [e for e in examples if len({q.passage for q in e.quotes}) > 1]
    assert several
    assert all(len(json.loads(FORMATS["two-turn"].target(e)[0])["relevant_doc_ids"]) > 1 for e in several)


def test_conversations_come_turn_by_turn_each_with_what_was_said_before(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, "grounded", handbook(6), turns=3, out_of_domain=0.0)
    third = next(e for e in examples if len(e.history) == 2)
    before = [e for e in examples if e.unit == third.unit and e.question in {t.question for t in third.history}]
    assert [(e.question, e.answer) for e in sorted(before, key=lambda e: len(e.history))] == [(t.question, t.answer) for t in third.history]
    roles = [(m["role"], m["content"]) for m in conversation(FORMATS["two-turn"], third, documents_role=True)]
    assert [r for r, _ in roles] == ["system", "documents", "user", "assistant", "user", "assistant", "user"]
    assert [c for r, c in roles if r == "user"] == [*(t.question for t in third.history), third.question]
    assert [d["doc_id"] for d in json.loads(roles[1][1])] == list(range(len(third.passages)))


# Answers as a language model writes them.

GOOD = {"relevant_doc_ids": [0], "quotes": [], "answer": "It is so."}


def answered(tmp_path: Path, change: Any, **options: Any) -> tuple[list[Example], Any]:
    """The rows where every answer is a good one from the first document with a change."""

    def said(request: Request) -> dict:
        quote = next(line for line in request.inputs["documents"][0].splitlines() if len(line) > 8)
        value = {**GOOD, "quotes": [{"doc_id": 0, "quote": quote}]}
        return {**value, **(change(value) if callable(change) else change)}

    return made(tmp_path, "grounded", handbook(3), Scripted(grounded=said), **{"turns": 1, "dialogues": 1, "out_of_domain": 0.0, **options})


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"relevant_doc_ids": [0, 9]}, "an id of no document"),
        ({"relevant_doc_ids": [-1]}, "an id of no document"),
        ({"relevant_doc_ids": [1]}, "ids and quotes do not agree"),
        ({"relevant_doc_ids": [0, 1]}, "ids and quotes do not agree"),
        ({"quotes": []}, "ids and quotes do not agree"),
        ({"quotes": [{"doc_id": 0, "quote": "Nobody wrote this."}]}, "quote not verbatim in its document"),
        ({"relevant_doc_ids": [], "quotes": [], "answer": ""}, "the teacher found no answer"),
        ({"answer": "Document 0 says so."}, "the answer names documents by their ids"),
        ({"answer": "It is so [0]."}, "the answer names documents by their ids"),
        ({"answer": "The documents do not say."}, "the teacher found no answer"),
    ],
)
def test_an_answer_that_is_not_proved_is_dropped_with_its_reason(tmp_path: Path, change: dict, reason: str) -> None:
    examples, out = answered(tmp_path, change)
    assert examples == [] and out.dropped == {reason: 6}
    assert json.loads((tmp_path / "dropped.jsonl").read_text().splitlines()[0])["what"]["question"]
    assert len(answered(tmp_path, {})[0]) == 6, "without the change it is kept"


def test_a_conversation_ends_where_a_question_has_no_answer(tmp_path: Path) -> None:
    def dialogues(request: Request) -> dict:
        return {"dialogues": [{"questions": [f"Question {n}?" for n in range(length)]} for length in request.inputs["lengths"]]}

    def said(request: Request) -> dict:
        if request.inputs["question"] == "Question 1?":
            return {"relevant_doc_ids": [], "quotes": [], "answer": ""}
        return {**GOOD, "quotes": [{"doc_id": 0, "quote": request.inputs["documents"][0][:12]}]}

    teacher = Scripted(dialogues=dialogues, grounded=said)
    examples, out = made(tmp_path, "grounded", handbook(8), teacher, turns=3, dialogues=1, out_of_domain=0.0)
    assert {e.question for e in examples} == {"Question 0?"}
    assert out.dropped["the teacher found no answer"] > out.dropped["a question after one without an answer"] > 0
    assert not any(r.inputs["question"] == "Question 2?" for r in teacher.requests if r.task == "grounded"), "nothing more is paid for it"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"dialogues": [{"questions": []}]}, "a conversation without questions"),
        ({"dialogues": [{"questions": [None, " "]}]}, "a conversation without questions"),
        ({"dialogues": ["Who?"]}, "a conversation without questions"),
        ({"dialogues": [{"questions": ["What does this passage say?"]}]}, "the question speaks of the documents"),
        ({"dialogues": [{"questions": ["How many?"]}, {"questions": ["how many"]}]}, "asked before of the same documents"),
        ({"dialogues": []}, "no conversation about this cluster"),
    ],
)
def test_a_conversation_that_will_not_do_is_dropped_with_its_reason(tmp_path: Path, said: dict, reason: str) -> None:
    _, out = made(tmp_path, "grounded", handbook(2), Scripted(dialogues=said), dialogues=2, section={"max_failed": 1.0})
    assert out.dropped[reason] == 4


def test_russian_and_japanese_rows_refuse_in_their_own_language(tmp_path: Path) -> None:
    for question, language in (("Сколько весит чайник?", "ru"), ("やかんは何キロですか？", "ja")):
        said = {"dialogues": [{"questions": [question]}]}
        rows, _ = answered(tmp_path, {}, out_of_domain=1.0, check=False)
        assert {e.answer for e in rows if e.kind == "ood"} == {ABSTAIN["en"]}

        def found(request: Request) -> dict:
            return {**GOOD, "quotes": [{"doc_id": 0, "quote": request.inputs["documents"][0][:12]}]}

        rows, _ = made(
            tmp_path, "grounded", handbook(5), Scripted(dialogues=said, grounded=found), turns=1, dialogues=1, out_of_domain=1.0, check=False
        )
        assert {e.answer for e in rows if e.kind == "ood"} == {ABSTAIN[language]}


def test_contents_say_the_same_in_every_form() -> None:
    text = handbook(1)[0].text
    assert content(text, "markdown") == text
    plain, page = content(text, "plain"), content(text, "html")
    assert plain.splitlines()[0] == "Part 0 of Turku" and "Katla 11; 311 EUR" in plain and "|" not in plain
    assert "<h2>Part 0 of Turku</h2>" in page and "<li>The hall of Turku opens at 7:30.</li>" in page
    assert "<tr><td>Katla 11</td><td>311 EUR</td></tr>" in page and "11 kg &amp; stands" in page and "---" not in page
    words = [w for w in text.replace("#", " ").replace("|", " ").replace("- ", " ").split() if w.strip("-")]
    assert [w.strip(";") for w in plain.replace("- ", " ").split()] == words
    assert content("", "html") == content("", "plain") == ""


def test_mixed_contents_are_shown_and_long_chunks_are_not(tmp_path: Path) -> None:
    chunks = [*handbook(6), Chunk(id="long", document="d0", path="0.md", title="", text="word " * 900, start=9000, end=13500)]
    examples, out = made(tmp_path, "grounded", chunks)
    texts = [p.text for e in examples for p in e.passages]
    assert any("<p>" in t for t in texts) and any("## Part" in t for t in texts) and any("<" not in t and "##" not in t for t in texts)
    assert any(not p.title for e in examples for p in e.passages)
    assert out.dropped["a chunk longer than `longest`"] == 1 and not any("word word" in t for t in texts)


def test_the_filters_of_curate_keep_what_the_recipe_made(tmp_path: Path) -> None:
    examples, _ = made(tmp_path, "grounded", handbook(5), out_of_domain=0.4, turns=3)
    assert {e.kind for e in examples} == {"good", "ood"} and judged("cited", examples, Context(questions=[])) == [None] * len(examples)


def test_too_few_chunks_are_told_before_anything_is_asked(tmp_path: Path) -> None:
    teacher = Fake()
    with pytest.raises(ConfigError, match=r"A cluster takes 3 chunks, but the documents gave only 2, .* Lower synthesize.options.least"):
        made(tmp_path, "grounded", handbook(1), teacher, least=3)
    assert teacher.requests == []
    rows, out = made(tmp_path, "grounded", handbook(2), teacher, least=2, documents=2)  # one document on each side
    assert {e.document for e in rows} == {"d0", "d1"} and all({p.id[:2] for p in e.passages} == {f"c{e.document[1]}"} for e in rows)
    lonely = [c for c in handbook(3) if c.id != "c1-0"]
    _, out = made(tmp_path, "grounded", lonely)
    assert HELD_OUT & {"d1"} and out.dropped["too few chunks beside it for a cluster"] == 1


def test_unreadable_answers_are_failures(tmp_path: Path) -> None:
    with pytest.raises(TooManyFailed, match="no answer: no JSON object in the reply"):
        made(tmp_path, "grounded", handbook(2), Scripted(grounded="I would rather not."))
    with pytest.raises(TooManyFailed, match="no conversations: no JSON object in the reply"):
        made(tmp_path, "grounded", handbook(2), Scripted(dialogues="I would rather not."))
