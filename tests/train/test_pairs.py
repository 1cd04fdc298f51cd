"""Pairs as tokens: one prompt, two replies, each scored from its first token to its end token; nothing is cut."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from groundling import config
from groundling.errors import ConfigError, ModelError
from groundling.grounding import FORMATS, conversation
from groundling.llm.local import load_tokenizer
from groundling.llm.weights import Weights
from groundling.records import Passage, Turn
from groundling.train import check_rows
from groundling.train.checks import base_of, check
from groundling.train.pairs import pair_row, rows_of
from groundling.workspace import Output

from .preferring import pair

BOS = "<|pad|>"  # any token of nano's that nothing else uses


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return load_tokenizer(tiny_model)


def changed(tiny_model: Path, folder: Path, template: str) -> Path:
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


def test_only_the_replies_are_scored_and_the_header_is_the_prompt_s(tokenizer) -> None:
    made = pair(3)
    row = pair_row(made, "raft", tokenizer, True)
    assert tokenizer.decode(row.prompt).endswith("<|assistant|>\n")
    assert tokenizer.decode(row.chosen) == made.chosen + "<|end|>" and tokenizer.decode(row.rejected) == made.rejected + "<|end|>"
    asked = tokenizer.apply_chat_template(FORMATS["raft"].prompt(made.question, made.passages, True), add_generation_prompt=True, return_dict=False)
    assert row.prompt == asked, "training sees the very prompt that is asked later"
    assert row.trained == len(row.chosen) + len(row.rejected) and len(row.ids) == len(row.prompt) + row.trained
    assert row.margin == 0.5
    check_rows([row])


def test_the_begin_token_comes_once(tiny_model: Path, tmp_path: Path) -> None:
    """Where prompt and replies are rendered one by one, a template that begins with it repeats it in the midst."""
    folder = changed(tiny_model, tmp_path / "m", BOS + load_tokenizer(tiny_model).chat_template)
    tokenizer = load_tokenizer(folder)
    token = tokenizer.convert_tokens_to_ids(BOS)
    row = pair_row(pair(0), "raft", tokenizer, True)
    assert row.prompt[0] == token
    for reply in (row.chosen, row.rejected):
        assert (row.prompt + reply).count(token) == 1


def test_what_was_said_before_is_in_the_prompt(tokenizer) -> None:
    later = msgspec.structs.replace(pair(1), history=[Turn(question="Who may go?", answer="All staff.")])
    row = pair_row(later, "raft", tokenizer, True)
    shown = tokenizer.decode(row.prompt)
    assert "Who may go?" in shown and "All staff." in shown and shown.rindex(later.question) > shown.index("All staff.")
    assert conversation(FORMATS["raft"], later, True)[-1]["content"] == later.question
    assert row.chosen == pair_row(pair(1), "raft", tokenizer, True).chosen


def test_a_pair_is_dropped_whole_where_one_side_is_too_long(tiny_model: Path, tmp_path: Path, tokenizer) -> None:
    short = pair_row(pair(0), "raft", tokenizer, True)
    assert short.longest == len(short.prompt) + len(short.chosen) > len(short.prompt) + len(short.rejected)
    wordy = msgspec.structs.replace(pair(0), id="wordy", rejected="Well, well. " * 200)
    alike = msgspec.structs.replace(pair(0), id="alike", rejected=pair(0).chosen)
    out = Output(tmp_path)
    kept = rows_of([pair(0), wordy, alike], Weights(str(tiny_model)), config.Train(max_length=short.longest), out)
    out.close()
    assert kept == [short], "one of exactly max_length tokens stays, whole"
    assert out.dropped == {"longer than train.max_length": 1, "both replies are the same": 1}
    again = Output(tmp_path / "again")
    assert rows_of([pair(0)], Weights(str(tiny_model)), config.Train(max_length=short.longest - 1), again) == []
    again.close()


@pytest.mark.parametrize("objective", ["reward", "dpo", "smpo"])
def test_a_format_of_two_turns_is_refused(objective: str, tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match="two-turn answers in 2 turns, and a pair holds one reply each"):
        check(config.Train(objective=objective, format="two-turn"), base_of(Weights(str(tiny_model))))
    check(config.Train(format="two-turn"), base_of(Weights(str(tiny_model))))


def test_a_template_that_counts_its_messages_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = changed(tiny_model, tmp_path / "m", "{{ messages | length }}" + load_tokenizer(tiny_model).chat_template)
    with pytest.raises(ModelError, match="renders the prompt differently"):
        pair_row(pair(0), "raft", load_tokenizer(folder), True)


def test_a_passage_in_the_prompt_stays_as_it_is(tokenizer) -> None:
    row = pair_row(msgspec.structs.replace(pair(0), passages=[Passage(id="a", title="", text="有給休暇")]), "ja", tokenizer, True)
    assert "有給休暇" in tokenizer.decode(row.prompt)
