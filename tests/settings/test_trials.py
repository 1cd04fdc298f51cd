"""The trials on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundling.errors import InputError
from groundling.settings.trials import Book, Trial, best, seconds


def filled(folder: Path) -> Book:
    book = Book(folder)
    book.begin({"conditions": {}})
    for number, (state, value) in enumerate([("complete", 2.0), ("complete", 1.0), ("failed", None), ("complete", 1.0), ("running", None)], 1):
        book.write(Trial(number=number, settings={"train.rate": 0.1}, state=state, value=value, losses=[(2, 3.0), (4, 1.0)], seconds=1.5))
        (book.place(number) / "checkpoints" / "checkpoint-1").mkdir(parents=True)
        (book.place(number) / "adapter_model.safetensors").write_text("weights")
    return book


def test_trials_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    book = filled(tmp_path / "search")
    found = book.read()
    assert [t.number for t in found] == [1, 2, 3, 4, 5] and found[0].losses == [(2, 3.0), (4, 1.0)] and not found[4].ended
    assert best(found).number == 2, "of two alike the first"
    assert best(found[2:3]) is None and seconds(found) == 7.5


def test_only_the_best_one_s_model_stays_and_what_still_runs(tmp_path: Path) -> None:
    book = filled(tmp_path / "search")
    book.tidy(book.read())
    left = {p.parent.name: sorted(x.name for x in p.parent.iterdir()) for p in (tmp_path / "search" / "trials").glob("*/trial.json")}
    assert left == {
        "1": ["trial.json"], "2": ["adapter_model.safetensors", "trial.json"], "3": ["trial.json"], "4": ["trial.json"],
        "5": ["adapter_model.safetensors", "checkpoints", "trial.json"],
    }  # fmt: skip
    book.clear()
    assert book.read() == [] and book.record() is None


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    book = filled(tmp_path / "search")
    (book.place(3) / "trial.json").write_text('{"number": 3')
    with pytest.raises(InputError, match=r"trials/3/trial\.json is no trial .* Delete its folder"):
        book.read()
    (book.folder / "record.json").write_text("{")
    with pytest.raises(InputError, match="--redo"):
        book.record()
    (book.folder / "record.json").write_text('{"groundling_search": 2}')
    with pytest.raises(InputError, match="no record of a search that this version reads"):
        book.record()
