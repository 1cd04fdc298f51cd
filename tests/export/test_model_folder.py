"""The folder of an exported model: whole or not there, its card, what is refused, and the programs beside (llama.cpp, Ollama, a hub) at their edges."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from groundling.commands.delivering import Wanted, _facts, check
from groundling.commands.exchange import export as command
from groundling.errors import ConfigError, MachineError, ModelError
from groundling.export.whole import replacing
from groundling.runs import open_run

from .conftest import examples, write_run
from .go_template import go
from .model_world import card, exported


def test_a_kill_leaves_nothing_that_looks_whole_and_the_next_export_goes_on(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from groundling.export.whole import replacing\n"
        "with replacing(Path(sys.argv[1])) as new:\n    (new / 'model.safetensors').write_text('half')\n    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "out")], check=False).returncode == -9
    assert not (tmp_path / "out").exists() and [p.name for p in tmp_path.iterdir()] == [".out.new"]
    with replacing(tmp_path / "out") as new:
        assert list(new.iterdir()) == []
        (new / "export.json").write_text('{"files": []}')
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_a_sentence_and_the_earlier_export_stays(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported(made, "merged", out)
    before = sorted((p.name, p.stat().st_size) for p in out.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for target in ("merged", "adapter"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # the system refuses to write more, as it does on a full disk
        try:
            with pytest.raises(MachineError, match="Free some space or give another --out"):
                exported(made, target, out)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert sorted((p.name, p.stat().st_size) for p in out.iterdir()) == before and [p.name for p in tmp_path.iterdir()] == ["out"]
    with pytest.raises(MachineError, match=os.strerror(errno.ENOSPC)), replacing(out):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError), replacing(out):  # a fault of our own keeps its traceback
        raise FileNotFoundError(errno.ENOENT, "no")


def test_a_folder_with_other_things_is_left_alone(made: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds other files than an earlier export \(mine.txt\)"):
        exported(made, "merged", tmp_path / "model")
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["mine.txt"]


def test_runs_without_a_finished_model_and_wrong_words_are_sentences(mine: Path, tmp_path: Path) -> None:
    bare = write_run(tmp_path / "bare", examples())
    with pytest.raises(ModelError, match="holds no trained model yet"):
        exported(bare, "merged", tmp_path / "o")
    with (mine / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(MachineError, match=r"run is at work in .* Wait for it, or export a copy of it"):
            exported(mine, "merged", tmp_path / "o")
    (mine / "6-model" / "record.json").unlink()
    with pytest.raises(ModelError, match=r"was begun and is not done. The same command goes on: groundling train"):
        exported(mine, "merged", tmp_path / "o")
    for words, said in (
        ({"target": "mergd"}, 'There is no export "mergd". Did you mean "merged"'),
        ({"target": "merged", "format": "raft"}, "go with data"),
        ({"target": "jsonl", "precision": "bf16"}, "--precision goes with a model, and --to jsonl exports data"),
    ):
        with pytest.raises(ConfigError, match=said):
            command(mine, out=tmp_path / "o", **words)
    with pytest.raises(ConfigError, match="--split go with data"):
        check(Wanted("merged", tmp_path), "", "train")
    assert not (tmp_path / "o").exists()


def test_an_adapter_for_another_base_is_refused(mine: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = mine / "6-model" / "adapter_model.safetensors"
    narrow = {name: t[:, :16].contiguous() if "lora_A" in name else t for name, t in load_file(weights).items()}
    save_file(narrow, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"does not fit its base: .*made for a model of another shape"):
        exported(mine, "adapter", tmp_path / "o")
    told = mine / "6-model" / "groundling.json"
    told.write_text(json.dumps(json.loads(told.read_bytes()) | {"base_fingerprint": "0123456789abcdef"}))
    with pytest.raises(ModelError, match="was trained on other weights"):
        exported(mine, "merged", tmp_path / "o")
    with pytest.raises(ConfigError, match='no such precision. Did you mean "bf16"'):
        exported(trained_copy(mine), "merged", tmp_path / "o", precision="bf61")
    assert not (tmp_path / "o").exists()


def trained_copy(mine: Path) -> Path:
    """The run as it was before it was spoilt."""
    told = mine / "6-model" / "groundling.json"
    from groundling.llm.weights import identity

    base = json.loads(told.read_bytes())["base"]
    told.write_text(json.dumps(json.loads(told.read_bytes()) | {"base_fingerprint": identity(base)}))
    return mine


def scored(run: Path, of: str) -> None:
    """Scores of the model whose training has that fingerprint."""
    folder = run / "7-scores"
    folder.mkdir()
    score = {
        "model": "tuned",
        "setting": "k=3",
        "metric": "correct",
        "value": 0.25,
        "low": 0.125,
        "high": 0.5,
        "n": 16,
        "unscored": 1,
        "questions": "all",
    }
    (folder / "scores.json").write_text(json.dumps([score, score | {"model": "base", "value": 0.0625}, score | {"questions": "seen", "n": 3}]))
    record = {"stage": "evaluate", "fingerprint": "e", "settings": {}, "inputs": {"train": of}, "seed": 1, "counts": {"kept": 1}}
    (folder / "record.json").write_text(json.dumps(record | {"notes": {"headline": {"setting": "k=3"}}}))


def test_the_card_says_where_the_model_comes_from_and_what_it_is_worth(mine: Path, tmp_path: Path) -> None:
    scored(mine, "train of one")
    record = json.loads((mine / "6-model" / "record.json").read_bytes())
    (mine / "6-model" / "record.json").write_text(json.dumps(record | {"seconds": 7200}))
    exported(mine, "merged", tmp_path / "m", licence="apache-2.0", watts=100, carbon=50)
    text = card(tmp_path / "m")
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["license"] == "apache-2.0" and head["library_name"] == "transformers" and "groundling" in head["tags"] and "base_model" not in head
    for words in (
        "| one | ", "| sft | lora |", "From 2 documents", "9 examples by the recipe `raft`", "teacher `template`", "of which 7 were kept",
        "duplicates: asked before 2", "| k=3 | correct | 0.250 | 0.125 to 0.500 | 16 | 1 |", "rate: 0.05", "rank: 2", "`raft/1:930c2e66fe84c18c`",
        "Question: QUESTION", "check that each quote stands in its passage", "7,200 seconds on cpu", "Energy was not measured", "## Licence\n\napache-2.0",
        "At 100 W (stated by whoever exported) it is 0.2 kWh, and at 50 g of CO2 a kWh (stated by whoever exported) 10 g",
    ):  # fmt: skip
        assert words in text, words
    assert "0.062" not in text and "| 3 |" not in text, "neither the base's scores nor those of a part"
    assert "Staff have 25 days" not in text, "no document's text"
    shutil.rmtree(mine / "7-scores")
    scored(mine, "an earlier training")
    exported(mine, "merged", tmp_path / "m")
    text = card(tmp_path / "m")
    assert "None: those that are there were measured on an earlier model." in text and "0.250" not in text
    assert "(an assumption of groundling's)" in text and "--licence" in text


def test_a_teacher_that_is_a_folder_is_named_without_the_way_to_it(mine: Path, tmp_path: Path) -> None:
    for name, told in ((str(tmp_path / "teachers" / "big"), "big (a folder)"), ("owner/big", "owner/big"), ("template", "template")):
        run = open_run(mine, None, [f"synthesize.teacher={name}"], lambda text: None)
        assert _facts(run, run.space.record("train") or {}).teacher == told


def test_ollama_gets_the_weights_and_a_template_that_says_the_same(made: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    told = exported(made, "ollama", tmp_path / "o")
    assert told["verdict"]["state"] == "unverified" and "Ollama itself was not run" in told["verdict"]["says"]
    file = (tmp_path / "o" / "Modelfile").read_text("utf-8")
    template = file.partition('TEMPLATE """')[2].partition('"""')[0]
    talk = [{"role": "system", "content": "S"}, {"role": "user", "content": "How\nmany?"}]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "o")
    assert go(template, talk) == tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
    assert file.startswith("FROM .\n") and 'PARAMETER stop "<|end|>"' in file and "PARAMETER num_ctx 1024" in file


@pytest.mark.parametrize("target", ["ollama", "gguf"])
def test_nano_s_tokenizer_is_more_than_these_engines_can_do(mine: Path, tiny_model: Path, tmp_path: Path, target: str) -> None:
    shutil.copyfile(tiny_model / "tokenizer.json", mine / "6-model" / "tokenizer.json")
    with pytest.raises(ModelError, match=r"rewrites a text by patterns before it cuts it .*Use --to merged or vllm"):
        exported(mine, target, tmp_path / "o")
    assert not (tmp_path / "o").exists()
