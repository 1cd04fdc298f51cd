"""Doctor holds what questions quote against the documents: those to learn from as the recipe looks them up, those to ask as the evaluation does."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from groundling.commands import standing as module
from groundling.commands.standing import standing
from groundling.doctor import Check, project
from groundling.pipeline import run_stages
from groundling.runs import open_run

LEAVE = "# Leave\n\nStaff have 25 days of leave a year.\nUnused days go over into the next\nspring. Nobody works on Midsummer Eve.\n"
TRAVEL = "# Travel\n\nA hotel night may cost 110 EUR. The com\u00adpany pays the taxi.\n"
GOOD = {"document": "leave.md", "passage": "Staff have 25 days of leave a year.", "answers": ["25 days"]}
BROKEN = GOOD | {"passage": "Unused days go over into the next spring.", "answers": ["the next spring"]}
REFUSED = {"answers": [], "answerable": False, "document": "leave.md"}
ELSEWHERE = GOOD | {"document": "travel.md"}
MISQUOTED = GOOD | {"passage": "Staff have 26 days of leave a year.", "answers": ["26 days"]}
MISNAMED = GOOD | {"document": "hr/leav.md"}


def write(path: Path, *rows: dict[str, Any]) -> None:
    made = [{"id": f"q{n}", "question": f"What is number {n}?", "answerable": True} | row for n, row in enumerate(rows)]
    path.write_text("\n" + "".join(json.dumps(row) + "\n" for row in made))  # the first row stands on line 2


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs" / "policies").mkdir(parents=True)
    (tmp_path / "docs" / "policies" / "leave.md").write_text(LEAVE)
    (tmp_path / "docs" / "travel.md").write_text(TRAVEL)
    (tmp_path / "docs" / "groundling.yaml").write_text("name: one\nsynthesize: {recipe: questions, options: {file: training.jsonl}}\n")
    write(tmp_path / "docs" / "training.jsonl", GOOD)
    return tmp_path / "docs"


def told(place: Path) -> dict[str, Check]:
    return {c.what: c for c in project(place, more=standing)}


def test_what_stands_there_is_counted_whatever_its_line_breaks(place: Path) -> None:
    write(place / "training.jsonl", GOOD, BROKEN, REFUSED)
    said = told(place)
    assert said["training quotes"] == Check("training quotes", True, "2 passages stand in the documents", False)
    assert "question quotes" not in said and "training documents" not in said
    assert said["teacher"].says == "none: the recipe questions asks no teacher"
    assert not (place.parent / "runs").exists(), "nothing is written"


def test_a_row_to_learn_from_that_is_misquoted_is_counted_and_the_first_is_shown_with_its_line(place: Path) -> None:
    write(place / "training.jsonl", GOOD, MISQUOTED, ELSEWHERE, GOOD, GOOD | {"passage": ""}, {k: v for k, v in MISQUOTED.items() if k != "document"})
    said = told(place)["training quotes"]
    assert not said.ok and not said.needed, "the rest can be learnt from"
    assert '3 of 6 rows: the passage does not stand there word for word. The first is line 3: "Staff have 26 days' in said.says
    assert "not in leave.md." in said.says and "1 of 6 rows: no answer, or no passage with it. The first is line 6." in said.says
    assert said.says.endswith("They are left out.")


def test_a_passage_of_another_document_is_told_with_where_it_stands(place: Path) -> None:
    write(place / "training.jsonl", GOOD, ELSEWHERE)
    assert 'line 3: "Staff have 25 days of leave a year.", which stands in policies/leave.md.' in told(place)["training quotes"].says


def test_a_document_that_is_not_there_is_counted_with_the_nearest(place: Path) -> None:
    write(place / "training.jsonl", GOOD, GOOD, MISNAMED, REFUSED | {"document": "else/TRAVEL.md"})
    said = told(place)
    found = said["training documents"]
    assert not found.ok and not found.needed
    assert '2 of 4 rows name a document that is not among the documents. The first is line 4: "hr/leav.md".' in found.says
    assert 'Did you mean "policies/leave.md"?' in found.says
    assert said["training quotes"].ok, "it speaks of the others"
    write(place / "training.jsonl", REFUSED | {"document": "else/TRAVEL.md"}, GOOD)
    assert 'Did you mean "travel.md"?' in told(place)["training documents"].says
    write(place / "training.jsonl", REFUSED | {"document": "qqqqqq.md"}, GOOD)
    assert "Did you mean" not in told(place)["training documents"].says


def test_where_no_row_is_good_doctor_refuses(place: Path) -> None:
    write(place / "training.jsonl", MISQUOTED, MISNAMED)
    said = told(place)
    assert said["training quotes"].needed and not said["training quotes"].ok and not said["training documents"].needed
    write(place / "training.jsonl", MISNAMED)
    assert told(place)["training documents"].needed


def test_questions_to_ask_are_held_against_the_documents_as_the_evaluation_does(place: Path) -> None:
    soft = {"document": "travel.md", "passage": "The company pays the taxi.", "answers": ["the company"]}
    write(place / "questions.jsonl", GOOD, soft, MISQUOTED, GOOD | {"answers": ["thirty"]}, {"document": "travel.md", "answers": ["90 EUR"]}, REFUSED)
    said = told(place)["question quotes"]
    assert not said.ok and not said.needed
    for words in (
        '1 of 6 rows: the passage does not stand there word for word. The first is line 4: "Staff have 26',
        '1 of 6 rows: no accepted answer stands in the passage. The first is line 5: "thirty".',
        '1 of 6 rows: no accepted answer stands in the document. The first is line 6: "90 EUR".',
    ):
        assert words in said.says
    assert "left out" not in said.says
    write(place / "training.jsonl", soft)
    assert "does not stand there word for word" in told(place)["training quotes"].says, "the recipe wants it letter for letter"


def test_a_document_that_is_there_and_is_not_read_is_no_document(place: Path) -> None:
    with (place / "groundling.yaml").open("a") as config:
        config.write("ingest: {exclude: ['travel.md']}\n")
    write(place / "training.jsonl", GOOD, REFUSED | {"document": "travel.md"})
    assert 'the document is not among those that are read. The first is line 3: "travel.md"' in told(place)["training quotes"].says


def test_a_large_folder_is_read_only_from_the_run_that_holds_it_as_it_is(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEW", 1)
    write(place / "training.jsonl", GOOD, MISQUOTED, MISNAMED)
    said = told(place)
    assert said["training quotes"].says.startswith("not checked: 2 files of 0 MB take long to read") and not said["training quotes"].ok
    assert not said["training quotes"].needed and "1 of 3 rows names" in said["training documents"].says, "names need no reading"
    run_stages(open_run(place, None, [], lambda text: None), last="ingest")
    assert "1 of 3 rows: the passage does not stand there" in told(place)["training quotes"].says
    with monkeypatch.context() as less:
        less.setattr(module, "TEXT", 10)
        assert told(place)["training quotes"].says.endswith("take long to read. synthesize and evaluate count what does not stand in them")
    (place / "travel.md").write_text(TRAVEL + "More.\n")
    assert "not checked: 2 files" in (said := told(place)["training quotes"].says) and "does not hold them as they are now" in said
    monkeypatch.setattr(module, "FEW", 500)
    assert "1 of 3 rows: the passage does not stand there" in told(place)["training quotes"].says


def test_rows_that_name_no_document_are_looked_up_only_as_far_as_that_is_quick(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = {k: v for k, v in MISQUOTED.items() if k != "document"}
    write(place / "training.jsonl", GOOD, nowhere, nowhere, nowhere)
    monkeypatch.setattr(module, "LOOKED", 2 * (len(LEAVE) + len(TRAVEL)) + 1)
    said = told(place)["training quotes"].says
    assert "2 of 4 rows: the passage does not stand there" in said and said.endswith(
        "Not looked up, as it would take long: 1 of the rows that name no document."
    )


def test_a_thousand_rows_take_little_time(place: Path) -> None:
    (place / "long.md").write_text("\n\n".join(f"The part {n} weighs {n * 7} g." for n in range(40_000)))
    write(
        place / "training.jsonl", *[{"answers": ["g"], "document": "long.md", "passage": f"The part {n}  weighs {n * 7 + 1} g."} for n in range(1000)]
    )
    write(place / "questions.jsonl", *[{"answers": ["g"], "passage": f"The part {n} weighs {n * 7} g."} for n in range(1000)])
    start = time.process_time()
    said = {c.what: c.says for c in standing(open_run(place, None, [], lambda text: None).project)}
    assert "1,000 of 1,000 rows" in said["training quotes"] and said["question quotes"] == "1,000 passages stand in the documents"
    assert time.process_time() - start < 15
