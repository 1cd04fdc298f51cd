"""Mistakes in train settings are said by `run`, `doctor` and `plan` before the first stage, and by the training itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from groundling import doctor, pipeline
from groundling.commands.plan import plan
from groundling.commands.rounding import Wanted, run_rounds
from groundling.errors import ConfigError, ModelError, UserError
from groundling.llm.weights import Weights
from groundling.runs import open_run
from groundling.train import checks, train
from groundling.train.checks import Base, base_of, check, mistakes
from groundling.train.model import why_not
from groundling.workspace import FOLDERS, Output

from .learning import options
from .test_tokens import example

SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "dropout": ({"objective": "classify", "format": "labels", "dropout": 0.1}, "train.dropout = 0.1: the objective classify compares likelihoods"),
    "head": ({"targets": ["q_proj", "lm_head"]}, "train.targets names lm_head"),
    "layer": ({"targets": ["q_prj"]}, 'has no layer "q_prj" for an adapter. Did you mean "q_proj"?'),
    "labels": ({"objective": "classify"}, "it needs train.format: labels, not raft"),
    "length": ({"max_length": 1025}, "reads 1024 tokens at most. Set it to that or less"),
    "fp16": ({"precision": "fp16"}, "train.precision = fp16 needs a GPU"),
    "room": ({"base": "large"}, "This training does not fit into the memory of this machine"),
    "size": ({"base": "large", "size": "laptop", "method": "full"}, "does not fit into train.size = laptop"),
    "kind": ({"base": "unknown"}, "of an architecture that the installed transformers does not know"),
    "template": ({"base": "silent"}, "has no chat template"),
    "counting": ({"base": "counting"}, "renders the prompt differently once an answer follows it"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of documents, and bases beside it of which one mistake each is known."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "docs").mkdir()
    (folder / "docs" / "leave.md").write_text("# Leave\n\nStaff have 25 days of leave.\n" * 3)
    for name in ("tiny", "large", "unknown", "silent", "counting"):
        shutil.copytree(tiny_model, folder / name)
    shape = json.loads((tiny_model / "config.json").read_text())
    (folder / "large" / "config.json").write_text(json.dumps(shape | {"hidden_size": 65536, "intermediate_size": 262144, "num_hidden_layers": 8}))
    (folder / "unknown" / "config.json").write_text(json.dumps(shape | {"model_type": "nonesuch"}))
    (folder / "silent" / "chat_template.jinja").unlink()
    template = folder / "counting" / "chat_template.jinja"
    template.write_text("{{ messages | length }}" + template.read_text())
    return folder


def configured(place: Path, tmp_path: Path, settings: dict[str, Any], **more: Any) -> Path:
    chosen = {"base": "tiny"} | settings
    data = {"name": "one", "documents": str(place / "docs"), "train": chosen | {"base": str(place / chosen["base"])}} | more
    if "objective" in settings and settings["objective"] in ("dpo", "smpo", "reward"):
        data["synthesize"] = {"recipe": "preference", "student": "run:first", "teacher": "nano"}
    file = tmp_path / "groundling.yaml"
    file.write_text(yaml.safe_dump(data))
    return file


@pytest.mark.parametrize("name", SETTINGS)
def test_run_doctor_and_plan_say_it_before_the_first_stage(name: str, place: Path, tmp_path: Path) -> None:
    settings, sentence = SETTINGS[name]
    made = {"synthesize": {"recipe": "classification", "options": {"data": "rows.csv"}}} if settings.get("format") == "labels" else {}
    (tmp_path / "rows.csv").write_text("text,label\nThe train is late,travel\nTwo weeks off,leave\n")
    file, root = configured(place, tmp_path, settings, **made), tmp_path / "one"
    for ask in (lambda run: pipeline.run_stages(run), lambda run: plan(run, 0, False)):
        with pytest.raises(UserError) as raised:
            ask(open_run(file, root, [], lambda text: None))
        assert sentence in str(raised.value)
        assert not any((root / folder).exists() for folder in FOLDERS.values())
    said = next(c for c in doctor.project(file) if c.what == "training")
    assert not said.ok and sentence in said.says


def test_the_training_itself_asks_the_same(tiny_model: Path, tmp_path: Path) -> None:
    out = Output(tmp_path)
    with pytest.raises(UserError, match="names lm_head"):
        train([example()], options(targets=["lm_head"]), Weights(str(tiny_model)), 1, out)
    out.abandon()


def test_a_run_only_up_to_curation_does_not_care(place: Path, tmp_path: Path) -> None:
    run = open_run(configured(place, tmp_path, SETTINGS["head"][0]), tmp_path / "one", [], lambda text: None)
    pipeline.run_stages(run, last="index")
    assert run.space.record("index")


def test_the_doctor_tells_all_mistakes_and_a_fine_config_has_none(place: Path, tmp_path: Path) -> None:
    wrong = options(targets=["lm_head"], max_length=5000, precision="fp16")
    base = base_of(Weights(str(place / "tiny")))
    assert [str(m).split(" ")[0].rstrip(":") for m in mistakes(wrong, base)] == ["train.precision", "train.targets", "train.max_length"]
    told = next(c for c in doctor.project(configured(place, tmp_path, {"targets": ["lm_head"], "precision": "fp16"})) if c.what == "training")
    assert "lm_head" in told.says and "fp16" in told.says
    good = next(c for c in doctor.project(configured(place, tmp_path, {})) if c.what == "training")
    assert good.ok and "reads 1024 tokens at most: longer examples are left out" in good.says


@pytest.mark.parametrize(("name", "value"), [("rank", 0), ("alpha", -1), ("dropout", 1), ("batch", 0), ("rate", 0)])
def test_numbers_that_cannot_be_are_refused_with_the_config(name: str, value: float, place: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"train.{name} = {value}"):
        open_run(configured(place, tmp_path, {name: value}), None, [], lambda text: None)


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"objective": "classify", "format": "labels"}, "the recipe raft makes none. Use classification"),
    ({"objective": "smpo"}, "train.objective smpo learns from preference pairs"),
])  # fmt: skip
def test_an_objective_that_the_recipe_s_examples_are_not_for(settings: dict[str, Any], sentence: str, place: Path, tmp_path: Path) -> None:
    data = yaml.safe_load(configured(place, tmp_path, settings).read_text()) | {"synthesize": {"recipe": "raft"}}
    (tmp_path / "groundling.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(ConfigError, match=sentence):
        pipeline.run_stages(open_run(tmp_path / "groundling.yaml", tmp_path / "one", [], lambda text: None))


def round_of(**train: Any) -> dict[str, Any]:
    """A round with pairs of the first run's examples."""
    return {"name": "two", "synthesize": {"recipe": "preference", "student": "run:one"}, "train": {"base": "run:one"} | train}


