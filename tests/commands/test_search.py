"""The search over settings, with real trainings of a tiny model: what chooses, what is given up, what goes on, what is left."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from groundling import config, pipeline
from groundling.commands import search_ground, search_trials, searching
from groundling.commands.searching import Wanted, search_of
from groundling.errors import ConfigError, InputError, ModelError, StaleError
from groundling.runs import Run, open_run
from groundling.settings import sampling
from groundling.settings.trials import Book, Trial


def opened(root: Path, *settings: str) -> Run:
    return open_run(root, root / "runs" / "small", list(settings), lambda text: None)


def went(root: Path, *settings: str, **wanted: Any) -> list[Trial]:
    run = opened(root, *settings)
    search_of(run, Wanted(**wanted))
    return Book(run.space.search).read()


def shown(trials: list[Trial]) -> list[tuple[Any, ...]]:
    """All of a trial but the time it took."""
    return [(t.number, t.settings, t.state, t.losses, t.value) for t in trials]


@pytest.fixture(scope="module")
def whole(searchable: Path) -> list[Trial]:
    """A search from its beginning to its end, without a break."""
    return went(searchable)


def test_the_config_s_own_settings_come_first_then_others_and_the_lowest_loss_is_the_best(searchable: Path, whole: list[Trial]) -> None:
    assert [t.number for t in whole] == [1, 2, 3] and whole[0].given and whole[0].settings == {"train.rate": 0.001, "train.rank": 4}
    assert len({tuple(t.settings.values()) for t in whole}) == 3 and not any(t.given for t in whole[1:])
    finished = [t for t in whole if t.state == "complete"]
    assert len(finished) >= 2 and all(t.value == min(loss for _, loss in t.losses) and t.seconds > 0 for t in finished)
    assert len({t.value for t in finished}) == len(finished), "the settings really were trained with"
    steps = {tuple(step for step, _ in t.losses) for t in finished}
    assert len(steps) == 1 and len(steps.pop()) >= search_ground.MEASURES, "measured at the same steps"
    best = min(finished, key=lambda t: t.value)
    left = {int(p.parent.name) for p in (searchable / "runs" / "small" / "search").rglob("adapter_model.safetensors")}
    assert left == {best.number}, "the others' are deleted, and so are all checkpoints"
    assert not (searchable / "runs" / "small" / "6-model").exists(), "the run's own model is not made behind one's back"


def test_the_adapter_that_is_left_is_of_the_best_settings(searchable: Path, whole: list[Trial]) -> None:
    found = next((searchable / "runs" / "small" / "search").rglob("adapter_config.json"))
    best = min((t for t in whole if t.state == "complete"), key=lambda t: t.value)
    assert json.loads(found.read_text())["r"] == best.settings["train.rank"]


def test_a_search_that_was_ended_in_a_trial_goes_on_from_its_checkpoint_to_the_same_end(
    fresh: Path, whole: list[Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`search.minutes` are over when the first trial measures for the second time; its checkpoint of step 1 is there."""
    with monkeypatch.context() as clock:
        clock.setattr(search_trials, "seconds", lambda trials: 61.0 if any(not t.ended and len(t.losses) == 2 for t in trials) else 0.0)
        with pytest.raises(ModelError, match="ran out before a trial had ended"):
            went(fresh, "search.minutes=1")
    book = Book(fresh / "runs" / "small" / "search")
    (cut,) = book.read()
    assert not cut.ended and len(cut.losses) == 2
    assert (book.place(1) / "checkpoints" / "checkpoint-1" / "complete.json").is_file()
    done = went(fresh, "search.trials=1")
    assert done[0].begun == [1], "it began at its checkpoint; the start that was ended on purpose does not count"
    assert shown(done) == shown(whole[:1])


def test_what_is_done_stays_and_more_trials_go_on_until_none_is_left(searchable: Path, whole: list[Trial]) -> None:
    files = sorted((searchable / "runs" / "small" / "search").rglob("*"))
    before = {p: p.stat().st_mtime_ns for p in files}
    assert shown(went(searchable)) == shown(whole)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    more = went(searchable, "search.trials=9")
    assert shown(more[:3]) == shown(whole) and len(more) == 4, "four settings are all there are"


def begun(root: Path, *settings: str) -> tuple[search_ground.Ground, Book]:
    found = search_ground.ground(opened(root, *settings))
    return found, search_ground.opened(found, False)


def ended(number: int, value: float, steps: Any, **more: Any) -> Trial:
    settings = {"train.rate": 0.001 * number, "train.rank": 4}
    return Trial(number=number, settings=settings, state="complete", value=value, losses=[(step, value) for step in steps], **more)


