"""The search over settings with a stub in the place of training: what is refused first, what counts as a start, what a changed config does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from groundling import config, pipeline
from groundling.commands import search_ground, search_trials, searching
from groundling.commands.searching import Wanted, search_of
from groundling.config import Train
from groundling.errors import ConfigError, GroundlingError, InputError, MachineError, TooLarge
from groundling.llm.weights import Weights
from groundling.runs import open_run
from groundling.settings.space import parse_space
from groundling.settings.trials import Book, Trial
from groundling.train import dial
from tests.commands.test_search import begun, ended, opened, went

OWN = {"train.rate": 0.001, "train.rank": 4}
OTHER = {"train.rate": 0.02, "train.rank": 2}


def stub(monkeypatch: pytest.MonkeyPatch, error: GroundlingError) -> None:
    def train(*given: Any) -> None:
        raise error

    monkeypatch.setattr("groundling.train.train", train)


@pytest.mark.parametrize("error", [MachineError("The disk is full. Free some space."), ConfigError("Set it otherwise.")], ids=["disk", "setting"])
def test_what_would_stop_every_trial_is_no_start_of_this_one(fresh: Path, monkeypatch: pytest.MonkeyPatch, error: GroundlingError) -> None:
    found, book = begun(fresh)
    trial = Trial(number=1, settings=OWN, given=True)
    stub(monkeypatch, error)
    for _ in range(search_trials.STARTS + 2):
        with pytest.raises(type(error), match=str(error)):
            search_trials.Attempt(found, book, trial, []).run()
        (trial,) = book.read()
        assert trial.begun == [] and not trial.ended


def test_on_a_disk_that_takes_nothing_more_the_first_sentence_is_told(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, book = begun(fresh)

    def train(*given: Any) -> None:
        def full(trial: Trial) -> Trial:
            raise MachineError("trial.json could not be written.")

        book.write = full  # type: ignore[method-assign]
        raise MachineError("The checkpoint could not be written.")

    monkeypatch.setattr("groundling.train.train", train)
    with pytest.raises(MachineError, match="The checkpoint"):
        search_trials.Attempt(found, book, Trial(number=1, settings=OWN, given=True), []).run()


def test_where_a_size_has_no_room_for_the_settings_of_a_trial_that_trial_fails(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each start of the search would end at it, as it is no start of the trial."""
    found, book = begun(fresh)
    with monkeypatch.context() as small:
        small.setitem(dial.MACHINES, "laptop", dial.MACHINES["laptop"]._replace(room=1.0))
        with pytest.raises(TooLarge, match="does not fit into train.size = laptop") as told:
            dial.settle(Train(base=found.base.base, size="laptop"), found.base)
    stub(monkeypatch, told.value)
    assert search_trials.Attempt(found, book, Trial(number=1, settings=OWN), []).run().state == "failed"


def test_nothing_to_measure_on_is_told_before_anything_is_trained(fresh: Path) -> None:
    with pytest.raises(InputError, match=r"None of the 3 examples that would choose has 64 tokens or fewer \(train.max_length\)"):
        went(fresh, "train.max_length=64")
    assert not (fresh / "runs" / "small" / "search").exists()


def test_it_is_said_how_many_examples_choose_not_how_many_there_are(fresh: Path) -> None:
    found, book = begun(fresh, "train.eval_rows=1")
    assert len(found.measured) == 1 and (book.record() or {})["validation"]["examples"] == 1
    both = search_ground.ground(opened(fresh))
    assert len(both.measured) == 3 and found.measured[0] in both.measured
    lengths = [len(row.ids) for row in rows(both, both.measured)]
    assert len(set(lengths)) > 1, "else the next line holds nothing"
    short = search_ground.ground(opened(fresh, f"train.max_length={min(lengths)}"))
    assert [len(row.ids) for row in rows(short, short.measured)] == [min(lengths)] * lengths.count(min(lengths))


def rows(found: search_ground.Ground, records: Sequence[Any]) -> list[Any]:
    from groundling.train import Aside
    from groundling.train.tokens import rows_of

    return rows_of(records, found.base, found.options.model_copy(update={"max_length": 10_000}), Aside())  # type: ignore[arg-type]


def test_what_a_search_settled_at_its_beginning_holds_whatever_the_config_says_of_searched_values(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = ["search.space={train.epochs: [1, 9], train.rank: [2, 8]}", "train.size=laptop"]

    def settles(accumulate: int) -> Callable[[Train, Weights], tuple[Train, list[str]]]:
        return lambda options, base: (options.model_copy(update={"method": "lora", "accumulate": accumulate, "max_length": 512}), [])

    def both(options: Train) -> tuple[int, int]:
        return options.accumulate, options.eval_steps

    monkeypatch.setattr(dial, "settle", settles(2))
    first, book = begun(fresh, *space, "train.epochs=1")
    book.write(Trial(number=1, settings={"train.epochs": 1, "train.rank": 4}, given=True, state="complete", value=1.0))
    monkeypatch.setattr(dial, "settle", settles(3))
    anew = both(search_ground.ground(opened(fresh, *space, "train.epochs=9"), True).options)
    assert all(a != b for a, b in zip(anew, both(first.options), strict=True)), "else the next lines hold nothing"
    again, book = begun(fresh, *space, "train.epochs=9")
    assert both(again.options) == both(first.options) and again.options.max_length == 512 and again.options.epochs == 9
    assert len(book.read()) == 1, "and the search goes on"


@pytest.fixture
def first_best(fresh: Path) -> Path:
    """Two trials that ended, the first (the config's own) the better."""
    _, book = begun(fresh)
    book.write(ended(1, 1.0, (1, 2), given=True))
    book.write(msgspec.structs.replace(ended(2, 2.0, (1, 2)), settings=OTHER))
    return fresh


def said(root: Path, *settings: str, **wanted: Any) -> str:
    lines: list[str] = []
    run = opened(root, *settings)
    run.say = lines.append
    search_of(run, Wanted(**wanted))
    return "\n".join(lines)


def edit(root: Path, **train: Any) -> None:
    file = root / "groundling.yaml"
    data = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**data, "train": {**data["train"], **train}}))


