"""One run of a project: its folder, the values that its stages leave, its trained model, and what asks it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from . import config, grounding
from .config import Config, Project
from .errors import ConfigError, InputError, ModelError
from .panel import Watch, unwatched
from .records import Chunk, Document, Example, Question, Split
from .registry import load
from .sections import GROUNDED
from .seeds import rng
from .workspace import Workspace, read_lines, write_atomic, write_json

if TYPE_CHECKING:
    from .answer import Search
    from .llm.base import Model
    from .llm.reward import Reward
    from .llm.weights import Weights
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
        return _questions(self.project.questions)

    @property
    def secret(self) -> list[Question]:
        """The questions that nothing in training may repeat, whatever the run itself is evaluated on."""
        return _questions(self.project.secret)

    @property
    def beside(self) -> Path:
        """The folder that holds this run and those that `run:NAME` may name."""
        return self.space.root.parent

    def base(self) -> Weights:
        """The weights that training starts from. Raises ConfigError where they are those that it would put in their place."""
        from .llm.weights import RUN, resolve_weights

        if self.config.train.base == RUN + self.space.root.name:
            raise ConfigError(f"train.base = {self.config.train.base}: that is this run itself. Name another run, or use another --out.")
        if self.hosted:
            raise ModelError("With train.method api the provider trains and holds the model: there are no weights and no tokenizer of it here.")
        return resolve_weights(self.config.train.base, self.project.base, self.beside)

    @property
    def hosted(self) -> bool:
        """Whether a provider trains and holds the run's model."""
        return self.config.train.method == "api"

    def model(self, name: str) -> Model:
        """The model of that name in the config."""
        from .llm.open import open_model

        return open_model(name, self.config, self.project.base, self.beside)

    def judge(self, name: str) -> Model | Reward:
        """The model that scores: a reward model where `run:NAME` was trained as one, else a model that is asked."""
        from .llm.weights import RUN, described_run, trained_run

        if name.startswith(RUN):
            described = described_run(name, self.beside)
            if described.get("objective") == "reward":
                from .llm.reward import Reward

                found = trained_run(name, self.beside)
                self.same_format(name, found.described["format_fingerprint"])
                return Reward(*found.weights, name=name)
        return self.model(name)

    def same_format(self, name: str, taught: str) -> None:
        """Raise ConfigError where a reward model learnt to score replies in another format than this run's are in."""
        now = grounding.fingerprint(self.config.train.format)
        if taught != now:
            raise ConfigError(
                f"{name} learnt to score replies in the format {taught}, and this run's are in {now}: its scores would mean nothing. Train a "
                "reward model on this format, or name a model that is asked (synthesize.judge)."
            )

    def path(self, name: str) -> Path:
        """A file that the config names: relative paths start from the config. Raises ConfigError where it does not exist."""
        found = self.project.base / Path(name).expanduser()
        if not found.exists():
            raise ConfigError(f"{name} does not exist: {found} is neither a file nor a folder.")
        return found

    @property
    def mute(self) -> str:
        """Why the run's model cannot be evaluated on questions, as it answers none; empty where it does."""
        if getattr(load("objective", self.config.train.objective), "ANSWERS", True):
            return ""
        return "a reward model answers no questions: how it does on held-out pairs stands in train's record"

    def curated(self, name: str) -> dict[str, Any]:
        """The record of the curated examples of `run:NAME`. Raises ModelError where there is no such run, InputError where it has none."""
        from .llm.weights import run_folder

        record = Workspace(run_folder(name, self.beside)).record("curate")
        if record is None:
            raise InputError(f"{name} has no curated examples yet. Run that round first.")
        return record

    def examples_of(self, name: str) -> list[Example]:
        """The curated examples of `run:NAME`, beside this run. Raises ModelError where there is no such run, InputError where it has none."""
        from .llm.weights import run_folder

        self.curated(name)
        space = Workspace(run_folder(name, self.beside))
        if space.holds_pairs("curate"):
            raise InputError(f"{name} holds preference pairs, not examples. Name the run that its own examples came from.")
        return list(space.read("curate", Example))

    @cached_property
    def ranks(self) -> dict[str, float]:
        """Where each document stands in the draw of those that are held out, by the hash of its id."""
        return {d: rng(self.config.seed, "split", d).random() for d in self.documents}

    @cached_property
    def held_out(self) -> frozenset[str]:
        """The documents that are never trained on, chosen by the hash of their ids.

        Whether one is does not depend on the others, but for this: of two or more, at least one is on each side.
        """
        rank = self.ranks
        found = {d for d, r in rank.items() if r < self.config.held_out}
        if len(rank) > 1 and self.config.held_out > 0:
            found = found or {min(rank, key=rank.__getitem__)}
            found -= {max(rank, key=rank.__getitem__)} if len(found) == len(rank) else set()
        return frozenset(found)

    def split_of(self, document: str) -> Split:
        """The side of the split that a document is on."""
        return "held_out" if document in self.held_out else "train"


