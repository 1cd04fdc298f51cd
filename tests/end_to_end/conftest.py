"""A small real project: six documents, eight questions, a model trained in seconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENTS = {
    "leave.md": "# Leave\n\nStaff in Finland have 30 days of annual leave. Leave is requested at least 14 days before it starts. "
    "Kirsi Alanko approves every request.\n\n## Sick leave\n\nA doctor's note is needed after 3 days of absence.",
    "travel.md": "# Travel\n\nA hotel night may cost at most 140 EUR. Train tickets are booked in second class. "
    "The receipt must be handed in within 21 days. Per diem in Estonia is 45 EUR.",
    "scale.txt": "Katla 200 manual\n\nThe Katla 200 weighs 12 kg. Its battery lasts 18 months. The scale measures up to 900 kg. "
    "The warranty of the Katla 200 runs for 3 years.",
    "scale-250.txt": "Katla 250 manual\n\nThe Katla 250 weighs 15 kg. Its battery lasts 30 months. The scale measures up to 1400 kg. "
    "The warranty of the Katla 250 runs for 5 years.",
    "prices.md": "# Prices 2026\n\n| Product | Price | Delivery |\n|---|---|---|\n| Katla 200 | 480 EUR | 2 weeks |\n"
    "| Katla 250 | 690 EUR | 4 weeks |\n\nPrices are valid until 31 December 2026.",
    "office.html": "<html><head><title>Office</title></head><body><h1>Office</h1><p>The office opens at 07:30. The alarm is armed at 21:00. "
    "Guests register with Mirja Hallo in room 12. The garage has 24 places.</p></body></html>",
}
QUESTIONS = [
    ("How much annual leave do employees in Finland get?", "30 days", "leave.md", "Staff in Finland have 30 days of annual leave."),
    ("What may a hotel cost?", "140 EUR", "travel.md", "A hotel night may cost at most 140 EUR."),
    ("How heavy is the Katla 200?", "12 kg", "scale.txt", "The Katla 200 weighs 12 kg."),
    ("How long is the Katla 250 guaranteed?", "5 years", "scale-250.txt", "The warranty of the Katla 250 runs for 5 years."),
    ("When does the office open?", "07:30", "office.html", "The office opens at 07:30."),
    ("What is the delivery time of the Katla 250?", "4 weeks", "prices.md", "| Katla 250 | 690 EUR | 4 weeks |"),
    ("Who founded the company?", None, None, None),
    ("What colour is the Katla 200?", None, None, None),
]
CONFIG = """
version: 1
name: small
documents: documents
chunk: {size: 220, overlap: 30}
train: {epochs: 4, batch: 4, save_steps: 2, rank: 4}
evaluate: {k: [2], batch: 4, max_tokens: 24, prompt_trials: 3}
serve: {k: 2}
"""


def written(root: Path, config: str, questions: bool = True) -> Path:
    """A folder with a config, documents and, unless it is to have none, questions."""
    (root / "documents").mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (root / "documents" / name).write_text(text, "utf-8")
    lines = [
        {"id": f"q{n}", "question": q, "answers": [a] if a else [], "answerable": a is not None, "document": d, "passage": p}
        for n, (q, a, d, p) in enumerate(QUESTIONS)
    ]
    if questions:
        (root / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    (root / "groundling.yaml").write_text(config, "utf-8")
    return root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return written(tmp_path / "small project", CONFIG)


def start(*arguments: object, **options: object) -> subprocess.Popen:
    """groundling as a user starts it, as a process of its own."""
    command = [sys.executable, "-c", "from groundling.cli import main; main()", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options)


def groundling(*arguments: object) -> subprocess.CompletedProcess:
    """Run to the end; what was printed is in the result."""
    process = start(*arguments)
    out, err = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
