"""Asking a model outside a run: scores on any folder, and one answer."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import NamedTuple

from .. import config, pipeline
from ..errors import ConfigError
from ..runs import Run, Say, open_run, service, tuned
from ..workspace import Workspace, write_atomic
from .running import score_table


class Bare(NamedTuple):
    """A model, a folder and questions, without a project."""

    model: str
    documents: Path
    questions: Path
    k: str
    settings: list[str]


def evaluate_model(bare: Bare, json_out: Path | None, say: Say) -> None:
    """Score any model on any folder, in a temporary run."""
    import tempfile

    from .. import grounding
    from ..evaluate.cases import Books
    from ..evaluate.run import Contestant, Plan, evaluate
    from ..llm.local import Local
    from ..llm.open import resolve

    wanted = [part.strip() for part in bare.k.split(",")]
    unknown = [w for w in wanted if not (w.isdigit() or w in ("given", "none"))]
    if unknown:
        raise ConfigError(f'--k {bare.k}: "{unknown[0]}" is neither a number, nor "given", nor "none".')
    ks = [int(w) for w in wanted if w.isdigit() and int(w)]
    settings = [
        *bare.settings, f"evaluate.questions={json.dumps(str(bare.questions.resolve()))}", f"evaluate.k={ks}",
        f"evaluate.without={str('0' in wanted or 'none' in wanted).lower()}", f"evaluate.given={str('given' in wanted).lower()}",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config.load(bare.documents, settings), Workspace(Path(folder)), say)
        pipeline.run_stages(run, "ingest", "index")
        if (Path(bare.model) / "run.json").is_file():
            other = open_run(Path(bare.model), None, [], say)
            model, taught = tuned(other), other.space.described()["format"]
        else:
            model, taught = Local(resolve(bare.model), name=bare.model), run.config.train.format
        books = Books(documents=list(run.documents.values()), chunks=list(run.chunks.values()), search=run.search, seen=None)
        plan = Plan(
            options=run.config.evaluate, seed=run.config.seed, questions=run.questions, books=books,
            models=[Contestant(Path(bare.model).name, model, grounding.FORMATS[taught])],
        )  # fmt: skip
        with run.space.writing("evaluate", "bare", {}, {}, run.config.seed) as out:
            asyncio.run(evaluate(plan, out))
        scores = json.loads((run.space.folder("evaluate") / "scores.json").read_bytes())
        if json_out:
            write_atomic(json_out, json.dumps(scores, indent=1).encode())
            shutil.copy(run.space.data("evaluate"), json_out.with_suffix(".rows.jsonl"))
        say(score_table(scores))


def predict(run: Run, text: str, as_json: bool) -> None:
    """One answer with its sources."""
    from rich.console import Console

    from ..serve.chat import show
    from ..serve.service import ask

    told = asyncio.run(ask(service(run), text))
    if as_json:
        import msgspec

        run.say(msgspec.json.encode({"answer": told.answer, "sources": told.sources}).decode())
        return
    show(told.answer, told.sources, Console(), told.finish)
