"""Lines that are no records, and options that are no values, are told in words of our own."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundling.errors import InputError
from groundling.records import Question
from groundling.unfit import usage
from groundling.workspace import read_lines

GOOD = '"id": "1", "question": "x", "answers": ["a"], "answerable": true'


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"a": 1}', 'there is no field "a". Known: id, question, answers, answerable, document, passage.'),
        (b'{"id": "1", "answer": []}', 'there is no field "answer". Did you mean "answers"?'),
        (b'{"id": "1", "question": "x"}', 'the field "answers" is missing.'),
        (b'{"id": 1}', '"id" must be text, not a whole number.'),
        (GOOD.replace("true", '"yes"').join("{}").encode(), '"answerable" must be true or false, not text.'),
        (GOOD.replace('["a"]', '"a"').join("{}").encode(), '"answers" must be a list, not text.'),
        (GOOD.replace('"a"', '"a", 2').join("{}").encode(), 'item 2 of "answers" must be text, not a whole number.'),
        ((GOOD + ', "document": 3').join("{}").encode(), '"document" must be text or null, not a whole number.'),
        (b"[1]", "it must be an object {…}, not a list."),
        (b'{"id": "1"', "it ends too early: a quote or a bracket is not closed."),
        (b'{"id": "1",}', "it is no JSON: trailing comma in object (byte 11)."),
        (b'{"id": "\xff"}', "it is not written in UTF-8."),
    ],
)
def test_a_line_that_is_no_record_is_told_plainly(tmp_path: Path, line: bytes, told: str) -> None:
    (tmp_path / "q.jsonl").write_bytes(GOOD.join("{}").encode() + b"\n" + line + b"\n")
    with pytest.raises(InputError) as raised:
        list(read_lines(tmp_path / "q.jsonl", Question))
    assert str(raised.value) == f"{tmp_path / 'q.jsonl'}, line 2: {told} Each line holds one whole JSON object."


def test_a_good_line_beside_is_read(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(GOOD.join("{}"))
    assert [q.id for q in read_lines(tmp_path / "q.jsonl", Question)] == ["1"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Invalid value for '--port': Input should be less than or equal to 65535", "Invalid value for '--port': the most is 65535"),
        ("Invalid value for '--k': Input should be greater than or equal to 1", "Invalid value for '--k': the least is 1"),
        ("Input should be a valid integer, unable to parse string as an integer", "a whole number is expected"),
        ("No such option: --foo", "No such option: --foo"),
    ],
)
def test_an_option_s_mistake_is_told_plainly(theirs: str, ours: str) -> None:
    assert usage(theirs) == ours
