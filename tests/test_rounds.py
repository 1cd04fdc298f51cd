"""Rounds: what a round takes over from the first run and what it says itself, how rounds are named, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from groundling import config, rounds
from groundling.errors import ConfigError
from groundling.runs import Run, open_run, write_config
from groundling.workspace import Workspace

MAIN: dict[str, Any] = {
    "name": "handbook", "seed": 7, "held_out": 0.3, "chunk": {"size": 300},
    "synthesize": {"recipe": "raft", "options": {"distractors": 2}, "limit": 50},
    "curate": {"filters": ["cited", "leaked"]},
    "train": {"base": "nano", "objective": "sft", "epochs": 3, "rank": 8},
    "evaluate": {"k": [3], "limit": 100},
}  # fmt: skip
PREFERENCE = {"recipe": "preference", "student": "run:handbook"}


def project(folder: Path, parts: list[dict], settings: tuple[str, ...] = (), **main: Any) -> config.Project:
    (folder / "docs").mkdir(exist_ok=True, parents=True)
    (folder / "docs" / "a.md").write_text("# A\n\nThe hall opens at 7:30.\n", "utf-8")
    (folder / "groundling.yaml").write_text(yaml.safe_dump({**MAIN, **main, "documents": "docs", "rounds": parts}), "utf-8")
    return config.load(folder, list(settings))


def opened(folder: Path, parts: list[dict], *settings: str, out: str = "runs/handbook") -> list[Run]:
    found = project(folder, parts, settings)
    return rounds.runs(Run(found, Workspace(folder / out)))


def test_a_round_is_the_first_run_s_config_but_for_what_it_says(tmp_path: Path) -> None:
    part = {"synthesize": {"limit": 9}, "train": {"base": "run:handbook", "rate": 1e-5}, "evaluate": {"k": [1, 5]}, "serve": {"k": 2}}
    first, second = opened(tmp_path, [part])
    a, b = first.config.model_dump(), second.config.model_dump()
    changed = {f"{s}.{k}" for s in a if isinstance(a[s], dict) for k in a[s] if a[s][k] != b[s][k]} | {
        s for s in a if s in ("seed", "held_out") and a[s] != b[s]
    }
    assert changed == {"synthesize.limit", "train.base", "train.rate", "evaluate.k", "serve.k"}
    assert (second.config.seed, second.config.held_out, second.config.chunk.size) == (7, 0.3, 300)
    assert second.config.synthesize.options == {"distractors": 2} and second.config.evaluate.k == [1, 5], "lists are replaced, not joined"
    assert first.config.train.rate == config.Train().rate and first.config.rounds == second.config.rounds == []


def test_options_belong_to_their_plug_in_and_are_not_taken_over_by_another(tmp_path: Path) -> None:
    first, same, other = rounds.projects(project(tmp_path, [
        {"synthesize": {"recipe": "raft", "options": {"hard": 0.5}}}, {"synthesize": PREFERENCE, "train": {"objective": "dpo"}},
    ], train={"objective": "sft", "preset": "raft-chatbot"}))  # fmt: skip
    assert (
        same.config.synthesize.options == {"distractors": 2, "hard": 0.5} and same.config.train.preset == first.config.train.preset == "raft-chatbot"
    )
    assert other.config.synthesize.options == {} and other.config.train.preset == "" and other.config.synthesize.limit == 50


def test_rounds_are_called_after_the_project_and_lie_beside_the_first(tmp_path: Path) -> None:
    found = opened(tmp_path, [{}, {"name": "smpo"}, {}])
    assert [run.space.root.relative_to(tmp_path).as_posix() for run in found] == ["runs/handbook", "runs/handbook-2", "runs/smpo", "runs/handbook-4"]
    assert all(run.project.rounds == ("handbook", "handbook-2", "smpo", "handbook-4") for run in found)
    assert [run.project.name for run in found] == list(found[0].project.rounds) and found[3].config.name == "handbook-4"


def test_the_first_run_s_folder_is_called_as_the_project(tmp_path: Path) -> None:
    assert [run.space.root.name for run in opened(tmp_path, [{}], out="elsewhere/handbook")] == ["handbook", "handbook-2"]
    with pytest.raises(ConfigError, match="the first run's folder must be called handbook, as the project is. Use --out .*elsewhere/handbook"):
        opened(tmp_path, [{}], out="elsewhere/try")


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([{"seed": 3}], r"rounds \(item 1\).seed: every round has this of the first run, or they would not be asked about the same held-out documents"),
        ([{"held_out": 0.1}], r"rounds \(item 1\).held_out: every round has this of the first run"),
        ([{}, {"chunk": {"size": 99}}], r"rounds \(item 2\).chunk: every round has this of the first run"),
        ([{"documents": "x"}], r"rounds \(item 1\).documents: every round has this"), ([{"ingest": {}}], r"rounds \(item 1\).ingest: every"), ([{"index": {}}], r"rounds \(item 1\).index: every"),
        ([{"trian": {}}], r'there is no setting "rounds \(item 1\).trian". Did you mean "train"'),
        ([{"train": {"rat": 1}}], r'round 2 \(handbook-2\): there is no setting "train.rat". Did you mean "rate"'),
        ([{}, {"name": "x", "train": {"rate": -1}}], r"round 3 \(x\): train.rate = -1: it must be a number above 0"),
        ([{"name": "../x"}], r"rounds \(item 1\).name = '../x'"), ([{"replace": "maybe"}], r"rounds \(item 1\).replace = 'maybe'"),
        ([{"name": "x"}, {"name": "x"}], 'two rounds are called "x"'), ([{"name": "handbook"}], 'two rounds are called "handbook"'),
        ([{"train": {"base": "run:handbook-3"}}, {}], 'Round handbook-2: train.base names "run:handbook-3", which comes after it or is it'),
        ([{"train": {"base": "run:handbook-2"}}], "which comes after it or is it"),
        ([{"train": {"base": "run:handbok"}}], 'train.base names "run:handbok", and there is no such run. Did you mean "handbook"'),
        ([{"name": "r", "train": {"objective": "reward"}}, {"synthesize": {"teacher": "run:r"}}], 'synthesize.teacher names "run:r", but a reward model answers'),
        ([{"synthesize": {**PREFERENCE, "options": {"examples": "run:x"}}}], 'the examples names "run:x", and there is no such run'),
    ],
)  # fmt: skip
def test_what_a_round_may_not_say_is_a_sentence(tmp_path: Path, parts: list[dict], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        opened(tmp_path, parts)


def test_a_round_may_name_a_run_that_is_there_already(tmp_path: Path) -> None:
    (tmp_path / "runs" / "older").mkdir(parents=True)
    assert dict(rounds.named(opened(tmp_path, [{"train": {"base": "run:older"}}])[1].config)) == {"train.base": "run:older"}


def test_a_setting_of_the_command_line_is_the_main_config_s_or_a_round_s(tmp_path: Path) -> None:
    parts = [{"train": {"rate": 0.5}}, {"name": "smpo"}]
    found = opened(tmp_path, parts, "train.rate=0.25", "rounds.2.train.rank=4", "rounds.smpo.evaluate.limit=3", "rounds.smpo.train.epochs=1")
    assert [r.config.train.rate for r in found] == [0.25, 0.5, 0.25] and [r.config.train.rank for r in found] == [8, 4, 8]
    assert [r.config.evaluate.limit for r in found] == [100, 100, 3] and [r.config.train.epochs for r in found] == [3, 3, 1]
    with pytest.raises(ConfigError, match='there is no round "smop". Did you mean "smpo"'):
        opened(tmp_path, parts, "rounds.smop.train.rate=1")
    with pytest.raises(ConfigError, match="a list is set as a whole"):
        opened(tmp_path, parts, "curate.filters.0.near=1")


def decide(folder: Path, name: str, parent: str, better: bool) -> None:
    (folder / "runs" / name).mkdir(parents=True, exist_ok=True)
    (folder / "runs" / name / rounds.DECISION).write_text(json.dumps({"round": name, "parent": parent, "better": better}))


@pytest.mark.parametrize(("better", "base"), [(True, "run:handbook-2"), (False, "run:handbook")])
def test_after_a_round_that_was_not_better_the_next_goes_on_from_its_parent(tmp_path: Path, better: bool, base: str) -> None:
    grown = {"synthesize": PREFERENCE, "train": {"base": "run:handbook"}, "replace": "if_better"}
    next_one = {"synthesize": {**PREFERENCE, "student": "run:handbook-2"}, "train": {"base": "run:handbook-2"}}
    decide(tmp_path, "handbook-2", "handbook", better)
    *_, last = opened(tmp_path, [grown, next_one])
    assert dict(rounds.named(last.config)) == {"synthesize.student": base, "train.base": base}
    always = opened(tmp_path, [{**grown, "replace": "always"}, next_one])[-1]
    assert always.config.train.base == "run:handbook-2", "only where the round says so"


def test_a_verdict_on_another_model_than_the_round_has_now_does_not_count(tmp_path: Path) -> None:
    parts = [{"train": {"base": "run:handbook"}, "replace": "if_better"}, {"train": {"base": "run:handbook-2"}}]
    decide(tmp_path, "handbook-2", "handbook", False)
    assert rounds.decided(opened(tmp_path, parts)[1]) is not None
    kept = tmp_path / "runs" / "handbook-2" / "6-model"
    kept.mkdir()
    (kept / "record.json").write_text(json.dumps({"fingerprint": "retrained", "settings": {}, "inputs": {}, "seed": 1, "counts": {}}))
    found = opened(tmp_path, parts)
    assert rounds.decided(found[1]) is None and found[2].config.train.base == "run:handbook-2"


def test_the_parent_s_parent_where_two_in_a_row_were_not_better(tmp_path: Path) -> None:
    parts = [{"train": {"base": f"run:{b}"}, "replace": "if_better"} for b in ("handbook", "handbook-2", "handbook-3")]
    decide(tmp_path, "handbook-2", "handbook", False)
    decide(tmp_path, "handbook-3", "handbook", False)
    found = opened(tmp_path, parts)
    assert [run.config.train.base for run in found] == ["nano", "run:handbook", "run:handbook", "run:handbook"]
    assert [rounds.parent(run) for run in found[1:]] == ["handbook"] * 3


def test_the_parent_is_the_base_else_who_wrote_the_data_else_the_round_before(tmp_path: Path) -> None:
    parts = [
        {"synthesize": {"teacher": "run:handbook"}},
        {},
        {"synthesize": {**PREFERENCE, "student": "run:handbook-2"}, "train": {"base": "run:handbook-3"}},
    ]
    assert [rounds.parent(run) for run in opened(tmp_path, parts)[1:]] == ["handbook", "handbook-2", "handbook-3"]


def test_a_run_s_folder_knows_the_rounds_and_holds_its_own_config_alone(tmp_path: Path) -> None:
    first, second = opened(tmp_path, [{"train": {"rate": 0.5}}])
    for run in (first, second):
        write_config(run)
    again = open_run(tmp_path / "runs" / "handbook-2", None, [], print)
    assert (
        again.project.rounds == ("handbook", "handbook-2")
        and again.project.name == "handbook-2"
        and again.config == second.config.model_copy(update={"documents": again.config.documents})
    )
    assert open_run(tmp_path / "runs" / "handbook", None, [], print).config.rounds == []


def test_a_config_without_rounds_is_as_it_was(tmp_path: Path) -> None:
    found = project(tmp_path, [])
    assert found.rounds == () and [p.name for p in rounds.projects(found)] == ["handbook"]
