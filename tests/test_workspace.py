"""The run folder: whole or not there, counted, and kept by one run at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.errors import InputError, MachineError, TooManyFailed
from groundling.records import Question, Score
from groundling.workspace import Output, Workspace, fingerprint, first_different, read_lines, write_atomic, write_json


def question(n: int) -> Question:
    return Question(id=str(n), question=f"Wo ist {n}?", answers=["ü"], answerable=True)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_one(space: Workspace, mark: str = "f1", kept: int = 2) -> None:
    with space.writing("chunk", mark, {"size": 5}, {"ingest": "x"}, 42) as out:
        for n in range(kept):
            out.keep(question(n))
        out.drop("too short", {"id": "a"})
        out.fail("unreadable", "b.pdf", "it ends early")
        out.note(realised={"cited": 0.8})


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != ".begun")


def test_a_finished_stage_has_its_files_and_a_record_that_adds_up(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "run")
    write_one(space)
    assert names(space.folder("chunk")) == ["data.jsonl", "dropped.jsonl", "failed.jsonl", "record.json"]
    record = space.record("chunk")
    counts = record["counts"]
    assert counts == {"in": 4, "kept": 2, "dropped": {"too short": 1}, "failed": {"unreadable": 1}}
    assert counts["in"] == counts["kept"] + sum(counts["dropped"].values()) + sum(counts["failed"].values())
    assert (record["fingerprint"], record["settings"], record["inputs"], record["seed"]) == ("f1", {"size": 5}, {"ingest": "x"}, 42)
    assert {"groundling", "python"} <= set(record["versions"]) and record["seconds"] >= 0 and record["notes"] == {"realised": {"cited": 0.8}}
    assert list(space.read("chunk", Question)) == [question(0), question(1)]
    assert lines(space.folder("chunk") / "dropped.jsonl") == [{"reason": "too short", "what": {"id": "a"}}]
    assert lines(space.folder("chunk") / "failed.jsonl") == [{"reason": "unreadable", "what": "b.pdf", "detail": "it ends early"}]


@given(st.lists(st.sampled_from(["keep", "drop a", "drop b", "fail a"]), max_size=30))
def test_nothing_vanishes(tmp_path_factory: pytest.TempPathFactory, acts: list[str]) -> None:
    out = Output(tmp_path_factory.mktemp("out"))
    for n, act in enumerate(acts):
        out.keep(question(n)) if act == "keep" else (out.drop if act[0] == "d" else out.fail)(act[-1], n)
    out.close()
    counts = out.counts()
    assert counts["in"] == len(acts) == counts["kept"] + sum(counts["dropped"].values()) + sum(counts["failed"].values())
    assert counts["kept"] == len(lines(out.folder / "data.jsonl")) == acts.count("keep")
    assert counts["dropped"].get("b", 0) == acts.count("drop b") and len(lines(out.folder / "failed.jsonl")) == acts.count("fail a")


def test_a_file_of_a_finished_stage_that_is_gone_or_damaged_is_a_sentence(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    scores, described = space.folder("evaluate") / "scores.json", space.folder("train") / "groundling.json"
    anew = "Delete the record.json beside it, if there is one, and `groundling run` makes the stage's output anew."

    def refused(do: Callable[[], object], path: Path, words: str) -> None:
        with pytest.raises(InputError) as raised:
            do()
        assert str(raised.value).startswith(f"{path}{words}") and str(raised.value).endswith(anew)

    refused(lambda: space.table("scores", Score), scores, " is missing. ")
    refused(lambda: list(space.read("chunk", Question)), space.data("chunk"), " is missing. ")
    scores.parent.mkdir(), described.parent.mkdir()
    scores.write_text('[{"modl": 1}]'), described.write_text("{")
    refused(lambda: space.table("scores", Score), scores, ': there is no field "modl". Did you mean "model"?')
    refused(space.described, described, " is not readable JSON (")
    scores.write_text('[{"model": "base", "setting": "k=3", "metric": "correct", "value": 0.5, "low": null, "high": null, "n": 2}]')
    assert [s.value for s in space.table("scores", Score)] == [0.5]


def test_a_stage_that_stops_in_the_middle_leaves_what_was_finished_before(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "run")
    write_one(space)
    before = {p.name: p.read_bytes() for p in space.folder("chunk").iterdir()}
    with pytest.raises(InputError), space.writing("chunk", "f2", {}, {}, 42) as out:
        out.keep(question(9))
        out.fail("unreadable", "c.pdf")
        raise InputError("no")
    assert {p.name: p.read_bytes() for p in space.folder("chunk").iterdir()} == before
    assert names(out.folder) == ["failed.jsonl"], "what failed stays for its reader, no half-written data does"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_leaves_no_record(tmp_path: Path, stop: type[BaseException]) -> None:
    space = Workspace(tmp_path)
    with pytest.raises(stop), space.writing("chunk", "f1", {}, {}, 42) as out:
        out.keep(question(1))
        raise stop
    assert space.record("chunk") is None and not space.folder("chunk").exists()


def test_work_in_place_that_is_done_again_is_not_done_until_it_ends(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with space.writing("train", "f1", {}, {}, 42, resumes=True):
        pass
    assert space.record("train") is not None
    with pytest.raises(KeyboardInterrupt), space.writing("train", "f1", {}, {}, 42, resumes=True):
        raise KeyboardInterrupt
    assert space.record("train") is None


def test_the_folder_appears_whole_with_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put, real = [], os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (put.append(Path(b).name), real(a, b)))
    write_one(Workspace(tmp_path))
    assert put[-2:] == ["record.json", "2-chunks"] and put.count("record.json") == 1 and "data.jsonl" in put


def test_the_same_work_goes_on_from_its_checkpoints_and_other_work_starts_clean(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    with pytest.raises(KeyboardInterrupt), space.writing("train", "f1", {}, {}, 42, resumes=True) as out:
        (out.folder / "checkpoint-5").mkdir()
        raise KeyboardInterrupt
    with space.writing("train", "f1", {}, {}, 42, resumes=True) as out:
        assert (out.folder / "checkpoint-5").is_dir()
    with space.writing("train", "f2", {}, {}, 42, resumes=True) as out:
        assert not (out.folder / "checkpoint-5").exists()


def test_too_many_failures_stop_with_the_worst_reasons(tmp_path: Path) -> None:
    out = Output(tmp_path)
    for n in range(8):
        out.keep(question(n))
    out.check(0.0, "files")
    out.fail("unreadable", 1)
    out.fail("unreadable", 2)
    out.check(0.2, "files")
    with pytest.raises(
        TooManyFailed, match=r"2 of 10 files failed, more than max_failed allows \(10%\): 2 × unreadable.*failed\.jsonl.*a higher max_failed"
    ):
        out.check(0.1, "files")
    out.abandon()


def test_a_damaged_line_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    good = '{"id":"1","question":"q","answers":[],"answerable":false}\n'
    for bad in ('{"id":"2"}', "not json", good.replace('"id"', '"ids":1,"id"'), good.replace("false", '"no"')):
        path.write_text(f"{good}\n{bad.strip()}\n")
        with pytest.raises(InputError, match=r"questions\.jsonl, line 3: "):
            list(read_lines(path, Question))
    path.write_text(good * 2)
    assert len(list(read_lines(path, Question))) == 2


def test_a_damaged_record_is_a_sentence(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    write_one(space)
    (space.folder("chunk") / "record.json").write_text('{"stage": ')
    with pytest.raises(InputError, match=r"record\.json is not readable JSON.*Delete it"):
        space.record("chunk")


def test_only_one_run_works_in_a_folder(tmp_path: Path) -> None:
    with Workspace(tmp_path).lock(), pytest.raises(MachineError, match="Another groundling run is at work"), Workspace(tmp_path).lock():
        pass
    with Workspace(tmp_path).lock():
        pass


def test_a_folder_that_cannot_be_locked_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with (
        pytest.raises(MachineError, match=r"could not be made or written to \(.*\)\. Export a copy of it\."),
        Workspace(tmp_path).lock("export a copy of it"),
    ):
        pass


def test_a_run_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, signal; from pathlib import Path; from groundling.workspace import Workspace\n"
        "with Workspace(Path('.')).lock(): os.kill(os.getpid(), signal.SIGKILL)"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": ":".join(sys.path)})
    assert told.returncode == -9 and (tmp_path / ".lock").exists()
    with Workspace(tmp_path).lock():
        pass


def test_a_write_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"ü": 1})
    with monkeypatch.context() as broken, pytest.raises(MachineError, match="could not be written"):
        broken.setattr(os, "replace", lambda a, b: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        write_json(path, {"ü": 2})
    assert json.loads(path.read_bytes()) == {"ü": 1} and [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("place", ["missing/a.json", "file/a.json"])
def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="could not be written"):
        write_atomic(tmp_path / place, b"x")


def test_a_full_disk_is_a_sentence_and_leaves_no_record(tmp_path: Path) -> None:
    """A real limit on the size of files stands for a full disk."""
    code = """
        import resource
        from pathlib import Path
        from groundling.errors import MachineError
        from groundling.records import Question
        from groundling.workspace import Workspace
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        try:
            with Workspace(Path(".")).writing("chunk", "f", {}, {}, 1) as out:
                for n in range(2000):
                    out.keep(Question(id=str(n), question="q" * 50, answers=[], answerable=False))
        except MachineError as error:
            print(error)
        """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True
    )
    assert "could not be written" in told.stdout and told.stderr == ""
    assert not (tmp_path / "2-chunks" / "record.json").exists()


def test_the_fingerprint_follows_settings_inputs_and_seed_and_nothing_else() -> None:
    base = fingerprint("chunk", {"size": 5, "overlap": 1}, {"ingest": "a"}, 42)
    assert fingerprint("chunk", {"overlap": 1, "size": 5}, {"ingest": "a"}, 42) == base, "the order of settings has no meaning"
    others = [
        fingerprint("index", {"size": 5, "overlap": 1}, {"ingest": "a"}, 42), fingerprint("chunk", {"size": 6, "overlap": 1}, {"ingest": "a"}, 42),
        fingerprint("chunk", {"size": 5, "overlap": 1}, {"ingest": "b"}, 42), fingerprint("chunk", {"size": 5, "overlap": 1}, {"ingest": "a"}, 43),
    ]  # fmt: skip
    assert len({base, *others}) == 5


def test_what_changed_is_named() -> None:
    assert list(first_different({"size": 5, "same": 1, "gone": 2}, {"size": 6, "same": 1, "new": 3})) == [
        "gone: 2 -> None", "new: None -> 3", "size: 5 -> 6",
    ]  # fmt: skip


@pytest.mark.parametrize("damage", [b"{}", b"[1]", b"{"])
def test_a_record_of_another_shape_is_a_sentence(tmp_path: Path, damage: bytes) -> None:
    space = Workspace(tmp_path)
    write_one(space)
    (space.folder("chunk") / "record.json").write_bytes(damage)
    with pytest.raises(InputError, match="Delete it, and the stage runs again"):
        space.record("chunk")
