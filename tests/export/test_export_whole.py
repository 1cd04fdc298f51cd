"""The data set as a whole: its card, its splits, what the real readers make of it, and that it comes back equal."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import msgspec
import pytest
import yaml

from groundling.commands.exporting import Wanted, export
from groundling.errors import ConfigError, InputError
from groundling.export import Order, Told, write
from groundling.imports import read
from groundling.records import Example, Passage

from .conftest import example, examples, pairs, write_run

TARGETS = ["jsonl", "parquet", "alpaca", "sharegpt", "openai", "trl", "raft", "llama-factory", "axolotl"]


def made(run: Path, target: str, out: Path, **wanted: str) -> Path:
    export(run, Wanted(target, out, **wanted), lambda text: None)
    return out


def loaded(folder: Path, tmp_path: Path):
    """What datasets.load_dataset makes of a folder, without a network and with a cache of its own."""
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf"))


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_our_own_rows_come_back_equal(kind, run, pair_run, tmp_path) -> None:
    for folder, records, splits in ((run, examples(), ["train", "held_out"]), (pair_run, pairs(), ["train", "held_out"])):
        out = made(folder, kind, tmp_path / f"of {folder.parent.name}")
        files = [out / f"{split}.{kind}" for split in splits if (out / f"{split}.{kind}").exists()]
        found = [r for f in files for r in read(f)]
        assert sorted(found, key=lambda r: r.id) == sorted(records, key=lambda r: r.id)


@pytest.mark.parametrize("target", TARGETS)
def test_datasets_loads_it_with_the_columns_of_the_card(target, run, tmp_path) -> None:
    """The first row has no oracle, no quote and no passage: types guessed from it would not fit the others."""
    found = loaded(made(run, target, tmp_path / "out"), tmp_path)
    assert set(found) == {"train", "held_out"} and found["held_out"].num_rows == 1
    assert found["train"].num_rows == (5 if target in ("alpaca", "raft") else 6)
    if target in ("jsonl", "parquet"):
        row = found["train"][2]
        assert row["passages"] == [msgspec.to_builtins(p) for p in examples()[2].passages] and row["oracle"] == 1
        assert found["train"][0]["oracle"] is None and found["train"][0]["quotes"] == []


def test_a_first_block_without_any_oracle_does_not_decide_the_types(tmp_path) -> None:
    """`datasets` guesses from the first megabytes. Without the columns in the card, the quote in the last row is an error."""
    rows = [
        example(str(n), f"Who is {n}?", "Nobody knows.", support="memory", passages=[Passage(id="x", title="", text="x" * 4000)]) for n in range(4000)
    ]
    rows.append(example("last", "Leave?", "25 days", ("Staff have 25 days of leave.", 0)))
    out = made(write_run(tmp_path / "r", rows), "jsonl", tmp_path / "out")
    assert (out / "train.jsonl").stat().st_size > 20e6
    assert loaded(out, tmp_path)["train"][-1]["quotes"] == [{"text": "Staff have 25 days of leave.", "passage": 0}]


def test_trl_knows_its_rows(run, pair_run, tmp_path) -> None:
    data_utils = pytest.importorskip("trl.data_utils")
    row = json.loads((made(run, "trl", tmp_path / "t") / "train.jsonl").read_text("utf-8").splitlines()[0])
    assert data_utils.is_conversational(row) and set(row) == {"prompt", "completion"}
    pair = json.loads((made(pair_run, "trl-preference", tmp_path / "p") / "train.jsonl").read_text("utf-8").splitlines()[0])
    assert data_utils.is_conversational(pair)
    assert data_utils.extract_prompt({k: pair["prompt"] + pair[k] for k in ("chosen", "rejected")}) == pair


def test_trl_trains_on_the_reply_of_a_row_alone(run, tmp_path, tiny_model) -> None:
    """Through the real tokenizer and template, as TRL's SFT trainer does it: the prompt's tokens are a prefix of the whole."""
    pytest.importorskip("trl")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for line in (made(run, "trl", tmp_path / "t") / "train.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        before = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=False)
        whole = tokenizer.apply_chat_template(row["prompt"] + row["completion"], return_dict=False)
        assert whole[: len(before)] == before and len(whole) > len(before)


def head(card: str) -> dict:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_card_says_what_is_in_it_and_where_it_comes_from(run, tmp_path) -> None:
    card = (made(run, "jsonl", tmp_path / "o", licence="cc-by-4.0") / "README.md").read_text("utf-8")
    top = head(card)
    assert top["license"] == "cc-by-4.0" and top["configs"][0]["data_files"] == [
        {"split": "train", "path": "train.jsonl"}, {"split": "held_out", "path": "held_out.jsonl"},
    ]  # fmt: skip
    assert top["dataset_info"]["splits"] == [{"name": "train", "num_examples": 6}, {"name": "held_out", "num_examples": 1}]
    for words in (
        "| 1.md: Title 1 | 6 |", "| 2.md: Title 2 | 1 |", "| train | cited | 4 |", "| train | abstain | 1 |", "| train | memory | 1 |",
        "duplicates: asked before 2", "no text 1", "No document has rows on both sides", "filters:\n  - cited", "seed was 42", "`template`", "raft/1:",
    ):  # fmt: skip
        assert words in card, words
    assert "text of the document" not in card


def test_a_licence_that_the_hub_does_not_know_or_that_nobody_stated(run, tmp_path) -> None:
    top = head((made(run, "jsonl", tmp_path / "a", licence="House licence 2") / "README.md").read_text("utf-8"))
    assert (top["license"], top["license_name"]) == ("other", "House licence 2")
    card = (made(run, "jsonl", tmp_path / "b") / "README.md").read_text("utf-8")
    assert head(card)["license"] == "unknown" and "--licence" in card


def test_a_document_on_both_sides_is_told(tmp_path) -> None:
    rows = [example("1", "A?", "Nobody knows."), example("2", "B?", "Nobody knows.", split="held_out")]
    card = (made(write_run(tmp_path / "r", rows), "jsonl", tmp_path / "o") / "README.md").read_text("utf-8")
    assert "1 documents have rows on BOTH sides" in card


def test_one_side_alone_and_what_was_left_out(run, tmp_path) -> None:
    told: list[str] = []
    export(run, Wanted("jsonl", tmp_path / "o", split="held_out"), told.append)
    assert not (tmp_path / "o" / "train.jsonl").exists() and "6 of train left out" in told[0]
    assert "Not exported: 6 rows of the split train." in (tmp_path / "o" / "README.md").read_text("utf-8")
    with pytest.raises(ConfigError, match='"train" or "held_out"'):
        made(run, "jsonl", tmp_path / "p", split="test")
    only = write_run(tmp_path / "r", [example("1", "A?", "Nobody knows.")])
    with pytest.raises(InputError, match=r"nothing to export of --split held_out: there is 1 of train"):
        made(only, "jsonl", tmp_path / "q", split="held_out")
    assert not (tmp_path / "q").exists()


def test_an_earlier_export_is_replaced_and_anything_else_left_alone(run, tmp_path) -> None:
    out = made(run, "axolotl", tmp_path / "o")
    made(run, "jsonl", out)
    assert not (out / "config.yaml").exists() and (out / "train.jsonl").is_file()
    (out / "model").mkdir()
    with pytest.raises(ConfigError, match=r"holds other files than an earlier export \(model\)"):
        made(run, "jsonl", out)
    assert (out / "model").is_dir() and (out / "train.jsonl").is_file()


def test_a_failure_half_way_leaves_nothing_and_keeps_the_earlier_export(run, tmp_path) -> None:
    out = made(run, "jsonl", tmp_path / "o")
    before = (out / "train.jsonl").read_bytes()
    data = run / "5-curated" / "data.jsonl"
    data.write_bytes(data.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"data\.jsonl, line 7"):
        made(run, "jsonl", out)
    assert (out / "train.jsonl").read_bytes() == before and sorted(p.name for p in tmp_path.iterdir() if "new" in p.name) == []


@pytest.mark.parametrize("target", ["jsonl", "parquet"])
def test_rows_are_not_held_in_memory(target, tmp_path) -> None:
    """20,000 rows of 5 kB, made as they are read: 100 MB go through."""
    order = Order(target, tmp_path / "o", "raft", "big", Example)
    passages = [Passage(id="p", title="t", text="word " * 500)]
    rows = (example(str(n), f"Question {n}?", "Nobody knows.", passages=passages) for n in range(20_000))
    tracemalloc.start()
    try:
        assert write(order, rows, lambda counts: Told({}, {}))["rows"] == {"train": 20_000}
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()


def test_without_pyarrow_only_parquet_is_missing_and_says_which_extra(run, tmp_path) -> None:
    code = "import sys; sys.modules.update(pyarrow=None, datasets=None, pandas=None); from groundling.cli import main; main()"

    def bare(*words: object) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, cwd=tmp_path)

    for target in ("jsonl", "openai", "raft"):
        assert bare("export", run, "--to", target, "--out", target).returncode == 0
    assert bare("import", "jsonl/train.jsonl", "--out", "in").returncode == 0
    told = bare("export", run, "--to", "parquet", "--out", "p")
    assert told.returncode == 2 and "groundling[train]" in told.stderr and "Traceback" not in told.stderr and not (tmp_path / "p").exists()
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    told = bare("import", "x.parquet", "--out", "q")
    assert told.returncode == 2 and "groundling[train]" in told.stderr and "Traceback" not in told.stderr
