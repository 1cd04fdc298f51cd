"""What the fields of others mean: every published shape becomes our records, or says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundling.errors import ConfigError
from groundling.imports import Bad, Unheld, read
from groundling.records import Example, Pair, Turn


@pytest.fixture
def one(tmp_path: Path):
    """What comes of one record of JSON."""

    def reading(record: dict, shape: str = ""):
        (tmp_path / "a.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n", "utf-8")
        (found,) = read(tmp_path / "a.jsonl", shape)
        return found

    return reading


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def human(*texts: str) -> list[dict[str, str]]:
    return [{"from": ("human", "gpt")[n % 2], "value": text} for n, text in enumerate(texts)]


PLAIN = [
    {"ID": "7", "text": "Who?", "output": "Me."},
    {"id": 7, "question": "Who?", "answer": "Me."},
    {"id": 7, "prompt": "Who?", "response": "Me."},
    {"id": 7, "instruction": "Who?", "input": "", "output": "Me."},
    {"id": 7, "instruction": "Who?", "output": "Me.", "text": "Below is an instruction … Who? … Me."},  # as in the published Alpaca
    {"id": 7, "conversations": human("Who?", "Me.")},
    {"id": 7, "conversations": [said("user", "Who?"), said("assistant", "Me.")]},
    {"id": 7, "messages": [said("user", "Who?"), said("assistant", "Me.")]},
    {"id": 7, "prompt": "Who?", "completion": "Me."},
    {"id": 7, "prompt": [said("user", "Who?")], "completion": [said("assistant", "Me.")]},
]


@pytest.mark.parametrize("record", PLAIN, ids=lambda r: "+".join(r))
def test_a_question_and_its_answer_is_an_example_from_memory(record, one) -> None:
    found = one(record)
    assert isinstance(found, Example)
    assert (found.question, found.answer, found.unit, found.document) == ("Who?", "Me.", "7", "a.jsonl")
    assert (found.support, found.oracle, found.passages, found.quotes, found.history) == ("memory", None, [], [], [])


def test_a_refusal_is_told_from_an_answer(one) -> None:
    assert one({"text": "Who?", "output": "I don't know."}).support == "abstain"
    assert one({"text": "誰?", "output": "文書には書かれていません。"}).support == "abstain"


def test_texts_are_taken_as_they_stand(one) -> None:
    """Nothing is cut at the last letter ("What is Llama "), nor stripped."""
    for question in ("What is Llama 3.1?", "What happened in 1945?", " 二十日とは？ (GQA)\n", "Is it\na <b>tag</b>?"):
        assert one({"text": question, "output": "x"}).question == question


@pytest.mark.parametrize(
    ("record", "question"),
    [
        ({"instruction": "Translate.", "input": "ja", "output": "x"}, "Translate.\nja"),
        ({"instruction": "Translate.", "input": "ja", "output": "x", "system": "Be short."}, "Be short.\n\nTranslate.\nja"),
        ({"messages": [said("system", "Be short."), said("user", "Who?"), said("assistant", "x")]}, "Be short.\n\nWho?"),
        ({"conversations": human("Who?", "x"), "system": "Be short."}, "Be short.\n\nWho?"),
    ],
)
def test_what_stands_beside_the_question_is_not_lost(record, question, one) -> None:
    assert one(record).question == question


def test_a_dialogue_is_an_example_of_its_last_answer(one) -> None:
    for record in ({"conversations": human("A?", "a", "B?", "b")}, {"messages": [said(r, t) for r, t in zip(["user", "assistant"] * 2, "AaBb")]}):
        found = one(record)
        assert (found.question[0], found.answer) == ("B", "b") and [(t.question[0], t.answer) for t in found.history] == [("A", "a")]


GROUNDED = [
    said("system", "Use the documents."), said("documents", json.dumps([{"doc_id": 5, "title": None, "content": "x"}, {"doc_id": 3, "title": "T", "content": "猫"}])),
    said("user", "Кто?"), said("assistant", '{"relevant_doc_ids": [3]}'), said("assistant", "Кот."),
]  # fmt: skip


def test_a_grounded_row_keeps_its_documents_by_their_places(one) -> None:
    found = one({"cluster": "c", "conversation": GROUNDED, "type": "good", "id": "r1"})
    assert [(p.id, p.title, p.text) for p in found.passages] == [("5", "", "x"), ("3", "T", "猫")]
    assert (found.question, found.answer, found.oracle, found.support, found.unit) == ("Кто?", "Кот.", 1, "cited", "r1")
    ood = one({"conversation": [*GROUNDED[:3], said("assistant", '{"relevant_doc_ids": []}'), said("assistant", "Не знаю.")]})
    assert (ood.oracle, ood.support) == (None, "abstain")
    longer = one({"conversation": [*GROUNDED, said("user", "Где?"), said("assistant", '{"relevant_doc_ids": [5]}'), said("assistant", "Там.")]})
    assert (longer.question, longer.oracle, longer.history) == ("Где?", 0, [Turn(question="Кто?", answer="Кот.")])


PREFERENCE = [
    {"prompt": "Who?", "chosen": "Me.", "rejected": "You.", "margin": 0.5},
    {"prompt": [said("user", "Who?")], "chosen": [said("assistant", "Me.")], "rejected": [said("assistant", "You.")], "margin": 0.5},
    {"chosen": [said("user", "Who?"), said("assistant", "Me.")], "rejected": [said("user", "Who?"), said("assistant", "You.")], "margin": 0.5},
    {"prompt": "Who?", "chosen": [said("user", "Who?"), said("assistant", "Me.")], "rejected": [said("user", "Who?"), said("assistant", "You.")],
     "score_chosen": 5.0, "score_rejected": 4.5},
]  # fmt: skip


@pytest.mark.parametrize("record", PREFERENCE, ids=["texts", "messages", "within", "published"])
def test_a_preference_is_a_pair(record, one) -> None:
    found = one(record)
    assert isinstance(found, Pair)
    assert (found.question, found.chosen, found.rejected, found.margin) == ("Who?", "Me.", "You.", 0.5)


@pytest.mark.parametrize(
    ("record", "kind", "reason"),
    [
        ({"text": "Who?", "output": ""}, Bad, "a field is empty"),
        ({"text": None, "output": "x"}, Bad, "a field is no text"),
        ({"text": 3, "output": "x"}, Bad, "a field is no text"),
        ({"messages": []}, Bad, "no messages"),
        ({"messages": "Who?"}, Bad, "no messages"),
        ({"messages": [said("user", "Who?")]}, Bad, "no reply"),
        ({"messages": [said("assistant", "Me.")]}, Bad, "no question"),
        ({"messages": [said("user", "Who?"), said("narrator", "Me.")]}, Bad, "a message is broken"),
        ({"messages": [said("user", "Who?"), "Me."]}, Bad, "a message is broken"),
        ({"messages": [said("user", "Who?"), said("tool", "x"), said("assistant", "Me.")]}, Unheld, "calls a tool"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}, said("assistant", "x")]}, Unheld, "a message in several parts"),
        ({"messages": [said("user", "A?"), said("user", "B?"), said("assistant", "x")]}, Unheld, "two questions in a row"),
        ({"messages": [said("user", "A?"), said("assistant", "x"), said("assistant", "y")]}, Unheld, "several replies"),
        ({"instruction": "A?", "output": "x", "history": [["B?", "y"]]}, Unheld, "a row with a history"),
        ({"conversation": [*GROUNDED[:3], said("assistant", '{"relevant_doc_ids": [9]}'), said("assistant", "x")]}, Bad, "ids of documents"),
        ({"conversation": [*GROUNDED[:3], said("assistant", "none"), said("assistant", "x")]}, Bad, "the first turn is no list of ids"),
        ({"conversation": [*GROUNDED[:3], said("assistant", '{"relevant_doc_ids": [3, 5]}'), said("assistant", "x")]}, Unheld, "an answer from several"),
        ({"conversation": [said("documents", "a text"), *GROUNDED[2:]]}, Bad, "documents that cannot be read"),
        ({"chosen": [said("user", "A?"), said("assistant", "x")], "rejected": [said("user", "B?"), said("assistant", "y")]}, Bad, "chosen and rejected"),
        ({"chosen": "x", "rejected": "y"}, Bad, "a field is missing"),
        ({"prompt": "A?", "chosen": "x", "rejected": ""}, Bad, "a field is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_says_why(record, kind, reason, one) -> None:
    found = one(record)
    assert isinstance(found, kind), found
    assert found.reason.startswith(reason) and found.line == 1


def test_a_shape_can_be_named(one) -> None:
    both = {"instruction": "I", "output": "O", "text": "T"}
    assert (one(both).question, one(both, "pairs").question) == ("I", "T")
    assert one(both, "openai").reason == "a field is missing"
    with pytest.raises(ConfigError, match='There is no import "alpacca". Did you mean "alpaca"'):
        one(both, "alpacca")


def test_equal_records_have_ids_of_their_own_and_the_same_ones_each_time(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text('{"ID": 7, "text": "Who?", "output": "Me."}\n' * 3)
    first, again = list(read(tmp_path / "a.jsonl")), list(read(tmp_path / "a.jsonl"))
    assert first == again and len({e.id for e in first}) == 3
