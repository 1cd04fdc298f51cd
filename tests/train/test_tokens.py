"""What is trained: the assistant's turns and nothing else; nothing is cut."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundling import config
from groundling.errors import InputError, ModelError
from groundling.grounding import ABSTAIN, FORMATS
from groundling.llm.local import load_tokenizer
from groundling.llm.weights import Weights
from groundling.nano import tokenizer as nano
from groundling.records import Example, Passage, Quote
from groundling.train import check_rows
from groundling.train.tokens import Row, row_of, rows_of
from groundling.workspace import Output

PASSAGES = [Passage(id="a", title="Leave", text="Staff have 25 days of leave."), Passage(id="b", title="", text="有給休暇は二十日です。")]


def example(answer: str = "25 days", question: str = "How many days?", passages: list[Passage] = PASSAGES, id: str = "e") -> Example:
    return Example(
        id=id, recipe="raft", unit="a", document="d", question=question, passages=passages, oracle=0, support="cited", answer=answer,
        quotes=[Quote(text="Staff have 25 days of leave.", passage=0)],
    )  # fmt: skip


def abstaining() -> Example:
    return Example(
        id="x",
        recipe="raft",
        unit="a",
        document="d",
        question="Who?",
        passages=PASSAGES,
        oracle=None,
        support="abstain",
        answer=ABSTAIN["en"],
        quotes=[],
    )


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return load_tokenizer(tiny_model)


def trained(row: Row, tokenizer) -> list[str]:
    return [tokenizer.decode(row.ids[start:end]) for start, end in row.spans]


@pytest.mark.parametrize("name", ["raft", "two-turn", "ja"])
@pytest.mark.parametrize("made", [example(), abstaining()], ids=["cited", "abstain"])
def test_the_loss_falls_on_the_assistant_s_turns_and_their_end(tokenizer, name: str, made: Example) -> None:
    row = row_of(made, name, tokenizer, True)
    assert trained(row, tokenizer) == [f"{turn}<|end|>" for turn in FORMATS[name].target(made)]
    assert len(row.spans) == FORMATS[name].turns
    labels = row.labels()
    assert len(labels) == len(row.ids) and 0 < row.trained < len(row.ids)
    inside = {n for start, end in row.spans for n in range(start, end)}
    assert all((label == token) if n in inside else (label == -100) for n, (label, token) in enumerate(zip(labels, row.ids, strict=True)))
    assert row.trained == sum(label != -100 for label in labels)


def test_two_turns_are_both_trained_and_what_stands_between_is_not(tokenizer) -> None:
    row = row_of(example(), "two-turn", tokenizer, True)
    assert trained(row, tokenizer) == ['{"relevant_doc_ids": [0]}<|end|>', "25 days<|end|>"]
    assert tokenizer.decode(row.ids[row.spans[0][1] : row.spans[1][0]]) == "<|assistant|>\n"


def test_training_sees_the_very_prompt_that_is_asked_later(tokenizer) -> None:
    for role in (True, False):
        for name in ("raft", "two-turn", "ja"):
            prompt = FORMATS[name].prompt("How many days?", PASSAGES, role)
            asked = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=False)
            row = row_of(example(), name, tokenizer, role)
            assert row.ids[: row.spans[0][0]] == asked


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    answer=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    question=st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
)
def test_whatever_is_written_the_mask_is_that_of_the_plain_tokens(tokenizer, answer: str, question: str) -> None:
    """Masked a second way: by nano's own encoder, turn by turn."""
    made = example(answer=answer, question=question)
    if "<|" in answer + question:
        return
    row = row_of(made, "raft", tokenizer, True)
    conversation = FORMATS["raft"].prompt(question, PASSAGES) + [{"role": "assistant", "content": FORMATS["raft"].target(made)[0]}]
    ids, mask = nano.encode(tokenizer, conversation)
    assert row.ids == ids and [label != -100 for label in row.labels()] == mask


def test_an_answer_starts_where_the_prompt_ends_even_if_letters_would_join(tokenizer) -> None:
    row = row_of(example(answer="a", question="aaa"), "two-turn", tokenizer, False)
    assert trained(row, tokenizer)[1] == "a<|end|>"


