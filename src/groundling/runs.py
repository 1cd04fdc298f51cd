"""One run of a project: its folder, the values that its stages leave, its trained model, and what asks it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from . import config, grounding
from .config import Config, Project
from .errors import BudgetError, ConfigError, InputError, ModelError
from .panel import Watch, unwatched
from .records import Chunk, Document, Question, Split
from .seeds import digest, rng
from .workspace import Workspace, read_lines, write_atomic, write_json

if TYPE_CHECKING:
    import numpy

    from .answer import Search
    from .curate import Context
    from .llm.base import Model
    from .llm.journal import Journal
    from .llm.local import Local
    from .serve.service import Service

Say = Callable[[str], None]


@dataclass
class Run:
    """One run of a project in its folder. Values that several stages need are read once, when first asked for."""

    project: Project
    space: Workspace
    say: Say = field(default=lambda text: None)
    watch: Watch = unwatched

    @property
    def config(self) -> Config:
        return self.project.config

    @cached_property
    def documents(self) -> dict[str, Document]:
        return {d.id: d for d in self.space.read("ingest", Document)}

    @cached_property
    def chunks(self) -> dict[str, Chunk]:
        return {c.id: c for c in self.space.read("chunk", Chunk)}

    @property
    def index_options(self) -> config.Index:
        return index_options(self.project)

    @cached_property
    def search(self) -> Search:
        from .index import open_index

        return open_index(list(self.chunks.values()), self.index_options, self.space.folder("index"))

    @cached_property
    def questions(self) -> list[Question]:
        """The evaluation's questions: the file's, else none (they are made of held-out examples then)."""
        path = self.project.questions
        if path is None:
            return []
        found = list(read_lines(path, Question))
        if not found:
            raise InputError(f"{path} holds no question. Write one JSON object a line, or remove the file.")
        return found

    def base(self) -> str:
        from .llm.open import resolve

        return resolve(self.config.train.base, self.project.base)

    @cached_property
    def held_out(self) -> frozenset[str]:
        """The documents that are never trained on, chosen by the hash of their ids.

        Whether one is does not depend on the others, but for this: of two or more, at least one is on each side.
        """
        rank = {d: rng(self.config.seed, "split", d).random() for d in self.documents}
        found = {d for d, r in rank.items() if r < self.config.held_out}
        if len(rank) > 1 and self.config.held_out > 0:
            found = found or {min(rank, key=rank.__getitem__)}
            found -= {max(rank, key=rank.__getitem__)} if len(found) == len(rank) else set()
        return frozenset(found)

    def split_of(self, document: str) -> Split:
        """The side of the split that a document is on."""
        return "held_out" if document in self.held_out else "train"


def index_options(project: Project) -> config.Index:
    """The index section with the place of its model: relative paths start from the config. Raises ModelError where there is none."""
    from .llm.open import resolve

    options = project.config.index
    if not options.model:
        return options
    try:
        return options.model_copy(update={"model": resolve(options.model, project.base)})
    except ModelError:
        raise ModelError(
            f"index.model = {options.model!r} is no folder. Name the folder of an embedding model, or one of a hub as owner/model."
        ) from None


def open_run(path: Path, out: Path | None, settings: list[str], say: Say) -> Run:
    """The run of a project, or of a run folder (its own config is read then). Raises ConfigError."""
    if out is not None and out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file. Give a folder for the run.")
    kept = path / "config.yaml"
    if not (path.is_dir() and kept.is_file() and (path / "run.json").is_file()):
        project = config.load(path, settings)
        return Run(project, Workspace(out or Path("runs") / project.name), say)
    try:
        base = Path(json.loads((path / "run.json").read_bytes())["base"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path / 'run.json'} is damaged. Run groundling on the project again with --out {path}: it is written anew.") from error
    parsed = config.parse(config.override(yaml.safe_load(kept.read_text("utf-8")), settings), str(kept))
    project = Project(config=parsed, name=parsed.name, base=base, documents=Path(parsed.documents), file=kept)
    return Run(project, Workspace(out or path), say)


def tuned(run: Run) -> Local:
    """The trained model of a run. Raises ModelError where it is missing, or was taught another format than this version renders."""
    from .llm.local import Local, identity
    from .llm.open import resolve
    from .train import template_hash

    folder = run.space.folder("train")
    described = run.space.described()
    if described is None:
        raise ModelError(f"{run.space.root} holds no trained model yet. Run `groundling run` on its project first.")
    now = grounding.fingerprint(described["format"])
    if described["format_fingerprint"] != now or described["template_hash"] != template_hash(folder):
        raise ModelError(
            f"The model in {folder} was taught the prompt format {described['format_fingerprint']}, but this version renders {now} "
            "(or its chat template was edited). Its answers would be worse without a word. Train it again, or use the version that made it."
        )
    base = resolve(described["base"], run.project.base)
    found = identity(base)
    if found != described["base_fingerprint"]:
        raise ModelError(
            f"The adapter in {folder} was trained on other weights of {described['base']} than are there now ({described['base_fingerprint']}, now "
            f"{found}). Together they would answer nonsense. Put the old weights back, or train again: groundling run … --redo train."
        )
    return Local(base, adapter=folder, name="tuned")


def filtering(run: Run) -> Context:
    """What the filters of curate may know: the evaluation's questions, the seed, and the embedding model where the config names one."""
    from .curate import Context

    def embed(texts: Sequence[str]) -> numpy.ndarray:
        from .index.retrievers.dense import Embedder

        return Embedder(run.index_options).texts(texts)

    return Context(questions=run.questions, seed=run.config.seed, embed=embed if run.config.index.model else None)


