"""Files as they come: every good record is read, and every bad one is told with its line and what is wrong with it."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.errors import InputError
from groundling.imports import Bad, read
from groundling.imports.files import rows
from groundling.records import Example


def pair(n: int, **more: object) -> dict[str, object]:
    return {"ID": f"ichikara-{n}", "text": f"質問 {n}?", "output": f"答え {n}。"} | more


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def numbers(found: list) -> list[str]:
    return [e.unit for e in found if isinstance(e, Example)]


def test_broken_escapes_on_line_812_cost_one_record(tmp_path) -> None:
    """As in public copies of ichikara-instruction: one backslash, and json.load gives nothing of 1,000 records."""
    listed = ("\n\n\n" + json.dumps([pair(n) for n in range(1000)], ensure_ascii=False, indent=1)).split("\n")
    assert listed[811] == '  "text": "質問 161?",'
    listed[811] = listed[811].replace("質問", "\\質問")
    found = list(read(write(tmp_path / "a.json", "\n".join(listed))))
    bad = [f for f in found if isinstance(f, Bad)]
    assert [(b.line, b.reason) for b in bad] == [(812, "broken JSON")] and "invalid \\escape" in bad[0].detail and "質問" in bad[0].detail
    assert len(numbers(found)) == 999 and "ichikara-161" not in numbers(found)


LAYOUTS = {"indented": {"indent": 2}, "flat": {"indent": 0}, "one line": {}, "a line each": None}


def laid_out(records: list[dict], layout: str) -> str:
    if LAYOUTS[layout] is None:
        return "[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in records) + "\n]\n"
    return json.dumps(records, ensure_ascii=False, **LAYOUTS[layout])


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=40)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.recursive(st.none() | st.text(max_size=9) | st.integers(), st.lists, max_leaves=4), max_size=4))
)
def test_a_list_is_read_as_json_reads_it_however_it_is_laid_out(layout, tmp_path_factory, records) -> None:
    path = write(tmp_path_factory.mktemp("l") / "a.json", laid_out(records, layout))
    assert [raw.value for raw in rows(path)] == records


@pytest.mark.parametrize("layout", ["indented", "flat", "a line each"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('質問 2?"', "質問 2?"),
        ("答え 2。", "答え\\u12 2。"),
        ('"output": "答え 2。"', '"output" "答え 2。"'),
        ('"ichikara-2"', "ichikara-2"),
        ("質問 2?", "質問\n2?"),
    ],
    ids=["quotation mark", "escape", "colon", "bare word", "line break"],
)
def test_one_damaged_record_does_not_hide_the_others(layout, old, new, tmp_path) -> None:
    text = laid_out([pair(n) for n in range(5)], layout)
    assert text.count(old) == 1
    found = list(read(write(tmp_path / "a.json", text.replace(old, new))))
    assert numbers(found) == ["ichikara-0", "ichikara-1", "ichikara-3", "ichikara-4"]
    bad = [f for f in found if isinstance(f, Bad)]
    line = text[: text.index(old)].count("\n") + 1
    assert len(bad) == 1 and abs(bad[0].line - line) <= 1 and "ichikara-2" in bad[0].text


@pytest.mark.parametrize("layout", ["indented", "a line each"])
def test_a_record_without_its_last_bracket_costs_itself(layout, tmp_path) -> None:
    text = laid_out([pair(n) for n in range(4)], layout)
    end = text.index("}", text.index("ichikara-1"))
    found = list(read(write(tmp_path / "a.json", text[:end].rstrip() + text[end + 2 :])))
    assert numbers(found) == ["ichikara-0", "ichikara-2", "ichikara-3"]
    assert [f.reason for f in found if isinstance(f, Bad)] == ["a bracket is not closed"]


def test_records_within_a_record_are_no_missing_bracket(tmp_path) -> None:
    deeper = '[\n{"text": "a", "output": "b", "more": [\n  {"text": "x"},\n  {"text": "y"}]},\n{"text": "c", "output": "d"}\n]'
    assert [r.value["text"] for r in rows(write(tmp_path / "b.json", deeper))] == ["a", "c"]
    nested = '[\n{"text": "a", "output": "b", "more": [\n{"x": 1},\n{"x": 2}]},\n{"text": "c", "output": "d"}\n]'
    assert [r.value["text"] for r in rows(write(tmp_path / "a.json", nested))] == ["a", "c"]


@pytest.mark.parametrize(
    "text", ['[{"text": "a", "output": "b"}', '[{"text": "a", "output": "b"}, {"text": "c', '[\n{"text": "a", "output": "b"},\n']
)
def test_a_file_that_was_cut_off_says_so(text, tmp_path) -> None:
    found = list(read(write(tmp_path / "a.json", text)))
    assert isinstance(found[0], (Example, Bad)) and isinstance(found[-1], Bad) and "the file ends" in found[-1].reason


def test_a_list_that_ends_too_early_is_a_sentence(tmp_path) -> None:
    with pytest.raises(InputError, match=r"a\.json, line 2: the list ends here, but the file goes on"):
        list(read(write(tmp_path / "a.json", '[{"text": "a", "output": "b"}\n], {"text": "c", "output": "d"}]')))


def test_json_lines_tell_their_bad_lines(tmp_path) -> None:
    lines = [json.dumps(pair(n), ensure_ascii=False) for n in range(5)]
    lines[1], lines[3] = lines[1].replace("質問", "\\質問"), '["a", "list"]'
    path = write(tmp_path / "a.jsonl", "\ufeff" + "\n\n".join(lines))
    found = list(read(path))
    assert numbers(found) == ["ichikara-0", "ichikara-2", "ichikara-4"]
    assert [(b.line, b.reason) for b in found if isinstance(b, Bad)] == [(3, "broken JSON"), (7, "not a record")]


def test_a_line_separator_within_a_text_is_not_the_end_of_a_line(tmp_path) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps(pair(1, output="one\u2028two\x85three"), ensure_ascii=False) + "\n")
    assert [e.answer for e in read(path)] == ["one\u2028two\x85three"]


def test_bytes_that_are_not_utf_8_cost_their_record_alone(tmp_path) -> None:
    good, bad = (json.dumps(pair(n), ensure_ascii=False) for n in (1, 2))
    for name, data in (
        ("a.jsonl", good.encode() + b"\n" + bad.encode("shift-jis")),
        ("b.json", f"[{good},\n".encode() + bad.encode("shift-jis") + b"]"),
    ):
        (tmp_path / name).write_bytes(data)
        found = list(read(tmp_path / name))
        assert (
            numbers(found) == ["ichikara-1"] and found[1].reason == "not UTF-8" and found[1].line == 2 and "save the file as UTF-8" in found[1].detail
        )
        found[1].text.encode()  # it can be written down


def test_half_a_character_is_told(tmp_path) -> None:
    found = list(read(write(tmp_path / "a.jsonl", '{"text": "a \\ud83d b", "output": "c"}\n')))
    assert isinstance(found[0], Bad) and found[0].reason == "half of a character"


def test_csv_is_read_as_pandas_writes_it_and_bad_rows_are_told(tmp_path) -> None:
    pandas = pytest.importorskip("pandas")
    records = [pair(n, output=f'a "quoted", comma\nand a second line {n}') for n in range(3)]
    pandas.DataFrame(records).to_csv(tmp_path / "a.csv", index=False)
    found = list(read(tmp_path / "a.csv"))
    assert [(e.unit, e.question, e.answer) for e in found] == [(r["ID"], r["text"], r["output"]) for r in records]
    text = (tmp_path / "a.csv").read_text("utf-8") + "ichikara-9,only two\nichikara-10,,x\n"
    found = list(read(write(tmp_path / "b.csv", text)))
    assert [(b.line, b.reason) for b in found if isinstance(b, Bad)] == [(8, "cells and columns differ in number"), (9, "a field is empty")]
    assert len(numbers(found)) == 3


def test_tabs_and_columns_without_names(tmp_path) -> None:
    assert [e.answer for e in read(write(tmp_path / "a.tsv", "question\tanswer\nWho?\tMe, you\n"))] == ["Me, you"]
    with pytest.raises(InputError, match="the columns need names"):
        list(read(write(tmp_path / "a.csv", "a,,b\n1,2,3\n")))


def test_parquet_is_read_in_batches(tmp_path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    pandas.DataFrame([pair(n) for n in range(2500)] + [pair(2500, text=None)]).to_parquet(tmp_path / "a.parquet")
    found = list(read(tmp_path / "a.parquet"))
    assert len(numbers(found)) == 2500 and isinstance(found[-1], Bad) and found[-1].line == 2501
    with pytest.raises(InputError, match=r"b\.parquet cannot be read as Parquet after row 0"):
        list(read(write(tmp_path / "b.parquet", "no parquet")))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "x", 'files of ".txt" are not read'), ("a.json", "", "is empty"), ("a.json", '{\n "text": "a"\n}', "one JSON object over several lines"),
        ("a.jsonl", '{"foo": 1, "bar": 2}', r"line 1: no known kind of record has the fields foo, bar.*--from"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_a_sentence(name, text, words, tmp_path) -> None:
    with pytest.raises(InputError, match=words):
        list(read(write(tmp_path / name, text)))


@pytest.mark.parametrize("layout", ["one line", "indented"])
def test_a_long_list_is_not_held_in_memory(layout, tmp_path) -> None:
    path = write(tmp_path / "a.json", laid_out([pair(n, output="x" * 900) for n in range(4000)], layout))
    assert path.stat().st_size > 3.5e6
    tracemalloc.start()
    try:
        assert sum(1 for _ in rows(path)) == 4000
        assert tracemalloc.get_traced_memory()[1] < 1.5e6
    finally:
        tracemalloc.stop()
