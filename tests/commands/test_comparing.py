"""`groundling compare`, the table of rounds in a report, and what is said of a model that did or did not replace its parent."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import yaml

from groundling import rounds
from groundling.commands import comparing, rounding
from groundling.errors import ConfigError, InputError
from groundling.runs import Run, open_run, write_config
from groundling.workspace import Output, Workspace, write_json
from tests.evaluate.test_evaluate_beside import FIRST, SECOND, side

PARTS = [{"train": {"base": "run:handbook"}, "replace": "if_better"}, {"train": {"base": "run:handbook-2"}}]


def evaluated(folder: Path, parts: list[dict] = PARTS) -> Run:
    """A project whose first two runs are scored, by hand."""
    (folder / "docs").mkdir()
    (folder / "groundling.yaml").write_text(yaml.safe_dump({"name": "handbook", "documents": "docs", "rounds": parts}))
    first = open_run(folder, folder / "runs" / "handbook", [], lambda text: None)
    for run, found in zip(rounds.runs(first), (FIRST, SECOND), strict=False):
        write_config(run)
        put(run.space, found)
    return first


def put(space: Workspace, found) -> None:
    """What evaluate leaves."""
    folder = space.folder("evaluate")
    out = Output(folder)
    for one in found.rows:
        out.keep(one)
    out.close()
    write_json(folder / "scores.json", msgspec.to_builtins(found.scores))
    write_json(folder / "tests.json", [])
    notes = {"headline": {"setting": found.headline[0], "metric": found.headline[1]}}
    record = {"fingerprint": "f", "settings": {}, "inputs": {}, "seed": 1, "counts": out.counts(), "notes": notes, "seconds": 1.0}
    write_json(folder / "record.json", record)


def test_two_runs_in_the_terminal(tmp_path: Path) -> None:
    evaluated(tmp_path)
    said: list[str] = []
    comparing.compare([tmp_path / "runs" / "handbook", tmp_path / "runs" / "handbook-2"], False, said.append)
    lines = said[0].splitlines()
    assert lines[0] == "k=3: 16 questions that all were asked" and lines[1].split() == ["correct", "refusal_rate", "f1", "citation_precision"]
    assert lines[3].split()[:4] == ["handbook", "25.0%", "[10%,", "49%]"] and lines[4].split()[:2] == ["handbook-2", "75.0%"]
    assert lines[5] == "points above handbook, and p" and lines[6].split()[:3] == ["handbook-2", "+50.0", "p=0.008"]


def test_the_same_as_data(tmp_path: Path) -> None:
    evaluated(tmp_path)
    said: list[str] = []
    comparing.compare([tmp_path / "runs" / "handbook", tmp_path / "runs" / "handbook-2"], True, said.append)
    [table] = json.loads(said[0])
    assert [m["model"] for m in table["models"]] == ["base", "handbook", "handbook-2"]
    assert table["models"][2]["tests"]["correct"]["difference"] == 0.5


def test_what_cannot_be_compared_is_a_sentence(tmp_path: Path) -> None:
    evaluated(tmp_path)
    one, two = (tmp_path / "runs" / name for name in ("handbook", "handbook-2"))
    with pytest.raises(ConfigError, match="compare takes two runs or more"):
        comparing.compare([one], False, print)
    put(Workspace(two), side("x", [True], settings=("none",)))
    with pytest.raises(InputError, match="scored at no setting in common"):
        comparing.compare([one, two], False, print)
    (two / "7-scores" / "record.json").unlink()
    with pytest.raises(InputError, match="handbook-2 has no scores yet"):
        comparing.compare([one, two], False, print)


def test_two_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    evaluated(tmp_path)
    said: list[str] = []
    comparing.compare([tmp_path / "runs" / "handbook"] * 2, False, said.append)
    assert "handbook (1)" in said[0] and "handbook (2)" in said[0]


def test_a_round_that_beats_its_parent_replaces_it_and_the_choice_is_written_down(tmp_path: Path) -> None:
    first = evaluated(tmp_path)
    decision = rounding.decision_of(rounds.runs(first)[1])
    assert (decision["better"], decision["parent"], decision["value"], decision["parent_value"]) == (True, "handbook", 0.75, 0.25)
    assert comparing.said(decision) == "handbook-2 replaces handbook: correct at k=3 75.0% against 25.0% on 16 questions, p = 0.008."
    rounds.decide(rounds.runs(first)[1], decision)
    assert rounds.runs(first)[2].config.train.base == "run:handbook-2"


def test_one_that_does_not_leaves_its_place_to_the_parent(tmp_path: Path) -> None:
    first = evaluated(tmp_path)
    put(rounds.runs(first)[1].space, FIRST)
    decision = rounding.decision_of(rounds.runs(first)[1])
    assert not decision["better"] and comparing.said(decision).startswith(
        "handbook-2 does not replace handbook, which later rounds go on from: correct"
    )
    rounds.decide(rounds.runs(first)[1], decision)
    assert rounds.runs(first)[2].config.train.base == "run:handbook"


def test_a_choice_needs_the_scores_of_both(tmp_path: Path) -> None:
    first = evaluated(tmp_path)
    (tmp_path / "runs" / "handbook" / "7-scores" / "record.json").unlink()
    with pytest.raises(InputError, match="if_better of handbook-2 needs the scores of handbook, which was not evaluated"):
        rounding.decision_of(rounds.runs(first)[1])


def test_the_report_of_a_round_shows_the_rounds_up_to_it(tmp_path: Path) -> None:
    from groundling.commands.reporting import write_report

    first = evaluated(tmp_path)
    one, two, _ = rounds.runs(first)
    rounds.decide(two, rounding.decision_of(two))
    assert "Rounds side by side" not in write_report(one).read_text("utf-8")
    page = write_report(open_run(two.space.root, None, [], print)).read_text("utf-8")
    section = page[page.index("Rounds side by side") :]
    assert "handbook-2 replaces handbook: correct at k=3" in section and "difference from handbook in points" in " ".join(section.split())
    assert "75.0 %" in section and "+50.0, p = 0.008" in section


def test_status_marks_what_hangs_on_a_run_that_is_not_done(tmp_path: Path) -> None:
    first = evaluated(tmp_path)
    said: list[str] = []
    first.say = said.append
    rounding.status(first, True)
    found = {r["round"]: {s["stage"]: (s["state"], s["why"]) for s in r["stages"]} for r in json.loads(said[0])}
    assert found["handbook"]["train"] == ("missing", "")
    assert found["handbook-2"]["ingest"] == ("missing", "waits for run:handbook") and found["handbook-2"]["evaluate"] == (
        "stale",
        "waits for run:handbook",
    )


def test_a_round_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='There is no round "handbook-22". Did you mean "handbook-2"'):
        rounding.run_rounds(evaluated(tmp_path), rounding.Wanted("handbook-22"))


def test_a_run_s_folder_has_no_rounds_to_run(tmp_path: Path) -> None:
    evaluated(tmp_path)
    run = open_run(tmp_path / "runs" / "handbook", None, [], print)
    with pytest.raises(ConfigError, match="The config has no rounds: see docs/rounds.md, and name the project, not a run"):
        rounding.run_rounds(run, rounding.Wanted("handbook-2"))


def test_a_choice_that_is_no_longer_asked_for_is_forgotten(tmp_path: Path) -> None:
    second = rounds.runs(evaluated(tmp_path))[1]
    rounds.decide(second, rounding.decision_of(second))
    assert rounds.decided(second)
    rounds.decide(second, None)
    assert rounds.decided(second) is None


def test_all_rounds_are_checked_before_the_first_begins(tmp_path: Path) -> None:
    first = evaluated(tmp_path, [{}, {"train": {"objective": "smpo"}}])
    with pytest.raises(ConfigError, match="^Round handbook-3: The recipe raft makes examples, and train.objective smpo learns from preference pairs"):
        rounding.run_rounds(first, rounding.Wanted())
    assert not (tmp_path / "runs" / "handbook" / "1-documents").exists()