@pytest.mark.parametrize(("first", "rounds", "sentence"), [
    ({}, [round_of(objective="smpo", method="qlora")], "Round two: train.method = qlora starts from a whole model, but run:one is a base with an adapter"),
    ({}, [round_of(objective="dpo", targets=["q_prj"])], 'Round two: train.targets: run:one has no layer "q_prj"'),
    ({}, [round_of(objective="dpo", max_length=4096)], "Round two: train.max_length = 4096, but run:one reads 1024 tokens at most"),
    ({}, [round_of(objective="dpo", dropout=0.1)], "Round two: train.dropout = 0.1"),
    ({}, [round_of(objective="reward", format="two-turn")], "Round two: train.format two-turn answers in 2 turns"),
    (
        {}, [round_of(objective="reward"), round_of(objective="smpo") | {"name": "three", "train": {"objective": "smpo", "base": "run:two"}}],
        'Round three: "run:two" is a reward model: it scores and cannot write',
    ),
    (
        {}, [round_of(objective="reward"), round_of() | {"name": "three", "synthesize": {
            "recipe": "preference", "student": "run:one", "judge": "run:two", "options": {"scorer": "reward"}}, "train": {"objective": "smpo", "format": "ja"}}],
        "Round three: run:two learnt to score replies in the format raft/.*, and this run's are in ja/",
    ),
])  # fmt: skip
def test_a_mistake_of_a_later_round_is_said_before_the_first_begins(
    first: dict[str, Any], rounds: list[dict[str, Any]], sentence: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = configured(place, tmp_path, first, rounds=rounds)
    with pytest.raises(UserError, match=sentence):
        run_rounds(open_run(file, None, [], lambda text: None), Wanted())
    assert not (tmp_path / "runs" / "one").exists()
    told = next(c for c in doctor.project(file) if c.what == "rounds")
    assert not told.ok and told.says.startswith("Round ")


def test_four_bits_on_a_round_that_trains_in_full_are_fine(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from groundling.verify import every_round

    monkeypatch.chdir(tmp_path)
    file = configured(place, tmp_path, {"method": "full"}, rounds=[round_of(objective="smpo", method="qlora")])
    every_round(open_run(file, None, [], lambda text: None))
    file = configured(place, tmp_path, {"method": "lora"}, rounds=[round_of(objective="smpo", method="qlora")])
    with pytest.raises(UserError, match="qlora starts from a whole model"):
        every_round(open_run(file, None, [], lambda text: None))


def test_of_a_base_that_is_not_here_only_the_settings_are_looked_at() -> None:
    away = base_of(Weights("owner/nowhere"))
    check(options(targets=["anything"]), away)
    with pytest.raises(UserError, match="lm_head"):
        check(options(targets=["lm_head"]), away)
    check(options(targets=["anything"]), Base(None))


def refused_by_the_hub(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Take the hub's place: no base is there. Returns, for each base that is no folder, whether the look stayed on this machine."""
    from transformers import AutoConfig

    asked: list[bool] = []
    real = AutoConfig.from_pretrained

    def refuse(base: str, local_files_only: bool = False, **_: Any) -> Any:
        if Path(base).is_dir():
            return real(base)
        asked.append(local_files_only)
        raise OSError(f"{base} is not a local folder")

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", refuse)
    checks._network.cache_clear()
    return asked


def test_a_run_fetches_the_base_s_description_before_the_first_stage(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = refused_by_the_hub(monkeypatch)
    monkeypatch.chdir(tmp_path)
    file = configured(place, tmp_path, {})
    changed = ["train.base=owner/nowhere"]
    with pytest.raises(ModelError, match="The base model owner/nowhere could not be loaded"):
        pipeline.run_stages(open_run(file, tmp_path / "one", changed, lambda text: None))
    assert not any((tmp_path / "one" / folder).exists() for folder in FOLDERS.values())
    assert asked == [False]
    pipeline.run_stages(open_run(file, tmp_path / "one", changed, lambda text: None), "ingest", "curate")
    assert asked == [False], "a run that ends before the training needs no base"


def test_with_rounds_the_bases_of_all_of_them_are_asked_for_first(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_by_the_hub(monkeypatch)
    monkeypatch.chdir(tmp_path)
    file = configured(place, tmp_path, {}, rounds=[{"name": "second", "train": {"base": "owner/nowhere"}}])
    with pytest.raises(ModelError, match=r"Round second: The base model owner/nowhere could not be loaded"):
        run_rounds(open_run(file, None, [], lambda text: None), Wanted())
    assert not any((tmp_path / "runs").rglob("data.jsonl"))


def test_a_base_whose_terms_are_not_accepted_is_told_as_gated(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the texts that transformers 5 raises: of a file that is wanted, and of one that is only asked for."""
    wanted = "You are trying to access a gated repo.\nMake sure to have access to it at https://huggingface.co/owner/closed.\n401 Client Error."
    asked = "owner/closed is a gated repository. Make sure to request access at https://huggingface.co/owner/closed and pass a token."
    sentence = "The base model owner/closed is gated: accept its terms on the hub and log in with `hf auth login`, or name another train.base."
    assert {why_not("owner/closed", OSError(text)) for text in (wanted, asked)} == {sentence}
    assert why_not("owner/closed", OSError("owner/closed is not a local folder")).startswith("The base model owner/closed could not be loaded: ")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(wanted)

    monkeypatch.setattr("transformers.AutoConfig.from_pretrained", refuse)
    with pytest.raises(ModelError) as raised:
        checks._network("owner/closed", fetch=True)
    assert str(raised.value) == sentence