def test_a_rate_that_diverges_is_given_up_at_its_first_measurement(fresh: Path, whole: list[Trial]) -> None:
    found, book = begun(fresh)
    finished = [t for t in whole if t.state == "complete"]
    wild = Trial(number=9, settings={"train.rate": 50.0, "train.rank": 4})
    pruned = search_trials.Attempt(found, book, wild, finished).run()
    assert pruned.state == "pruned" and len(pruned.losses) == 1 and pruned.value is None
    assert pruned.losses[0][1] > max(t.losses[0][1] for t in finished), "it is worse than each of those that were not given up"
    kept = search_ground.ground(opened(fresh, "search.prune=false"))
    other = search_trials.Attempt(kept, Book(fresh / "other"), wild, finished).run()
    assert len(other.losses) > 1, "it is the pruning that stopped it"


def test_a_trial_that_fails_has_its_reason_and_the_others_go_on(fresh: Path) -> None:
    wild = ["train.method=full", "search.space={train.rate: {choices: [1.0e+30, 0.001]}}"]
    with pytest.raises(ModelError, match=r"All 1 trials failed: .* not a number"):
        went(fresh, "train.rate=1.0e+30", "search.trials=1", *wild)
    found = went(fresh, "train.rate=1.0e+30", "search.trials=2", *wild)
    assert [t.state for t in found] == ["failed", "complete"] and "not a number by step" in found[0].reason and "kept in" not in found[0].reason


def test_a_trial_that_is_killed_again_and_again_at_one_place_has_failed(fresh: Path) -> None:
    found, book = begun(fresh)
    tired = Trial(number=1, settings={"train.rate": 0.001, "train.rank": 4}, begun=[0] * search_trials.STARTS)
    assert search_trials.Attempt(found, book, tired, []).run().state == "failed"
    assert "3 times at its beginning" in book.read()[0].reason


def test_what_the_evaluation_asks_does_not_choose(fresh: Path) -> None:
    """With a file of questions the held-out examples are asked nothing, and choose. Without one they will be asked: training documents choose."""
    free = search_ground.ground(opened(fresh))
    held = {r.id for r in opened(fresh).space.read("curate", free.kind) if r.split == "held_out"}
    assert held and {r.id for r in free.measured} == held and not free.aside and free.options.keep == "best"
    (fresh / "questions.jsonl").unlink()
    found, book = begun(fresh)
    assert found.aside and not {r.id for r in found.measured} & held and found.options.keep == "last"
    records = search_trials.Attempt(found, book, Trial(number=1, settings={}, given=True), [])._records()
    learnt = [r for r in records if r.split == "train"]
    assert learnt and {r.document for r in learnt} & found.aside == set() and not {r.id for r in records} & held
    assert {r.id for r in records if r.split == "held_out"} == {r.id for r in found.measured}
    other = search_ground.ground(opened(fresh, "search.validation=0.6"))
    assert len(other.aside) > len(found.aside) and {r.document for r in other.measured} == other.aside


def test_documents_are_carved_by_the_seed_whatever_their_order_and_never_all() -> None:
    names = [f"d{n}" for n in range(20)]
    assert search_ground.carved(names, 0.2, 1) == search_ground.carved(names[::-1], 0.2, 1) != search_ground.carved(names, 0.2, 2)
    assert len(search_ground.carved(names, 0.2, 1)) == 4 and len(search_ground.carved(names[:2], 0.9, 1)) == 1
    with pytest.raises(InputError, match="two training documents"):
        search_ground.carved(names[:1], 0.2, 1)


def test_a_trial_may_curate_otherwise_and_is_measured_on_the_same(fresh: Path) -> None:
    key = "curate.filters.length.answer_max"
    # Options written out, as the default is no number between the ends.
    settings = ["curate.filters=[cited, {length: {answer_max: 8000}}]", f"search.space={{{key}: [7, 8000]}}"]
    from groundling.pipeline import run_stages

    run_stages(opened(fresh, *settings), last="curate")
    found, book = begun(fresh, *settings)
    own, short = (
        search_trials.Attempt(found, book, Trial(number=n, settings={key: most}, given=n == 1), [])._records() for n, most in enumerate((8000, 7), 1)
    )
    sides = [[{r.id for r in records if r.split == side} for records in (own, short)] for side in ("held_out", "train")]
    assert sides[0][0] == sides[0][1] == {r.id for r in found.measured}
    assert sides[1][1] < sides[1][0] and sides[1][1]


def test_trials_under_other_conditions_are_refused_before_anything_is_lost(fresh: Path) -> None:
    _, book = begun(fresh)
    book.write(ended(1, 1.0, range(3), given=True))
    for setting in ("train.epochs=2", "seed=7", "search.space={train.rate: [0.001, 0.5]}", "search.prune=false"):
        with pytest.raises(StaleError, match="--redo"):
            begun(fresh, setting)
    for setting in ("train.rate=0.5", "search.trials=50", "search.minutes=9", "train.save_steps=3"):
        assert begun(fresh, setting)[1].read(), "what is searched, and how long, are no conditions"
    found = search_ground.ground(opened(fresh, "train.epochs=2"))
    assert search_ground.opened(found, True).read() == []


