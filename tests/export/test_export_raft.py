"""The published RAFT record: its fields, none of the published defects, and back again."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from groundling.commands.exporting import Wanted, export
from groundling.errors import ConfigError
from groundling.imports import Bad, Unheld, read
from groundling.records import Example, Passage

from .conftest import PASSAGES, examples

REFUSAL = "Sorry, I don't know the answer to this question because related documents are not found. Please try again."


@pytest.fixture
def records(run: Path, tmp_path: Path, lines) -> list[dict]:
    export(run, Wanted("raft", tmp_path / "raft"), lambda text: None)
    return [row for split in ("train", "held_out") for row in lines(tmp_path / "raft" / f"{split}.jsonl")]


def published(**changed: object) -> dict:
    """A record as the published code writes it, with reasoning around its quotes."""
    texts = ["Cats purr.", "Dogs bark at 8k hertz."]
    record = {
        "id": "seed_task_7", "type": "general", "question": "At what pitch do dogs bark?",
        "context": {"title": [["placeholder_title", "placeholder_title"]], "sentences": [texts]}, "oracle_context": texts[1],
        "cot_answer": "The context says ##begin_quote##Dogs bark at 8k hertz.##end_quote## so it is that. <ANSWER>: 8k",
        "instruction": "".join(f"<DOCUMENT>{t}</DOCUMENT>\n" for t in texts) + "At what pitch do dogs bark?",
    }  # fmt: skip
    return record | changed


def back(tmp_path: Path, *records: dict) -> list:
    path = tmp_path / "raft.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return list(read(path))


def test_the_record_is_the_published_one(records) -> None:
    fields = ["id", "type", "question", "context", "oracle_context", "cot_answer", "instruction"]
    assert all(list(row) == fields for row in records)
    row = records[2]
    texts = [p.text for p in PASSAGES]
    assert row["id"] == "seed_task_2" and row["type"] == "general" and row["oracle_context"] == texts[1]
    assert row["context"] == {"title": [["Leave", "placeholder_title", "休暇"]], "sentences": [texts]}
    assert row["instruction"] == "".join(f"<DOCUMENT>{t}</DOCUMENT>\n" for t in texts) + "What is Llama 3.1?"
    assert row["cot_answer"] == "##begin_quote##Llama 3.1 came out in 2024.##end_quote##\n<ANSWER>: A model of 2024"


def test_questions_are_whole(records) -> None:
    """The published strip_str made "What is Llama " and "What happened in " of these."""
    asked = {row["question"] for row in records}
    assert {"What is Llama 3.1?", "What happened in 1945?"} <= asked
    assert all(row["instruction"].endswith(row["question"]) for row in records)


def test_a_refusal_is_named_one_and_its_context_is_what_it_shows(records) -> None:
    """Published refusals keep the passage that was taken away in context and oracle_context."""
    row = records[1]
    assert row["id"] == "refusal_task_1" and row["oracle_context"] == ""
    assert all(text in row["instruction"] for text in row["context"]["sentences"][0])


def test_another_format_cannot_go_with_it(run, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"RAFT's own prompt"):
        export(run, Wanted("raft", tmp_path / "r", format="ja"), lambda text: None)


def held(e: Example) -> Example:
    """An example as far as the record can hold it: not its ids, its recipe, its score, its kind."""
    passages = [Passage(id=str(n), title=p.title, text=p.text) for n, p in enumerate(e.passages)]
    return msgspec.structs.replace(e, id="", recipe="", unit="", document="", split="train", passages=passages, kind="", score=None)


def test_what_was_exported_comes_back_equal(run, tmp_path) -> None:
    """Also with tags of the format within a passage, and a question of two lines, at which the published reader breaks."""
    export(run, Wanted("raft", tmp_path / "raft"), lambda text: None)
    found = [e for split in ("train", "held_out") for e in read(tmp_path / "raft" / f"{split}.jsonl")]
    wanted = [held(e) for e in examples() if not e.history]
    assert [held(e) for e in found] == wanted and len(found) == 6
    assert len({e.id for e in found}) == 6


def test_a_published_record_is_read(tmp_path) -> None:
    found = back(tmp_path, published())[0]
    assert (found.question, found.answer, found.support, found.oracle) == ("At what pitch do dogs bark?", "8k", "cited", 1)
    assert [(q.text, q.passage) for q in found.quotes] == [("Dogs bark at 8k hertz.", 1)]
    assert found.reasoning == "The context says Dogs bark at 8k hertz. so it is that."
    assert [p.title for p in found.passages] == ["", ""] and found.unit == "seed_task_7"


def test_the_answer_comes_without_its_tag(tmp_path) -> None:
    """Published scoring kept "<ANSWER>:", and exact match could never hold. The paper's own tag is read as well."""
    paper = published(cot_answer="##Reason: ##begin_quote##Dogs bark at 8k hertz.##end_quote## ##Answer: 8k")
    assert [e.answer for e in back(tmp_path, published(), paper)] == ["8k", "8k"]


def test_a_published_refusal_shows_what_its_instruction_shows(tmp_path) -> None:
    shown = "<DOCUMENT>Fish swim.</DOCUMENT>\n<DOCUMENT>Cats purr.</DOCUMENT>\nAt what pitch do dogs bark?"
    found = back(tmp_path, published(id="refusal_task_7", cot_answer=REFUSAL, instruction=shown))[0]
    assert [p.text for p in found.passages] == ["Fish swim.", "Cats purr."], "not the context, which still holds the gold"
    assert (found.support, found.oracle, found.quotes, found.answer) == ("abstain", None, [], REFUSAL)


def test_where_the_oracle_is_not_shown_the_answer_is_from_memory(tmp_path) -> None:
    shown = "<DOCUMENT>Cats purr.</DOCUMENT>\nAt what pitch do dogs bark?"
    found = back(tmp_path, published(instruction=shown))[0]
    assert (found.support, found.oracle, found.quotes, found.answer) == ("memory", None, [], "8k")


@pytest.mark.parametrize(
    ("changed", "kind", "reason"),
    [
        ({"question": "What is Llama ", "instruction": "<DOCUMENT>x</DOCUMENT>\nWhat is Llama "}, Unheld, "the question is cut"),
        ({"cot_answer": "##begin_quote##Dogs sing.##end_quote## <ANSWER>: 8k"}, Unheld, "a quote that stands in no passage"),
        ({"question": "Why?"}, Bad, "question and instruction differ"),
        ({"cot_answer": "Because. <ANSWER>: "}, Bad, "no answer"),
        ({"context": {"title": []}}, Bad, "a context that cannot be read"),
        ({"instruction": None}, Bad, "a field is no text"),
    ],
)
def test_a_record_that_teaches_the_wrong_thing_is_left_out_with_its_reason(tmp_path, changed, kind, reason) -> None:
    found = back(tmp_path, published(**changed), published())
    assert isinstance(found[0], kind) and found[0].reason.startswith(reason) and found[0].line == 1
    assert isinstance(found[1], Example), "the next one is read all the same"
    assert Counter(type(f) for f in found)[Example] == 1
