"""Rows from within a conversation: what was said before is in the prompt, and only the last reply is trained."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from groundling.evaluate.prompts import worked
from groundling.grounding import FORMATS, conversation
from groundling.llm.local import load_tokenizer
from groundling.records import Turn
from groundling.train.tokens import row_of

from .test_tokens import abstaining, example, trained

TURNS = [Turn(question="Who may take leave?", answer="All staff."), Turn(question="Of which firm?", answer="Of the whole group.")]


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return load_tokenizer(tiny_model)


@pytest.mark.parametrize("name", ["raft", "two-turn", "ja"])
@pytest.mark.parametrize("role", [True, False])
@pytest.mark.parametrize("made", [example(), abstaining()], ids=["cited", "abstain"])
def test_what_was_said_before_is_shown_and_not_trained(tokenizer, name: str, role: bool, made) -> None:
    later = msgspec.structs.replace(made, history=TURNS)
    row = row_of(later, name, tokenizer, role)
    assert trained(row, tokenizer) == [f"{turn}<|end|>" for turn in FORMATS[name].target(made)]
    before = tokenizer.decode(row.ids[: row.spans[0][0]])
    places = [before.index(text) for turn in TURNS for text in (turn.question, turn.answer)]
    assert places == sorted(places) and before.rindex(made.question) > places[-1]
    assert before.count("Staff have 25 days of leave.") == 1, "the passages are shown once"


def test_without_a_history_nothing_is_other_than_the_format_s_own_prompt() -> None:
    for fmt in FORMATS.values():
        for role in (True, False):
            made = example()
            assert conversation(fmt, made, role) == fmt.prompt(made.question, made.passages, role)


def test_a_worked_example_is_never_from_within_a_conversation() -> None:
    inside = msgspec.structs.replace(example(id="inside"), history=TURNS, question="?")
    assert [e.id for e in worked([inside, example(id="alone")])] == ["alone"]
