"""The arguments of `agent`; what it does stands in `walking`, which loads only when it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def agent(
    path: Annotated[Path, typer.Argument(help="a run folder, or its project")],
    question: Annotated[str, typer.Option("--question", help="ask this, and show every step")] = "",
    questions: Annotated[Optional[Path], typer.Option("--questions", help="a .jsonl file of questions with answers: auto-evaluate")] = None,  # noqa: UP045
    model: Annotated[str, typer.Option("--model", help="who searches: a name under models, a folder, run:NAME; else the run's own model")] = "",
    judge: Annotated[str, typer.Option("--judge", help="who says whether an answer implies its reference; else synthesize's judge or teacher")] = "",
    repeat: Annotated[int, typer.Option("--repeat", min=1, help="how often all questions are asked and judged")] = 10,
    samples: Annotated[Optional[int], typer.Option("--samples", min=1, help="of each step; 1 is cheap")] = None,  # noqa: UP045
    trajectories: Annotated[Optional[Path], typer.Option("--trajectories", help="write every trajectory here, one a line")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Ask a search agent: one question, step by step; or a file of them, judged ten times over, with mean and deviation."""
    from .walking import Wanted, walk

    walk(path, Wanted(question, questions, model, judge, repeat, samples, trajectories, as_json), _say)


def _say(text: str) -> None:
    print(text, flush=True)