@pytest.fixture
def two(fresh: Path) -> Path:
    """Two trials that ended, the second the better: nothing is left to train."""
    _, book = begun(fresh)
    book.write(ended(1, 2.0, (1, 2), given=True))
    book.write(msgspec.structs.replace(ended(2, 1.0, (1, 2)), settings={"train.rate": 0.02, "train.rank": 2}))
    return fresh


def test_the_best_settings_are_told_and_nothing_is_changed_unasked(two: Path) -> None:
    text, said = (two / "groundling.yaml").read_text(), []
    run = opened(two, "search.trials=2")
    run.say = said.append
    search_of(run, Wanted())
    page = "\n".join(said)
    assert "Best: trial 2, held-out loss 1.0000; as configured 2.0000." in page and "train:\n  rate: 0.02\n  rank: 2" in page
    assert "--set 'train.rate=0.02' --set 'train.rank=2'" in page and "examples are few" in page
    assert (two / "groundling.yaml").read_text() == text


def test_apply_writes_them_into_the_config_with_its_comments(two: Path) -> None:
    went(two, "search.trials=2", apply=True)
    assert (two / "groundling.yaml").read_text().startswith("# ours\n")
    c = config.load(two).config
    assert (c.train.rate, c.train.rank, c.train.epochs) == (0.02, 2, 1)
    assert len(went(two, "search.trials=2")) == 2, "the search is not stale for it"
    with pytest.raises(ConfigError, match="is a run"):
        search_of(open_run(two / "runs" / "small", None, [], print), Wanted(apply=True))


def test_json_holds_the_whole_table(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    went(two, "search.trials=2", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["ended"] == "done" and found["best"] == 2 and found["config"] == {"train": {"rate": 0.02, "rank": 2}}
    assert [t["state"] for t in found["trials"]] == ["complete"] * 2 and found["trials"][0]["losses"] == [[1, 2.0], [2, 2.0]]
    assert found["validation"] == {"examples": 3, "documents": 1, "carved": False}


def test_the_report_shows_the_trials_and_which_of_them_its_model_has(two: Path) -> None:
    from groundling.evaluate.report import ReportData, render

    run = opened(two)
    assert "the searched settings of none of these trials" in searching.in_report(run)["words"]
    (run.space.folder("train")).mkdir()

    def trained(*settings: str, **inputs: str) -> str:
        one, stage = opened(two, "train.rate=0.02", "train.rank=2", *settings), pipeline.STAGES[pipeline.NAMES.index("train")]
        told = pipeline.sources_of(one, stage, {"curate": one.space.record("curate")["fingerprint"]}) | inputs
        record = {"fingerprint": "", "settings": pipeline.settings_of(one, stage), "inputs": told, "seed": 42, "counts": {}}
        (run.space.folder("train") / "record.json").write_text(json.dumps(record))
        return searching.in_report(run)["words"].split("made of. ")[1]

    assert trained("train.batch=2", curate="x") == (
        "The model of this report has the searched settings of trial 2, but was trained otherwise: train.batch: 4 -> 2; curate changed."
    )
    assert trained() == "The model of this report has all settings of trial 2."
    page = render(ReportData("small", [], [], [], {}, search=searching.in_report(run)))
    assert "Search over settings" in page and "has all settings of trial 2" in page and "2 (best)" in page and "1 (best)" not in page
    shutil.rmtree(run.space.search)
    assert searching.in_report(run) == {} and "Search over settings" not in render(ReportData("small", [], [], [], {}))


def test_plan_and_doctor_tell_of_it(two: Path) -> None:
    from groundling import doctor
    from groundling.commands import plan_text, plan_train
    from groundling.forecast import Interval

    left = plan_train._search(opened(two, "search.trials=5"), Interval(60.0, 50.0, 70.0))
    (_, line) = plan_text._train({"state": "done", "search": left})
    assert "3 min" in line and "5 trials, 2 done" in line
    found = {check.what: check for check in doctor.project(two)}
    assert found["search"].ok and found["search"].says == "3 trials over train.rank 2 | 4; train.rate 0.001 | 0.02"
    text = (two / "groundling.yaml").read_text()
    (two / "groundling.yaml").write_text(text.replace("train.rank", "train.rnk"))
    assert {check.what: check for check in doctor.project(two)}["search"].ok is False


def test_mistakes_are_told_before_anything_is_trained(fresh: Path) -> None:
    for settings, kind, words in (
        (["search.space={train.rte: [1, 2]}"], ConfigError, "train.rte"),
        (["train.eval_rows=0"], ConfigError, "eval_rows"),
        (["search.trial=3"], ConfigError, '"search.trial"'),
    ):
        with pytest.raises(kind, match=words):
            went(fresh, *settings)
    assert not (fresh / "runs" / "small" / "search").exists()


def test_without_optuna_a_sentence_says_what_to_install(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from groundling.errors import MachineError

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MachineError, match=r'pip install "groundling\[search\]"'):
        sampling.need_optuna()
