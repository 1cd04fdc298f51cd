"""Documents in; a trained model that answers, a report and a server out. And again after being killed."""

import hashlib
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

from .conftest import groundling, start

FOLDERS = ["1-documents", "2-chunks", "3-index", "4-examples", "5-curated", "6-model", "7-scores"]


def artefacts(run: Path) -> dict[str, str]:
    """The hash of everything a run makes that another run of the same project must make too."""
    kept = [
        *run.glob("[1-7]-*/*.jsonl"),
        run / "6-model/adapter_model.safetensors",
        run / "7-scores/scores.json",
        run / "7-scores/tests.json",
    ]
    return {p.relative_to(run).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(kept)}


def test_one_command_goes_the_whole_way_and_again_does_nothing(project: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = groundling("run", project, "--out", run)
    assert done.returncode == 0, done.stderr
    assert [p.name for p in sorted(run.iterdir()) if p.is_dir()] == FOLDERS
    assert all((run / folder / "record.json").is_file() for folder in FOLDERS)
    assert done.stdout.count("\n? ") == 4, "four questions are asked at the end"
    assert "{'loss'" not in done.stdout and "Warning" not in done.stderr, "nothing raw from the libraries reaches the terminal"
    assert f"groundling chat {run}" in done.stdout and "report.html" in done.stdout

    scores = json.loads((run / "7-scores/scores.json").read_text())
    assert {s["model"] for s in scores} == {"base", "tuned", "retrieval"}
    assert {"none", "given", "k=2"} <= {s["setting"] for s in scores}
    assert all(s["value"] is None or 0 <= s["low"] <= s["value"] <= s["high"] <= 1 for s in scores)
    assert {s["n"] for s in scores if s["metric"] == "refusal_rate" and s["setting"] == "k=2" and s["questions"] == "all"} == {8}
    log = json.loads((run / "6-model/record.json").read_text())["notes"]["log"]
    assert log[-1]["loss"] < log[0]["loss"], "the training loss falls"
    asked = json.loads((run / "7-scores/record.json").read_text())["notes"]["asked"]
    answers = len((run / "7-scores/data.jsonl").read_text("utf-8").splitlines())
    assert asked["replies"] >= answers * 0.8 and asked["base"], "plan reckons the time of the next evaluation by it"
    page = (run / "report.html").read_text("utf-8")
    assert "How heavy is the Katla 200?" in page and "http" not in page.split("<body")[0]

    before = artefacts(run)
    again = groundling("run", project, "--out", run)
    assert again.returncode == 0 and again.stdout.count("done before") == 7
    assert artefacts(run) == before


def test_a_changed_setting_makes_stale_only_what_depends_on_it(project: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert groundling("run", project, "--out", run, "--to", "train").returncode == 0
    told = groundling("status", project, "--out", run, "--set", "train.rate=0.0005").stdout
    states = {line.split()[0]: line.split()[1] for line in told.splitlines()}
    assert [states[f] for f in FOLDERS] == ["done"] * 5 + ["stale", "missing"]
    assert "train.rate: 0.001 -> 0.0005" in told
    refused = groundling("run", project, "--out", run, "--set", "train.rate=0.0005")
    assert refused.returncode == 2 and "--redo train" in refused.stderr and "Traceback" not in refused.stderr
    assert (run / "6-model/adapter_model.safetensors").is_file(), "the trained model is still there"
    (project / "documents" / "new.md").write_text("# New\n\nThe canteen opens at 11:15.", "utf-8")
    told = groundling("status", project, "--out", run).stdout
    assert told.splitlines()[0].split()[1] == "stale" and "files changed" in told.splitlines()[0]


def kill_when(process, there: Callable[[], bool]) -> bool:
    """SIGKILL the process as soon as `there`; False where it ended before."""
    while process.poll() is None:
        if there():
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return True
        time.sleep(0.01)
    process.communicate()
    return False


def _rows(run: Path) -> int:
    import sqlite3

    try:
        with sqlite3.connect(f"file:{run / 'journal.sqlite'}?mode=ro", uri=True, timeout=1) as db:
            return db.execute("SELECT count(*) FROM replies").fetchone()[0]
    except sqlite3.Error:
        return 0


def test_killed_at_any_point_the_same_command_ends_with_the_same_artefacts(project: Path, tmp_path: Path) -> None:
    calm, torn = tmp_path / "calm", tmp_path / "torn"
    assert groundling("run", project, "--out", calm).returncode == 0
    points: list[Callable[[], bool]] = [
        lambda: (torn / "1-documents").is_dir(),
        lambda: (torn / "4-examples").is_dir(),
        lambda: any((torn / "6-model").glob("checkpoints/checkpoint-*")),
        lambda: any((torn / "6-model").glob("checkpoints/checkpoint-4/trainer_state.json")),
        lambda: _rows(torn) >= 4,
        lambda: _rows(torn) >= 20,
    ]
    killed = 0
    for there in points:
        killed += kill_when(start("run", project, "--out", torn), there)
    assert killed == len(points), "every point was reached before the end"
    asked_before = _rows(torn)
    last = groundling("run", project, "--out", torn)
    assert last.returncode == 0, last.stderr
    assert last.stdout.count("done before") >= 6, "nothing finished was done again"
    assert artefacts(torn) == artefacts(calm)
    assert _rows(torn) == _rows(calm) and asked_before > 0