def test_the_config_s_own_settings_are_those_that_it_has_now(first_best: Path) -> None:
    page = said(first_best, "search.trials=2")
    assert "The config's own settings did best" in page and "as configured 2" not in page
    edit(first_best, rate=0.02, rank=2)
    page = said(first_best, "search.trials=2")
    assert "Best: trial 1, held-out loss 1.0000; as configured 2.0000." in page and "--set 'train.rate=0.001' --set 'train.rank=4'" in page
    assert [line.endswith("as configured") for line in page.splitlines() if "complete" in line] == [False, True]
    run = opened(first_best)
    assert searching.told(run, Book(run.space.search).read(), "done")["config"] == {"train": {"rate": 0.001, "rank": 4}}
    assert "Written into" in said(first_best, "search.trials=2", apply=True)
    c = config.load(first_best).config
    assert (c.train.rate, c.train.rank) == (0.001, 4)
    assert "Written into" not in said(first_best, "search.trials=2", apply=True), "there is nothing to change any more"


def test_apply_looks_at_the_file_not_at_what_the_command_line_sets(first_best: Path) -> None:
    edit(first_best, rate=0.02)
    assert "Written into" in said(first_best, "search.trials=2", "train.rate=0.001", apply=True)
    assert config.load(first_best).config.train.rate == 0.001


def test_a_config_that_was_broken_since_the_search_began_is_told_with_the_lines_to_put_there(first_best: Path) -> None:
    run = opened(first_best)
    file = first_best / "groundling.yaml"
    file.write_text("train: [\n")
    with pytest.raises(ConfigError, match=r"(?s)not readable YAML.*left as it is.*rate: 0.02"):
        searching._apply(run, file, Trial(number=2, settings=OTHER))
    assert file.read_text() == "train: [\n"


def nothing_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_stages(*given: Any, **more: Any) -> None:
        raise AssertionError("a stage was run first")

    monkeypatch.setattr(pipeline, "run_stages", run_stages)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.devices=2", "A search trains in one process"),
        ("train.size=multi", "A search trains in one process"),
        ("search.space={train.optimizer: [adamw, adamw_8bit]}", "adamw_8bit needs bitsandbytes"),
        ("search.space={train.targets: {choices: [all-linear, [q_prj]]}}", 'no layer "q_prj"'),
        ("search.space={curate.filters: [[cited], [{length: {answer_mx: 9}}], [leaked]]}", '"answer_mx"'),
    ],
)
def test_what_every_trial_or_some_would_be_refused_for_is_told_before_anything_is_made(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, setting: str, words: str
) -> None:
    nothing_made(monkeypatch)
    monkeypatch.setattr("groundling.train.checks.find_spec", lambda name: None)
    with pytest.raises(GroundlingError, match=words):
        went(fresh, setting)


def test_a_value_that_only_has_no_room_is_not_refused_as_only_its_trial_fails(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []

    def full(*given: Any) -> str:
        looked.append(given)
        raise TooLarge("It does not fit.")

    monkeypatch.setattr("groundling.train.checks.refuse_too_large", full)
    run = opened(fresh)
    searching._verify(run, parse_space(run.config))
    assert looked, "the room was asked about"


def test_torchrun_is_refused_before_anything_is_made(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_made(monkeypatch)
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match="torchrun is for `groundling train` alone"):
        went(fresh)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(SystemExit):
        went(fresh)


@pytest.mark.parametrize("given", [{}, {"search": {"trials": 5}}], ids=["no section", "a section without a space"])
def test_a_run_folder_says_no_more_of_the_search_than_its_project(tmp_path: Path, given: dict[str, Any]) -> None:
    """With the default space written out, a search of the folder would refuse what it leaves out of a project's: a rank where all weights are trained."""
    from groundling.runs import write_config

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "groundling.yaml").write_text(yaml.safe_dump({"train": {"method": "full"}, **given}))
    write_config(open_run(tmp_path / "docs", tmp_path / "run", [], print))
    kept = open_run(tmp_path / "run", None, [], print).config
    assert ("search" in kept.model_fields_set) == bool(given) and kept.search.trials == (5 if given else 12)
    assert set(parse_space(kept)) == {"train.rate", "train.epochs"}


def test_what_is_to_be_typed_reads_back_in_a_shell() -> None:
    import shlex

    assert shlex.split(f"--set {searching._quoted('''curate.filters=[{best: {by: 'yes'}}]''')}") == ["--set", "curate.filters=[{best: {by: 'yes'}}]"]
