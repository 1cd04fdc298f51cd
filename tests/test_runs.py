"""What is asked of a finished run is its own model, on its own base."""

import re
from pathlib import Path

import pytest

from groundling import grounding, pipeline
from groundling.errors import ConfigError, ModelError
from groundling.llm.weights import weights_fingerprint
from groundling.runs import Run, open_run, tuned
from groundling.told import thin
from groundling.train import template_hash
from groundling.workspace import Workspace, write_json


@pytest.fixture
def run(tmp_path: Path, tiny_model: Path) -> Run:
    """A run whose groundling.json fits: the tiny model stands for base and adapter."""
    (tmp_path / "documents").mkdir()
    found = open_run(tmp_path / "documents", tmp_path / "run", [f"train.base={tiny_model}"], print)
    folder = Workspace(tmp_path / "run").folder("train")
    folder.mkdir(parents=True)
    for file in ("chat_template.jinja", "tokenizer.json", "tokenizer_config.json"):
        (folder / file).write_bytes((tiny_model / file).read_bytes())
    describe(found, tiny_model)
    return found


def describe(run: Run, base: Path, **changes: str) -> None:
    told = {
        "format": "raft",
        "format_fingerprint": grounding.fingerprint("raft"),
        "template_hash": template_hash(run.space.folder("train")),
        "base": str(base),
        "base_fingerprint": weights_fingerprint(base),
    }
    write_json(run.space.folder("train") / "groundling.json", told | changes)


def test_a_model_whose_base_and_format_are_as_they_were_is_opened(run: Run) -> None:
    assert tuned(run).name == "tuned"


def test_an_adapter_on_other_base_weights_is_refused(run: Run, tiny_model: Path) -> None:
    describe(run, tiny_model, base_fingerprint="0" * 16)
    with pytest.raises(ModelError, match="other weights"):
        tuned(run)


@pytest.mark.parametrize("changed", ["format_fingerprint", "template_hash"])
def test_a_model_that_was_taught_another_prompt_is_refused(run: Run, tiny_model: Path, changed: str) -> None:
    describe(run, tiny_model, **{changed: "raft/0:something-else"})
    with pytest.raises(ModelError, match="was taught the prompt format"):
        tuned(run)


@pytest.mark.parametrize(("count", "held"), [(1, 0), (2, 1), (3, 1)])
def test_of_two_documents_or_more_each_side_has_one(run: Run, count: int, held: int) -> None:
    for seed in range(20):
        one = Run(run.project.model_copy(update={"config": run.config.model_copy(update={"seed": seed})}), run.space)
        one.__dict__["documents"] = {f"d{n}": None for n in range(count)}
        assert held <= len(one.held_out) < max(count, 2)


def drawn(run: Run, count: int, **settings: object) -> Run:
    """The same run with so many documents."""
    one = Run(run.project.model_copy(update={"config": run.config.model_copy(update=settings)}), run.space)
    one.__dict__["documents"] = {f"d{n}": None for n in range(count)}
    return one


def test_a_small_folder_of_which_too_few_are_held_out_is_told_with_what_would_hold_out_more(run: Run) -> None:
    told = 0
    for seed in range(40):
        one = drawn(run, 12, seed=seed)
        lines, held = thin(one), len(one.held_out)
        assert bool(lines) == (held < 2)  # 0.2 of 12 is 2
        if lines:
            told += 1
            share, would = re.search(r"held_out=([\d.]+) holds out (\d+)\.", lines[0]).groups()
            assert lines[0].startswith("  NOTE: 1 of 12 documents is held out, where the share held_out = 0.2 would be 2: ")
            assert len(drawn(run, 12, seed=seed, held_out=float(share)).held_out) == int(would) >= 2
    assert told > 5
    assert not any(thin(drawn(run, 1000, seed=seed)) for seed in range(10)), "of many, chance leaves enough"
    assert not thin(drawn(run, 0)) and not thin(drawn(run, 12, held_out=0.0))


def test_a_run_cannot_start_from_the_model_that_it_would_throw_away(tmp_path: Path, tiny_model: Path) -> None:
    """`--redo train` on the base of itself: what it would start from is what it would delete."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.txt").write_text("The fee of the Katla is 12 euros. The lid of the Katla weighs 3 kg, and it is made of oak.")
    (tmp_path / "documents" / "b.txt").write_text("The deposit of the Suvi is 30 euros. Repairs of the Suvi take 14 days in the workshop.")
    pipeline.run_stages(open_run(tmp_path / "documents", tmp_path / "runs" / "one", [f"train.base={tiny_model}"], lambda text: None), last="curate")
    again = open_run(tmp_path / "documents", tmp_path / "runs" / "one", ["train.base=run:one"], lambda text: None)
    kept = again.space.folder("train")
    kept.mkdir()
    (kept / "adapter_model.safetensors").write_bytes(b"hours of work")
    describe(again, tiny_model)
    record = {"fingerprint": "x", "settings": {}, "inputs": {}, "seed": 42, "counts": {"in": 1, "kept": 1, "dropped": {}, "failed": {}}}
    write_json(kept / "record.json", record | {"notes": {}})
    with pytest.raises(ConfigError, match="that is this run itself"):
        pipeline.run_stages(again, last="train", redo=["train"])
    assert (kept / "adapter_model.safetensors").read_bytes() == b"hours of work"
