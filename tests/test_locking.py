"""A run's folder is held by one at a time, and a start that came to nothing leaves nothing."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from groundling import config, locking, pipeline
from groundling.errors import InputError, MachineError, UserError
from groundling.runs import Run
from groundling.workspace import Workspace


def fails(space: Workspace, *files: str) -> None:
    with pytest.raises(InputError), space.lock():
        for name in files:
            (space.root / name).parent.mkdir(exist_ok=True)
            (space.root / name).write_text("x")
        raise InputError("no")


BEGUN = ("config.yaml", "run.json", ".1-documents.new/.begun", ".1-documents.new/dropped.jsonl")


def test_a_start_that_came_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    fails(Workspace(tmp_path / "runs" / "book"), *BEGUN)
    assert not [*tmp_path.iterdir()], "nor the folder around it that was made with it"
    (tmp_path / "runs" / "other").mkdir(parents=True)
    fails(Workspace(tmp_path / "runs" / "book"), *BEGUN)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["other"]


@pytest.mark.parametrize("came", ["journal.sqlite", "1-documents/record.json", ".1-documents.new/failed.jsonl", "6-model/checkpoint-25"])
def test_what_came_about_stays(tmp_path: Path, came: str) -> None:
    """Replies are paid for, a finished stage is gone on from, and what failed is to be read."""
    fails(Workspace(tmp_path / "run"), *BEGUN, came)
    assert (tmp_path / "run" / came).exists() and (tmp_path / "run" / "config.yaml").exists()


def test_a_folder_that_was_there_before_stays(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    fails(Workspace(tmp_path / "run"), *BEGUN)
    assert (tmp_path / "run" / "config.yaml").exists()


def test_who_is_refused_takes_nothing_away(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "run")
    with space.lock():
        (space.root / "config.yaml").write_text("x")
        with pytest.raises(MachineError, match="at work"), space.lock():
            raise AssertionError("two are in")
        assert (space.root / ".lock").exists() and (space.root / "config.yaml").exists()


def test_a_lock_that_was_taken_away_while_it_was_waited_for_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first has failed and takes its folder away between the second's opening of the lock and its locking it."""
    root, real, times = tmp_path / "run", fcntl.flock, []

    def flock(handle: object, how: int) -> None:
        times.append(how)
        if len(times) == 1:
            shutil.rmtree(root)
        real(handle, how)

    monkeypatch.setattr(locking.fcntl, "flock", flock)
    with locking.held(root, "go"):
        assert len(times) == 2 and (root / ".lock").exists()
        other = "import sys; from pathlib import Path; from groundling.workspace import Workspace\nwith Workspace(Path(sys.argv[1])).lock(): pass"
        told = subprocess.run([sys.executable, "-c", other, str(root)], capture_output=True, text=True)
        assert "at work" in told.stderr, "a third is refused by the folder's own lock"


def test_a_lock_that_cannot_be_had_is_given_up(tmp_path: Path) -> None:
    (tmp_path / ".lock").symlink_to(tmp_path / "nowhere" / "lock")
    with pytest.raises(MachineError, match="is taken away by others"), locking.held(tmp_path, "go"):
        pass


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["train.base=./none"], "does not exist"),
        (["synthesize.teacher=gpt"], 'no model "gpt"'),
        (["ingest.include=['*.pdf']"], "None of the 1 files"),
    ],
)
def test_a_run_that_cannot_begin_leaves_no_folder_and_the_next_one_goes_well(tmp_path: Path, settings: list[str], told: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Leave\n\nStaff in Finland have 30 days of annual leave.")
    space = Workspace(tmp_path / "runs" / "docs")
    with pytest.raises(UserError, match=told):
        pipeline.run_stages(Run(config.load(tmp_path / "docs", settings), space))
    assert [p.name for p in tmp_path.iterdir()] == ["docs"]
    run = Run(config.load(tmp_path / "docs"), space)
    pipeline.run_stages(run, last="ingest")
    with pytest.raises(UserError, match=told):
        pipeline.run_stages(Run(config.load(tmp_path / "docs", settings), space))
    assert space.record("ingest"), "what was there stays"
