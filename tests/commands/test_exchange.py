"""`groundling import` and `groundling export` as a person runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from groundling.commands.importing import Wanted, bring
from groundling.errors import ConfigError, TooManyFailed


def groundling(folder: Path, *words: object) -> subprocess.CompletedProcess:
    code = "from groundling.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, cwd=folder)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """30 good records, one broken, one that cannot be held, over two files of two shapes."""
    pairs = [json.dumps({"ID": str(n), "text": f"Question {n}?", "output": f"Answer {n}."}) for n in range(20)]
    (tmp_path / "pairs.json").write_text("[\n" + ",\n".join([*pairs[:9], '{"ID": "x", "text": "a \\q", "output": "b"}', *pairs[9:]]) + "\n]\n")
    talks = [{"messages": [{"role": "user", "content": f"Q{n}"}, {"role": "assistant", "content": "A"}]} for n in range(10)]
    tool = {"messages": [{"role": "user", "content": "Q"}, {"role": "tool", "content": "T"}, {"role": "assistant", "content": "A"}]}
    (tmp_path / "talks.jsonl").write_text("".join(json.dumps(t) + "\n" for t in [*talks, tool]))
    return tmp_path


def test_bad_records_are_told_one_by_one_and_kept_with_their_reasons(data) -> None:
    told = groundling(data, "import", "pairs.json", "talks.jsonl", "--out", "in")
    assert told.returncode == 0, told.stderr
    assert "pairs.json, line 11: broken JSON: invalid \\escape" in told.stdout
    assert "in: 32 in = 30 kept + 1 dropped + 1 failed" in told.stdout and "dropped: calls a tool 1" in told.stdout
    assert len(rows(data / "in" / "data.jsonl")) == 30
    failed, dropped = rows(data / "in" / "failed.jsonl"), rows(data / "in" / "dropped.jsonl")
    assert failed[0]["what"]["line"] == 11 and '"ID": "x"' in failed[0]["what"]["record"] and failed[0]["reason"] == "broken JSON"
    assert dropped[0]["what"]["line"] == 11 and dropped[0]["reason"] == "calls a tool"
    record = json.loads((data / "in" / "import.json").read_bytes())
    assert record["notes"]["shapes"] == {"pairs": 20, "openai": 10} and record["counts"]["in"] == 32


def test_more_than_max_failed_stops_with_a_sentence_and_keeps_what_failed(data) -> None:
    told = groundling(data, "import", "pairs.json", "--out", "in", "--max-failed", "0.04")
    assert told.returncode == 2 and "Traceback" not in told.stderr
    assert "1 of 21 records failed, more than max_failed allows (4%): 1 × broken JSON" in told.stderr and "failed.jsonl" in told.stderr
    assert len(rows(data / "in" / "failed.jsonl")) == 1 and not (data / "in" / "data.jsonl").exists() and not (data / "in" / "import.json").exists()
    assert groundling(data, "import", "pairs.json", "--out", "in", "--max-failed", "0.05").returncode == 0, "and the same folder serves again"


def test_only_twenty_are_told_and_all_are_kept(tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "output": "b"}\n' + "{\n" * 50)
    told: list[str] = []
    with pytest.raises(TooManyFailed):
        bring(Wanted([tmp_path / "a.jsonl"], tmp_path / "in"), told.append)
    assert sum("broken JSON" in line for line in told) == 20 and "and 30 more" in told[-1]
    assert len(rows(tmp_path / "in" / "failed.jsonl")) == 50


def test_what_was_imported_can_be_exported(data) -> None:
    assert groundling(data, "import", "pairs.json", "--out", "in").returncode == 0
    told = groundling(data, "export", "in", "--to", "sharegpt", "--out", "out", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["rows"] == {"train": 20} and len(rows(data / "out" / "train.jsonl")) == 20
    assert "broken JSON 1" in (data / "out" / "README.md").read_text("utf-8")


def test_a_folder_with_other_things_is_left_alone(data) -> None:
    (data / "own").mkdir()
    (data / "own" / "data.jsonl").write_text("mine")
    with pytest.raises(ConfigError, match="holds other things already"):
        bring(Wanted([data / "pairs.json"], data / "own"), lambda text: None)
    assert (data / "own" / "data.jsonl").read_text() == "mine"


def test_mistakes_are_sentences(data) -> None:
    (data / "docs").mkdir()
    (data / "docs" / "a.md").write_text("# A\n\ntext")
    assert groundling(data, "import", "pairs.json", "--out", "in").returncode == 0
    for words, said in (
        (["export", "in", "--to", "shargpt", "--out", "o"], 'no export "shargpt". Did you mean "sharegpt"'),
        (["export", "in", "--to", "trl", "--format", "rafft", "--out", "o"], 'no format "rafft". Did you mean "raft"'),
        (["export", "docs", "--to", "jsonl", "--out", "o"], "holds no curated examples yet"),
        (["import", "nothing.json", "--out", "i"], "nothing.json is not a file"),
    ):
        told = groundling(data, *words)
        assert told.returncode == 2 and said in told.stderr and "Traceback" not in told.stderr, (words, told.stderr)
    assert not (data / "o").exists()
