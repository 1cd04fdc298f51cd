"""A small project whose teacher is the fake one, on a port of its own; and one that is curated, for the search over settings."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from groundling.llm import fake
from groundling.runs import open_run
from tests.end_to_end.conftest import DOCUMENTS, QUESTIONS

SPACE = {"train.rate": {"choices": [0.001, 0.02]}, "train.rank": {"choices": [2, 4]}}
PLACES = "Turku Oulu Espoo Vantaa Lahti Kuopio Pori Kotka Rauma Salo Loimaa Imatra Raahe Lohja Kemi Tornio".split()
SENTENCES = (
    "The scale of {p} weighs {n} kg in all. Its battery in {p} lasts {n} months in normal use. Repairs in {p} are done within {n} working days. "
    "The warranty of the scale costs 1{n} EUR in {p}. A hotel night in {p} may cost at most 1{n} EUR."
)


class Teacher:
    """The fake teacher as the tests see it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/stats", timeout=60) as answer:
            return json.loads(answer.read())

    def batches(self) -> int:
        with urllib.request.urlopen(f"{self.url}/batches", timeout=60) as answer:
            return len(json.loads(answer.read())["data"])

    def reset(self) -> None:
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/reset", method="POST"), timeout=60).close()


@pytest.fixture(scope="session")
def served() -> Iterator[Teacher]:
    with fake.running("--latency", "0.02") as url:
        yield Teacher(url)


@pytest.fixture
def teacher(served: Teacher) -> Teacher:
    """The session's fake teacher with its counts at zero."""
    served.reset()
    return served


def project(folder: Path, url: str, more: str = "", prices: str = "price_in: 2, price_out: 8") -> Path:
    """A folder of 16 short documents, 32 chunks, and a config with the fake teacher."""
    docs = folder / "docs"
    docs.mkdir(parents=True)
    for n, place in enumerate(PLACES):
        (docs / f"{place}.md").write_text(f"# {place}\n\n" + "\n\n".join(SENTENCES.format(p=place, n=11 + 3 * n + k) for k in (0, 40)))
    config = f"name: scales\nchunk: {{size: 330, overlap: 0}}\nmodels:\n  t: {{base_url: '{url}', model: fake, max_parallel: 64, {prices}}}\n"
    (docs / "groundling.yaml").write_text(f"{config}synthesize: {{teacher: t}}\n{more}")
    return docs


@pytest.fixture
def docs(tmp_path: Path, teacher: Teacher) -> Path:
    return project(tmp_path, teacher.url)


@pytest.fixture(scope="session")
def searchable(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A project with documents and questions, and a run that is curated: what every test of the search begins from."""
    root = tmp_path_factory.mktemp("search") / "small"
    (root / "documents").mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (root / "documents" / name).write_text(text, "utf-8")
    lines = [{"id": f"q{n}", "question": q, "answers": [a] if a else [], "answerable": a is not None} for n, (q, a, _, _) in enumerate(QUESTIONS)]
    (root / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    settings = {
        "name": "small", "documents": "documents", "chunk": {"size": 220, "overlap": 30}, "search": {"trials": 3, "space": SPACE},
        "train": {"base": str(tiny_model), "epochs": 1, "batch": 4, "rank": 4, "rate": 0.001, "save_steps": 100, "warmup": 0},
    }  # fmt: skip
    (root / "groundling.yaml").write_text("# ours\n" + yaml.safe_dump(settings), "utf-8")
    from groundling.pipeline import run_stages

    run_stages(open_run(root, root / "runs" / "small", [], lambda text: None), last="curate")
    return root


@pytest.fixture
def fresh(searchable: Path, tmp_path: Path) -> Path:
    """The same for a test of its own, without any trial."""
    root = tmp_path / "small"
    shutil.copytree(searchable, root, ignore=shutil.ignore_patterns("search"))
    return root
