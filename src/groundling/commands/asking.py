"""Asking a model outside a run: scores on any folder, and one answer."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .. import config, pipeline
from ..errors import ConfigError
from ..runs import Run, Say, open_run, tuned
from ..workspace import Workspace, write_atomic
from .running import score_table

if TYPE_CHECKING:
    from ..evaluate.run import Contestant
    from ..llm.base import Model
    from ..llm.journal import Journal


class Bare(NamedTuple):
    """A model, a folder and questions, without a project."""

    model: str
    documents: Path
    questions: Path
    k: str
    settings: list[str]


def evaluate_model(bare: Bare, json_out: Path | None, say: Say) -> None:
    """Score any model on any folder, in a temporary run. With `json_out`, its replies are kept beside that file: asked again, it goes on."""
    import tempfile

    from ..evaluate.cases import Books
    from ..evaluate.run import Plan, evaluate
    from ..llm.journal import Journal

    with tempfile.TemporaryDirectory() as folder:
        run = Run(config.load(bare.documents, _settings(bare)), Workspace(Path(folder)), say)
        pipeline.run_stages(run, "ingest", "index")
        journal = Journal(json_out.with_suffix(".journal.db") if json_out else run.space.journal)
        books = Books(documents=list(run.documents.values()), chunks=list(run.chunks.values()), search=run.search, seen=None)
        plan = Plan(
            options=run.config.evaluate, seed=run.config.seed, questions=run.questions, books=books, models=[_contestant(bare, run, journal)],
            progress=lambda label, done, total: say(f"  {done} of {total} answers") if done == total else None,
        )  # fmt: skip
        try:
            with run.space.writing("evaluate", "bare", {}, {}, run.config.seed) as out:
                asyncio.run(_scored(evaluate(plan, out), plan.models[0].model))
        finally:
            journal.close()
        scores = json.loads((run.space.folder("evaluate") / "scores.json").read_bytes())
        if json_out:
            write_atomic(json_out, json.dumps(scores, indent=1).encode())
            shutil.copy(run.space.data("evaluate"), json_out.with_suffix(".rows.jsonl"))
        say(score_table(scores))


async def _scored(work: Coroutine[None, None, object], model: Model) -> None:
    """Wait for the work, then for calls in flight, which are paid for; the connections of an endpoint are closed."""
    try:
        await work
    finally:
        if hasattr(model, "drain"):
            await model.drain()


def _settings(bare: Bare) -> list[str]:
    """The command line's wishes as settings. Raises ConfigError for a `--k` that is none."""
    wanted = [part.strip() for part in bare.k.split(",")]
    unknown = [w for w in wanted if not (w.isdigit() or w in ("given", "none"))]
    if unknown:
        raise ConfigError(f'--k {bare.k}: "{unknown[0]}" is neither a number, nor "given", nor "none".')
    ks = [int(w) for w in wanted if w.isdigit() and int(w)]
    return [
        *bare.settings, f"evaluate.questions={json.dumps(str(bare.questions.resolve()))}", f"evaluate.k={ks}",
        f"evaluate.without={str('0' in wanted or 'none' in wanted).lower()}", f"evaluate.given={str('given' in wanted).lower()}",
    ]  # fmt: skip


def _contestant(bare: Bare, run: Run, journal: Journal) -> Contestant:
    """A run's trained model in the format that it was taught; else a folder, a hub's model or an endpoint of the config, in the config's format."""
    from .. import grounding
    from ..evaluate.run import Contestant
    from ..llm.local import Local
    from ..llm.open import remembered

    model: Model
    if (Path(bare.model) / "run.json").is_file():
        other = open_run(Path(bare.model), None, [], run.say)
        model, taught = tuned(other), other.space.described()["format"]
    else:
        model, taught = Local(bare.model) if Path(bare.model).is_dir() else run.model(bare.model), run.config.train.format
    return Contestant(Path(bare.model).name, remembered(model, journal, run.config, run.say), grounding.FORMATS[taught])
