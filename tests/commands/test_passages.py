"""Where fewer passages than a run is served with gave right answers more often, it is said; where the test does not show it, it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundling.commands.passages import fewer
from groundling.commands.running import after_evaluate
from groundling.evaluate.scoring import Row
from groundling.runs import Run, open_run
from groundling.workspace import Output


def row(model: str, setting: str, n: int, right: bool) -> Row:
    return Row(
        model=model, setting=setting, id=f"q{n}", question="?", gold=["a"], answerable=True, seen=None, passages=[], relevant=None, turns=["a"],
        answer="a", abstained=False, quotes=[], citations=[], invalid=[], cut=False, correct=right, scores={"correct": float(right)},
    )  # fmt: skip


def run_with(tmp_path: Path, settings: list[str], said: list[str] | None = None, **right: int) -> Run:
    """A run of 40 questions, of which the tuned model got the first so many right in each setting; the base got none."""
    (tmp_path / "docs").mkdir()
    run = open_run(tmp_path / "docs", tmp_path / "run", settings, (said if said is not None else []).append)
    for stage in ("train", "evaluate"):
        run.space.folder(stage).mkdir(parents=True)
        record = {"stage": stage, "fingerprint": "f", "settings": {}, "inputs": {}, "seed": 1, "counts": {"kept": 24}, "notes": {}}
        (run.space.folder(stage) / "record.json").write_text(json.dumps(record))
    out = Output(run.space.folder("evaluate"))
    for setting, many in right.items():
        for n in range(40):
            out.keep(row("tuned", setting.replace("k", "k="), n, n < many))
            out.keep(row("base", setting.replace("k", "k="), n, False))
    out.close()
    for name in ("scores", "tests"):
        (run.space.folder("evaluate") / f"{name}.json").write_text("[]")
    return run


SAID = (
    "Answers from 1 passage were right more often than from 3 (50.0 % against 25.0 % of 40 questions, p = 0.002): set serve.k: 1, or give --k 1 to "
    "chat, serve and predict."
)


def test_fewer_passages_that_gave_more_right_answers_are_named(tmp_path: Path) -> None:
    assert fewer(run_with(tmp_path, [], k1=20, k3=10, k5=0)) == SAID


@pytest.mark.parametrize(
    ("settings", "right"),
    [
        ([], {"k1": 13, "k3": 10}),  # three questions more: by chance as likely as not
        ([], {"k1": 10, "k3": 20}),  # surely worse
        ([], {"k1": 20, "k5": 0}),  # as many as it is served with were not asked about
        (["serve.k=1"], {"k1": 20, "k3": 10}),  # it is served so already
        ([], {"none": 20, "k3": 10}),  # without passages is no number of them
        ([], {"k3": 10, "k5": 30}),  # more of them is another question
        ([], {}),
    ],
)
def test_else_nothing_is_said(tmp_path: Path, settings: list[str], right: dict[str, int]) -> None:
    assert fewer(run_with(tmp_path, settings, **right)) == ""


def test_the_report_and_the_end_of_the_run_say_it(tmp_path: Path) -> None:
    said: list[str] = []
    run = run_with(tmp_path, [], said, k1=20, k3=10)
    after_evaluate(run, None)
    assert said[-1] == SAID and SAID in run.space.report.read_text()