def filters(run: Run) -> list[str | dict[str, Any]]:
    """The filters of curate with the options that are not as by default."""
    from .curate import identity

    return identity(run.config.curate)


def embedding(run: Run) -> dict[str, str]:
    """The identity of what the filters of curate compare meanings by: weights and prefix. Empty where no filter does."""
    from .curate import needs_model
    from .llm.local import identity

    if not needs_model(run.config.curate) or not run.config.index.model:
        return {}
    return {"model": identity(run.index_options.model), "prefix": run.config.index.query_prefix}


@contextmanager
def teaching(run: Run) -> Iterator[Model]:
    """The run's teacher while the block runs. Replies of a real model are kept in the run's journal, and asked for once.

    Raises ModelError for a key or a checkpoint that is missing; a BudgetError is told with what was spent in the end, calls in flight included.
    """
    from .llm.journal import Journal
    from .llm.open import remembered, teacher

    model = teacher(run.config.synthesize.teacher, run.config, run.project.base)
    if model.name == "template":  # rules: nothing is paid, and asking again is as quick as looking up
        yield model
        return
    journal = Journal(run.space.journal)
    try:
        asked = remembered(model, journal, run.config, run.say)
        try:
            yield asked
        except BudgetError:
            raise BudgetError(model.budget.sentence()) from None
    finally:
        journal.close()


def kept_units(run: Run, model: Model, settings: dict[str, Any]) -> dict[str, Any]:
    """The bench's `finished` and `finish`: which units of these settings an interrupted run was done with, as its journal tells."""
    journal: Journal | None = getattr(model, "journal", None)
    if journal is None:
        return {}
    work = digest("synthesize", json.dumps(settings, sort_keys=True), run.config.seed)
    return {"finished": journal.finished(work), "finish": lambda unit: journal.finish(work, unit)}


def service(run: Run, **changes: Any) -> Service:
    """What server and chat ask: the tuned model of a run with its search."""
    from .answer import Answerer
    from .serve.service import Service

    options = run.config.serve.model_copy(update={k: v for k, v in changes.items() if v is not None})
    if run.space.record("train") is None or run.space.record("index") is None:
        raise ModelError(f"{run.space.root} holds no finished model to ask. Run `groundling run` on its project first.")
    fmt = grounding.FORMATS[run.space.described()["format"]]
    answerer = Answerer(tuned(run), fmt, max_tokens=options.max_tokens)
    return Service(run.project.name, answerer, run.search, run.chunks, run.documents.get, options)


def write_config(run: Run) -> None:
    """Keep the effective config beside the outputs, so that the run folder alone can be served, continued and traced."""
    run.space.root.mkdir(parents=True, exist_ok=True)
    data = run.config.model_dump(mode="json") | {"name": run.project.name}
    data["documents"] = str(run.project.documents)
    if run.project.questions:
        data["evaluate"]["questions"] = str(run.project.questions.resolve())
    write_json(run.space.root / "run.json", {"groundling_run": 1, "config": data, "base": str(run.project.base.resolve())})
    write_atomic(run.space.root / "config.yaml", yaml.safe_dump(data, allow_unicode=True, sort_keys=False).encode())
