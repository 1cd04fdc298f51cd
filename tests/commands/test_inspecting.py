"""`groundling inspect tokens`: what is trained is marked, in colour or in brackets, and the rest is the very prompt."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from groundling.commands.inspecting import show, spans_of
from groundling.errors import InputError
from groundling.llm.branches import Branches
from groundling.llm.local import load_tokenizer
from groundling.records import Example, Passage, Quote
from groundling.runs import Run, open_run

PASSAGES = [Passage(id="a", title="Leave", text="Staff have [25] days of leave.")]


def example(id: str, split: str = "train", answer: str = "25 days") -> Example:
    return Example(
        id=id, recipe="raft", unit="a", document="d", question="How many days?", passages=PASSAGES, oracle=0, support="cited", answer=answer,
        quotes=[Quote(text="Staff have [25] days of leave.", passage=0)], split=split,
    )  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path) -> Run:
    (tmp_path / "docs").mkdir()
    opened = open_run(tmp_path / "docs", tmp_path / "run", [f"train.base={tiny_model}", "train.max_length=200"], lambda text: None)
    with opened.space.writing("curate", "x", {}, {}, 1) as out:
        for made in (example("h", "held_out"), example("t"), example("long", answer="word " * 300)):
            out.keep(made)
    return opened


def shown(run: Run, id: str | None, colour: bool) -> str:
    stream = io.StringIO()
    show(run, id, Console(file=stream, force_terminal=colour, soft_wrap=True, highlight=False, color_system="standard" if colour else None))
    return stream.getvalue()


def test_the_trained_tokens_stand_in_brackets_and_nothing_else_is_changed(run: Run, tiny_model: Path) -> None:
    said = shown(run, None, colour=False)
    head, _, text = said.partition("\n")
    assert re.fullmatch(r"t: \d+ tokens, \d+ of them trained \(\d+\.\d%\), in \[\[brackets\]\]", head)
    trained = re.findall(r"\[\[(.*?)\]\]", text, re.DOTALL)
    assert trained == ["##begin_quote##Staff have [25] days of leave.##end_quote## [0]\n<ANSWER>: 25 days<|end|>"]
    count = int(re.search(r"(\d+) of them", head)[1])
    assert count == len(load_tokenizer(tiny_model).encode(trained[0], add_special_tokens=False))
    assert "Question: How many days?" in text.split("[[")[0] and text.endswith("]]\n")


def test_in_a_terminal_they_are_coloured(run: Run) -> None:
    said = shown(run, "t", colour=True)
    coloured = "".join(re.findall(r"\x1b\[1;32m(.*?)\x1b\[0m", said, re.DOTALL))
    assert coloured.startswith("##begin_quote##") and coloured.endswith("25 days<|end|>")
    assert "[[" not in said and "coloured" in said.splitlines()[0]


def test_held_out_and_left_out_examples_are_told_as_such(run: Run) -> None:
    assert shown(run, "h", colour=False).startswith("h, held out: measured, not trained on: ")
    said = shown(run, "long", colour=False)
    assert said.startswith("long is left out of training: longer than train.max_length") and "'tokens': " in said


def test_what_is_not_there_is_a_sentence(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match='no curated example "nix"'):
        shown(run, "nix", colour=False)
    empty = open_run(tmp_path / "docs", tmp_path / "other", [], lambda text: None)
    with pytest.raises(InputError, match="no curated examples yet"):
        shown(empty, None, colour=False)


def test_of_replies_to_one_prompt_each_is_marked() -> None:
    class Labels:
        ids = [1, 2, 3, 4, 5, 6]

        def branches(self) -> Branches:
            return Branches([1, 2], [[3], [4, 5, 6]])

    assert spans_of(Labels()) == [(2, 3), (3, 6)]
