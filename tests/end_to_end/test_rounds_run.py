"""Rounds for real: a model trained, asked for preferences, and a reward model trained on them. What is done stays, also after a kill; what hangs on a
changed model is stale."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import time
from pathlib import Path

import pytest
import yaml

from groundling.commands import rounding
from groundling.errors import StaleError
from groundling.records import Example, Pair
from groundling.runs import Run, open_run
from groundling.workspace import read_lines

from .conftest import DOCUMENTS, start

CONFIG = {
    "name": "small", "documents": "documents", "chunk": {"size": 220, "overlap": 30}, "synthesize": {"limit": 6, "options": {"distractors": 1}},
    "train": {"epochs": 1, "batch": 4, "rank": 4, "steps": 1, "eval_rows": 0},
    "rounds": [{
        "name": "small-reward", "train": {"base": "run:small", "objective": "reward"},
        "synthesize": {
            "recipe": "preference", "student": "run:small",  # drawn so hot that some replies are wrong
            "options": {"hypotheses": 2, "temperature": 1.5, "max_tokens": 60, "chosen": "reference"},
        },
    }],
}  # fmt: skip
TO_TRAIN = rounding.Wanted(last="train")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with both rounds trained."""
    project = tmp_path_factory.mktemp("rounds") / "small project"
    (project / "documents").mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (project / "documents" / name).write_text(text, "utf-8")
    (project / "groundling.yaml").write_text(yaml.safe_dump(CONFIG), "utf-8")
    rounding.run_rounds(opened(project), TO_TRAIN)
    return project


def opened(project: Path, *settings: str) -> Run:
    return open_run(project, project / "runs" / "small", list(settings), lambda text: None)


def stages(run: Run) -> dict[str, dict[str, tuple[str, str]]]:
    said: list[str] = []
    run.say = said.append
    rounding.status(run, True)
    return {r["round"]: {s["stage"]: (s["state"], s["why"]) for s in r["stages"]} for r in json.loads(said[0])}


def written(root: Path) -> dict[str, int]:
    return {p.relative_to(root).as_posix(): p.stat().st_mtime_ns for p in root.glob("*/*/record.json")}


def test_the_second_round_learns_from_what_the_first_one_replied_to_its_own_prompts(done: Path) -> None:
    runs = done / "runs"
    pairs = list(read_lines(runs / "small-reward" / "5-curated" / "data.jsonl", Pair))
    assert pairs and all(p.recipe == "preference" and p.chosen != p.rejected and p.margin > 0 for p in pairs)
    assert {p.unit for p in pairs} <= {e.id for e in read_lines(runs / "small" / "5-curated" / "data.jsonl", Example)}
    described = json.loads((runs / "small-reward" / "6-model" / "groundling.json").read_text())
    assert described["objective"] == "reward" and described["base"] == "run:small"


def test_rounds_that_were_killed_while_replies_came_go_on_and_end_alike(done: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "small"
    shutil.copytree(done / "runs" / "small", broken)
    journal, records = broken.parent / "small-reward" / "journal.sqlite", written(broken.parent)
    killed = start("run", done, "--out", broken, "--to", "curate")
    deadline = time.time() + 500
    while time.time() < deadline and killed.poll() is None and _replies(journal) < 2:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert _replies(journal) >= 2 and not (broken.parent / "small-reward" / "4-examples").exists(), "killed while replies came"
    rounding.run_rounds(open_run(done, broken, [], lambda text: None), rounding.Wanted(last="curate"))
    assert _replies(journal) == _replies(done / "runs" / "small-reward" / "journal.sqlite"), "none was asked for twice"
    again = {path: stamp for path, stamp in written(broken.parent).items() if path.startswith("small/")}
    assert again == records, "the first round was done, and stays"
    for file in ("4-examples/data.jsonl", "5-curated/data.jsonl"):
        assert (broken.parent / "small-reward" / file).read_bytes() == (done / "runs" / "small-reward" / file).read_bytes(), file


def test_nothing_is_done_again_and_what_hangs_on_a_changed_model_is_stale(done: Path) -> None:
    first, before = stages(opened(done)), written(done / "runs")
    assert {s for r in first.values() for s, _ in r.values()} == {"done", "missing", "none"} and first["small-reward"]["evaluate"][0] == "none"
    rounding.run_rounds(opened(done), TO_TRAIN)
    assert written(done / "runs") == before, "what is done is not done again"

    changed = "train.rank=2"  # another rate would leave a model of one step, which is warm-up, as it was
    told = stages(opened(done, changed))
    assert told["small"]["train"][0] == "stale" and "train.rank" in told["small"]["train"][1]
    assert told["small-reward"]["index"] == ("done", "") and told["small-reward"]["synthesize"] == ("stale", "run:small is not done")
    assert told["small-reward"]["train"][0] == "stale"
    with pytest.raises(StaleError, match=r"^Round small: train is finished but stale .* For this round alone: --round small\.$"):
        rounding.run_rounds(opened(done, changed), TO_TRAIN)
    rounding.run_rounds(opened(done, changed), rounding.Wanted("small", last="train", redo=["train"]))
    told = stages(opened(done, changed))
    assert told["small"]["train"] == ("done", "") and told["small-reward"]["synthesize"][0] == "stale", "its student is another one now"
    assert "synthesize.student" in told["small-reward"]["synthesize"][1] and "base changed" in told["small-reward"]["train"][1]
    with pytest.raises(StaleError, match="^Round small-reward: train is finished but stale"):
        rounding.run_rounds(opened(done, changed), TO_TRAIN)


def _replies(journal: Path) -> int:
    if not journal.exists():
        return 0
    db = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        return db.execute("SELECT count(*) FROM replies").fetchone()[0]
    except sqlite3.OperationalError:  # not made yet
        return 0
    finally:
        db.close()
