"""Each recipe as a small project: its documents and files, its config, and the metric that it is for. Sizes are for a few minutes on one core."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import world
import yaml

MESSAGES = Path(__file__).parents[2] / "examples" / "messages"
# What all have in common: one chunk a sheet, held out by document, a checkpoint that held-out rows have not chosen, one setting asked. The base's
# best of three prompts is chosen by the metric itself.
COMMON: dict[str, Any] = {
    "version": 1, "documents": "documents", "held_out": 0.3, "chunk": {"size": 500, "overlap": 0},
    "train": {"epochs": 3, "eval_rows": 0, "keep": "last"},
    "evaluate": {"without": False, "given": False, "k": [3], "max_tokens": 60, "prompt_trials": 20},
}  # fmt: skip
GIVEN = {"given": True, "k": []}


class Project(NamedTuple):
    """A recipe's project. `more` goes into the common config section by section; `files` writes what lies beside it.

    `setting` and `metric` are the cell of evaluate's table that is told; `pairs`, `held-out rows` and `five folds` are measured apart (see
    `measures.py`).
    """

    metric: str
    setting: str
    more: dict[str, dict[str, Any]]
    files: Callable[[Path, list[world.Sheet]], None] = lambda folder, made: None
    sheets: int = 90
    facts: int = 4  # of each sheet


def _asked(folder: Path, made: list[world.Sheet]) -> None:
    world.write_json(folder / "asked.json", world.asked(made))


def _questions(folder: Path, made: list[world.Sheet]) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in world.questions(made)]
    (folder / "training.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def _notes(folder: Path, made: list[world.Sheet]) -> None:
    world.write_json(folder / "seeds.json", world.notes(made))


PROJECTS: dict[str, Project] = {
    # Questions by the rules, among look-alike sheets.
    "raft": Project("correct", "k=3", {"synthesize": {"options": {"questions": 3, "distractors": 2}}}),
    # Questions in other words than the sheets', whose sentence is known, among look-alike sheets.
    "questions": Project(
        "correct", "k=3",
        {"synthesize": {"options": {"file": "training.jsonl", "distractors": 2}}},
        _questions, sheets=60,
    ),
    # Questions in other words than the sheets', with answers in whole sentences: what an instruction set teaches beside the facts.
    "rag_sft": Project(
        "f1", "given",
        {"synthesize": {"options": {"instructions": "asked.json", "k": 2}}, "train": {"epochs": 2}, "evaluate": GIVEN},
        _asked, sheets=60,
    ),
    # Which of the documents shown were used, in the two-turn form; some rows without those that answer. Short sheets, as three are shown, and more of
    # them than elsewhere: the ids come before any quote, and that choice is not learnt of 150 rows.
    "grounded": Project(
        "ids exactly right", "held-out rows",
        {
            "synthesize": {"teacher": "fake", "options": {"documents": 3, "dialogues": 3, "turns": 1, "contents": ["plain"], "untitled": 0}},
            "train": {"format": "two-turn", "epochs": 6},
            "evaluate": {"limit": 20, "metrics": ["f1", "citation_f1"]},
        },
        sheets=300, facts=2,
    ),
    # The backward model: which instruction would ask for this text?
    "backtranslation": Project(
        "rouge_l", "given",
        {
            "synthesize": {"options": {"make": "backward", "seeds": "seeds.json"}}, "curate": {"filters": ["cited"]},
            "train": {"format": "backward", "rank": 8, "alpha": 32, "targets": ["q_proj", "k_proj", "v_proj", "o_proj"], "epochs": 10},
            "evaluate": GIVEN,
        },
        _notes, sheets=160,
    ),
    # Questions of several kinds about one sheet, some of them over two facts.
    "qa": Project(
        "f1", "given",
        {
            "synthesize": {"teacher": "fake", "options": {"questions": 3, "multi_hop": 0, "kinds": {"fact": 1, "list": 1, "comparison": 1}}},
            "train": {"epochs": 4}, "evaluate": GIVEN,
        },
    ),
    # The answers of the agent's trajectories; the sheets that it found are the passages.
    "rest": Project(
        "correct", "k=3",
        {"synthesize": {"teacher": "fake", "options": {"count": 3, "samples": 2, "trajectories": 2, "searches": 4}}},
    ),
    # nano's own replies to the questions of raft: is the better one of two likelier after DPO?
    "preference": Project(
        "pair accuracy", "pairs",
        {
            "synthesize": {
                "student": "nano",
                "options": {"examples": "run:examples", "hypotheses": 4, "max_tokens": 60, "chosen": "reference", "rejected": "worst"},
            },
            "train": {"objective": "dpo", "epochs": 4, "rate": 3.0e-4}, "evaluate": {"limit": 20, "prompt_trials": 10},
        },
    ),
    # examples/messages with its own settings, each of its texts held out once (see `folds.py`).
    "classification": Project("accuracy", "five folds", {}),
}  # fmt: skip


def write(name: str, folder: Path, url: str) -> None:
    """The project in a folder of its own: documents, files, groundling.yaml. `url` is the fake teacher's."""
    project = PROJECTS[name]
    if name == "classification":
        shutil.copytree(MESSAGES, folder)
        return
    made = world.sheets(project.sheets, project.facts)
    world.write(folder / "documents", made)
    project.files(folder, made)
    config = copy.deepcopy(COMMON) | {"name": name, "models": {"fake": {"base_url": url, "model": "fake"}}}
    config["synthesize"] = {"recipe": name}
    for section, values in project.more.items():
        config[section] = config.get(section, {}) | values
    if project.setting not in ("pairs", "held-out rows"):
        config["evaluate"]["metrics"] = [project.metric]
    (folder / "groundling.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