def changed(tiny_model: Path, folder: Path, template: str) -> Path:
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").write_text(template)
    return folder


PLAIN = "{%- for m in messages -%}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{%- endfor -%}"


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages | length }}" + PLAIN + "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}",
        PLAIN + "{%- if add_generation_prompt -%}<|assistant|>think: {%- endif -%}",
        "{%- set messages = messages[-2:] -%}" + PLAIN + "{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}",
    ],
    ids=["counts its messages", "adds words before the answer", "forgets the system prompt"],
)
def test_a_template_whose_prompt_is_no_prefix_is_refused(tiny_model: Path, tmp_path: Path, template: str) -> None:
    folder = changed(tiny_model, tmp_path / "m", template)
    with pytest.raises(ModelError, match="renders the prompt differently once an answer follows"):
        row_of(example(), "raft", load_tokenizer(folder), False)


@pytest.mark.parametrize("kept", ["loop.last", "(loop.last and not add_generation_prompt)"], ids=["once it is answered", "already when asked"])
def test_a_template_that_rewrites_the_first_turn_is_refused(tiny_model: Path, tmp_path: Path, kept: str) -> None:
    """As those do that drop earlier reasoning: the first turn would be trained in one shape and shown in another."""
    rewriting = (
        f"{{%- for m in messages -%}}<|{{{{ m['role'] }}}}|>{{{{ m['content'] if m['role'] != 'assistant' or {kept} else '(cut)' }}}}<|end|>"
        "{%- endfor -%}{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}"
    )
    folder = changed(tiny_model, tmp_path / "m", rewriting)
    row_of(example(), "raft", load_tokenizer(folder), False)
    with pytest.raises(ModelError, match="renders the prompt differently"):
        row_of(example(), "two-turn", load_tokenizer(folder), False)


def test_an_over_long_example_is_dropped_and_counted_never_cut(tiny_model: Path, tmp_path: Path, tokenizer) -> None:
    long = example(passages=[PASSAGES[0], Passage(id="b", title="", text="Words and more words. " * 60)], id="long")
    short = row_of(example(), "raft", tokenizer, True)
    out = Output(tmp_path)
    rows = rows_of([long, example()], Weights(str(tiny_model)), config.Train(max_length=len(short.ids)), out)
    out.close()
    assert rows == [short], "an example of exactly max_length tokens stays, whole"
    assert out.dropped == {"longer than train.max_length": 1}
    assert '"id":"long"' in (tmp_path / "dropped.jsonl").read_text()
    again = Output(tmp_path / "again")
    assert rows_of([example()], Weights(str(tiny_model)), config.Train(max_length=len(short.ids) - 1), again) == []
    again.close()


def test_nothing_to_learn_is_refused() -> None:
    good = Row(id="good", ids=[1, 2, 3], spans=[(2, 3)])
    check_rows([good])
    with pytest.raises(InputError, match="nothing to train on.*dropped.jsonl"):
        check_rows([])
    with pytest.raises(InputError, match="Example none has no trained token"):
        check_rows([good, Row(id="none", ids=[1, 2, 3], spans=[(3, 3)])])
    with pytest.raises(InputError, match="In example all every token is trained"):
        check_rows([good, Row(id="all", ids=[1, 2, 3], spans=[(0, 3)])])


def test_the_model_is_tried_on_an_example_that_was_trained(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on one that was dropped for its length: its prompt may not even fit into the model."""
    import groundling.train as stage

    tried = []
    monkeypatch.setattr("groundling.train.objectives.sft.run", lambda *_: [])
    monkeypatch.setattr(stage, "reload", lambda folder, base, example, fmt: tried.append(example.id))
    long = example(passages=[PASSAGES[0], Passage(id="b", title="", text="Words and more words. " * 900)], id="long")
    out = Output(tmp_path)
    stage.train([long, example(id="short")], config.Train(max_length=256), Weights(str(tiny_model)), 42, out)
    out.close()
    assert tried == ["short"] and out.counts()["in"] == 2
