"""`pip install .` without extras: everything up to training works, and what does not says which extra to install."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXTRAS = (
    "torch", "transformers", "tokenizers", "safetensors", "huggingface_hub", "trl", "peft", "datasets", "accelerate", "fastapi", "uvicorn",
    "starlette", "pypdfium2", "sentence_transformers", "faiss", "optuna",
)  # fmt: skip
# None in sys.modules: importing it is refused, and looking for it finds nothing, as where it is not installed.
CODE = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS!r})); from groundling.cli import main; main()"


def bare(*arguments: object, folder: Path) -> subprocess.CompletedProcess:
    """groundling as the base install runs it."""
    command = [sys.executable, "-c", CODE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**os.environ, "COLUMNS": "120"}, timeout=120)


def says(told: subprocess.CompletedProcess, *words: str) -> bool:
    """Whether a refusal is one sentence with these words, and exit code 2."""
    return told.returncode == 2 and "Traceback" not in told.stderr and all(word in told.stderr for word in words)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for n, product in enumerate(("Katla 200", "Katla 250", "Puikko 10", "Harja 2")):
        text = f"# {product}\n\nThe {product} weighs {12 + n} kg. Its battery lasts {18 + n} months. The warranty runs for {3 + n} years."
        (tmp_path / "docs" / f"manual-{n}.md").write_text(text, "utf-8")
    return tmp_path


def test_documents_become_examples_without_any_extra(folder: Path) -> None:
    assert bare("--help", folder=folder).returncode == 0
    assert bare("init", "docs", folder=folder).returncode == 0
    done = bare("run", "docs", "--to", "curate", folder=folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "runs/docs/5-curated/record.json").is_file()
    told = bare("status", "docs", folder=folder)
    assert told.returncode == 0 and [line.split()[1] for line in told.stdout.splitlines()] == ["done"] * 5 + ["missing"] * 2
    for words in (["preview", "raft", "docs"], ["plan", "docs"], ["nano"], *(["list", kind] for kind in ("metrics", "objectives", "retrievers"))):
        told = bare(*words, folder=folder)
        assert told.returncode == 0, (words, told.stderr)


def test_training_names_its_extra_before_anything_is_asked_of_a_teacher(folder: Path) -> None:
    for words in (["run", "docs"], ["train", "docs"]):
        told = bare(*words, folder=folder)
        assert says(told, 'pip install "groundling[train]"', "torch"), told.stderr
        assert told.stdout == "" and not (folder / "runs/docs/1-documents").exists()
    assert "--to curate" in bare("run", "docs", folder=folder).stderr, "what works without it"


def test_a_search_names_its_extra_before_anything_is_made(folder: Path) -> None:
    assert says(bare("search", "docs", folder=folder), 'pip install "groundling[search]"', "optuna")
    assert not (folder / "runs").exists()


def test_a_model_or_a_server_names_its_extra(folder: Path) -> None:
    (folder / "questions.jsonl").write_text('{"id": "1", "question": "Who?", "answers": [], "answerable": false}\n')
    told = bare("evaluate", "nano", "--documents", "docs", "--questions", "questions.jsonl", folder=folder)
    assert says(told, "groundling[train]"), told.stderr
    assert says(bare("run", "docs", "--to", "curate", "--set", "synthesize.teacher=nano", folder=folder), "groundling[train]")


def test_doctor_says_what_is_missing_and_counts_the_pdf_extra_where_there_are_pdfs(folder: Path) -> None:
    def lines() -> dict[str, str]:
        told = bare("doctor", "docs", folder=folder)
        assert told.returncode == 2 and "Traceback" not in told.stderr
        return {line[4:].split(":")[0]: line for line in told.stdout.splitlines() if line.strip()}

    found = lines()
    assert all(f'pip install "groundling[{extra}]"' in found[f"extra [{extra}]"] for extra in ("train", "serve", "pdf", "dense", "search"))
    assert found["extra [pdf]"].startswith("- ") and found["documents"].startswith("ok")
    (folder / "docs" / "sheet.PDF").write_bytes(b"%PDF-1.4")
    assert lines()["extra [pdf]"].startswith("NO"), "the run would stop at the first of them"
    told = bare("run", "docs", "--to", "curate", folder=folder)
    assert says(told, 'pip install "groundling[pdf]"', "sheet.PDF")