def _questions(path: Path | None) -> list[Question]:
    if path is None:
        return []
    found = list(read_lines(path, Question))
    if not found:
        raise InputError(f"{path} holds no question. Write one JSON object a line, or remove the file.")
    return found


def index_options(project: Project) -> config.Index:
    """The index section with the place of its model: relative paths start from the config. Raises ModelError where there is none."""
    from .llm.weights import resolve

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
        told = json.loads((path / "run.json").read_bytes())
        base, rounds = Path(told["base"]), tuple(told.get("rounds", ()))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path / 'run.json'} is damaged. Run groundling on the project again with --out {path}: it is written anew.") from error
    parsed = config.parse(config.override(config.written(kept), settings), str(kept))
    project = Project(config=parsed, name=parsed.name, base=base, documents=Path(parsed.documents), file=kept, rounds=rounds)
    return Run(project, Workspace(out or path), say)


def tuned(run: Run) -> Model:
    """The trained model of a run. Raises ModelError where it is missing, or was taught another format than this version renders."""
    from .llm.local import Local
    from .llm.weights import trained
    from .train import template_hash

    folder, held = run.space.folder("train"), run.space.described()
    weights, described = (None, held) if held and held.get("method") == "api" else trained(run.space.root)
    now = grounding.fingerprint(described["format"])
    if described["format_fingerprint"] != now or described["template_hash"] != template_hash(folder):
        raise ModelError(
            f"The model in {folder} was taught the prompt format {described['format_fingerprint']}, but this version renders {now} "
            "(or its chat template was edited). Its answers would be worse without a word. Train it again, or use the version that made it."
        )
    if weights is None:
        from .llm.hosted import endpoint_of
        from .llm.open import Occasional

        return Occasional(*endpoint_of(described, run.config), run.space.journal, run.config, run.say)
    return Local(*weights, name="tuned")


def reads(run: Run) -> list[str]:
    """The other runs, as `run:NAME`, of whose examples the run's recipe makes its records."""
    from .synthesize import options_of

    section = run.config.synthesize
    recipe = load("recipe", section.recipe)
    return recipe.runs(options_of(recipe, section.options), section) if hasattr(recipe, "runs") else []


def service(run: Run, **changes: Any) -> Service:
    """What server and chat ask: the tuned model of a run with its search."""
    from .answer import Answerer
    from .serve.service import Service

    options = run.config.serve.model_copy(update={k: v for k, v in changes.items() if v is not None})
    if run.space.record("train") is None or run.space.record("index") is None:
        raise ModelError(f"{run.space.root} holds no finished model to ask. Run `groundling run` on its project first.")
    fmt = grounding.FORMATS[run.space.described()["format"]]
    if fmt.name == "step":
        return _agent_service(run, options)
    if fmt.name not in GROUNDED:
        raise ModelError(f"The model of {run.space.root} was taught the format {fmt.name}, which is no conversation. Ask it with groundling predict.")
    answerer = Answerer(tuned(run), fmt, max_tokens=options.max_tokens)
    return Service(run.project.name, answerer, run.search, run.chunks, run.documents.get, options)


def _agent_service(run: Run, options: config.Serve) -> Service:
    """The service of a model that was taught the agent's steps: it searches by itself."""
    from .agent import Agent, Settings, of_index
    from .answer import Answerer
    from .serve.service import Service

    model = tuned(run)
    agent = Agent(model, of_index(run.search), Settings(snippets=options.k))
    return Service(run.project.name, Answerer(model, grounding.FORMATS["step"]), run.search, run.chunks, run.documents.get, options, agent)


def write_config(run: Run) -> None:
    """Keep the effective config beside the outputs, so that the run folder alone can be served, continued and traced."""
    run.space.root.mkdir(parents=True, exist_ok=True)
    data = run.config.model_dump(mode="json") | {"name": run.project.name, "rounds": []}
    data["documents"] = str(run.project.documents)
    for name in run.config.train.chosen():  # written down, they would be as if set by hand, and another size or preset would change nothing
        del data["train"][name]
    data["search"] = run.config.search.model_dump(mode="json", exclude_unset=True)  # a default space leaves out what would change nothing
    if "search" not in run.config.model_fields_set:
        del data["search"]
    if run.project.questions:
        data["evaluate"]["questions"] = str(run.project.questions.resolve())
    told = {"groundling_run": 1, "config": data, "base": str(run.project.base.resolve()), "rounds": list(run.project.rounds)}
    write_json(run.space.root / "run.json", told)
    write_atomic(run.space.root / "config.yaml", yaml.safe_dump(data, allow_unicode=True, sort_keys=False).encode())
