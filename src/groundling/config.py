"""The one configuration of a project: a YAML with a section per stage, every field with a default, unknown keys refused.

Fields marked `where` in their metadata say where or how fast something runs. They never enter a fingerprint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from .errors import ConfigError
from .registry import nearest

WHERE = {"where": True}
_MISSING = "An endpoint needs base_url and model."
_SECRETS = (
    "it is not written as it must be. key_env is the name of an environment variable, never the key itself; base_url starts with http:// or "
    "https:// and holds no user, password or query."
)


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    def identity(self) -> dict[str, Any]:
        """The settings that shape the output."""
        hidden = {n for n, f in type(self).model_fields.items() if (f.json_schema_extra or {}).get("where")}
        return self.model_dump(mode="json", exclude=hidden)


class Ingest(Section):
    """Files to documents."""

    include: list[str] = Field(["**/*"], description="which files of the folder are read, as glob patterns")
    exclude: list[str] = Field([], description="which of those are left out")
    max_file_mb: float = Field(200, gt=0, description="a larger file is counted as failed")
    max_failed: float = Field(0.5, ge=0, le=1, description="the stage stops where a larger share of the files fails", json_schema_extra=WHERE)


class Chunk(Section):
    """Documents to chunks."""

    splitter: str = Field("recursive", description="see `groundling list splitters`")
    size: int = Field(1000, ge=50, description="most characters of a chunk")
    overlap: int = Field(100, ge=0, description="characters that neighbours share")
    minimum: int = Field(20, ge=0, description="a shorter chunk is dropped")


class Index(Section):
    """Chunks to search."""

    retriever: str = Field("bm25", description="see `groundling list retrievers`")
    model: str = Field("", description="the embedding model of `dense`: the path or hub name of an encoder; bm25 has none")
    query_prefix: str = Field("query: ", description="what that model was taught to see before a question (here: the E5 family)")
    passage_prefix: str = Field("passage: ", description="and before a passage")

    def identity(self) -> dict[str, Any]:
        """Without a model nothing but the retriever counts."""
        return super().identity() if self.model else {"retriever": self.retriever}


class Synthesize(Section):
    """Chunks to training examples."""

    recipe: str = Field("raft", description="see `groundling list recipes`")
    options: dict[str, Any] = Field({}, description="options of the recipe, checked against it")
    teacher: str = Field("template", description="who writes the data: `template` (rules, no model), a name in `models`, `nano` or a folder")
    limit: int = Field(0, ge=0, description="make examples from only so many chunks, drawn by the seed; 0: from all")
    target: int = Field(0, ge=0, description="stop at exactly so many examples kept, drawing chunks by the seed; 0: no target")
    max_failed: float = Field(0.05, ge=0, le=1, description="the stage stops where a larger share fails", json_schema_extra=WHERE)


def _step(value: Any) -> Any:
    """A filter as the config names it: alone, or with its options. `{near: {}}` and `{near: null}` are `near`."""
    if isinstance(value, dict) and len(value) == 1:
        name, options = next(iter(value.items()))
        if isinstance(name, str) and (options is None or isinstance(options, dict)):
            return {name: options} if options else name
    elif isinstance(value, str):
        return value
    raise PydanticCustomError("filter", "A filter is a name, or one name with its options, such as {near: {threshold: 0.8}}")


class Curate(Section):
    """Examples to kept examples."""

    filters: list[Annotated[str | dict[str, dict[str, Any]], BeforeValidator(_step)]] = Field(
        ["cited", "duplicates", "leaked"], description="in this order, each a name or {name: {options}}; see `groundling list filters`"
    )

    def steps(self) -> list[tuple[str, dict[str, Any]]]:
        """Each filter's name with the options given to it."""
        return [(step, {}) if isinstance(step, str) else next(iter(step.items())) for step in self.filters]


class Train(Section):
    """Examples to a model."""

    base: str = Field("nano", description="`nano`, or the path or hub name of a model")
    objective: str = Field("sft", description="see `groundling list objectives`")
    format: Literal["raft", "two-turn", "ja"] = Field("raft", description="the prompt format that is taught")
    rank: int = Field(16, ge=1, description="LoRA rank")
    alpha: int = Field(32, ge=1, description="LoRA alpha")
    dropout: float = Field(0.0, ge=0, lt=1, description="LoRA dropout")
    epochs: float = Field(2.0, gt=0)
    batch: int = Field(8, ge=1, description="examples a step")
    rate: float = Field(1e-3, gt=0, description="peak learning rate; cosine to zero after 5 % warm-up")
    max_length: int = Field(2048, ge=64, description="an example of more tokens is dropped and counted, never cut")
    save_steps: int = Field(25, ge=1, description="a checkpoint to resume from, every so many steps", json_schema_extra=WHERE)


class Evaluate(Section):
    """A model to scores."""

    questions: str = Field("", description="a .jsonl file beside the config; else questions.jsonl beside it; else held-out examples")
    k: list[Annotated[int, Field(ge=1)]] = Field([1, 3, 5], description="how many retrieved passages the models are given")
    without: bool = Field(True, description="also ask without any passage (setting `none`)")
    given: bool = Field(True, description="also ask with the right passage given (setting `given`)")
    metrics: list[str] = Field([], description="which of `groundling list metrics`; empty: all")
    compare: bool = Field(True, description="score the base model too, and test the tuned one against it")
    prompt_trials: int = Field(40, ge=0, description="questions on which the base model's best of three prompts is chosen; 0: all questions")
    limit: int = Field(0, ge=0, description="score only so many questions (0: all); the choice is seeded")
    batch: int = Field(64, ge=1, description="questions asked together; each batch that a model makes of them is saved as it ends")
    max_tokens: int = Field(128, ge=8, description="longest reply")
    max_failed: float = Field(0.05, ge=0, le=1, description="the stage stops where a larger share of answers fails", json_schema_extra=WHERE)


class Serve(Section):
    """A model to answers."""

    host: str = Field("127.0.0.1", json_schema_extra=WHERE)
    port: int = Field(8080, ge=0, le=65535, json_schema_extra=WHERE)
    k: int = Field(3, ge=1, description="passages retrieved for a question")
    max_tokens: int = Field(256, ge=8, description="longest reply")


class Endpoint(Section):
    """A model behind an OpenAI-compatible API: OpenAI, vLLM, TGI, llama-server, Ollama, OpenRouter. Its key is never written down anywhere."""

    base_url: str = Field(pattern=r"^https?://[^\s@?#]+$", description="where the API is, up to and with /v1")
    model: str = Field(min_length=1, description="the model's name there")
    key_env: str = Field(
        "", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$", description="the environment variable that holds the key; empty: none", json_schema_extra=WHERE
    )
    max_parallel: int = Field(256, ge=1, description="most calls in flight; fewer where the endpoint refuses", json_schema_extra=WHERE)
    requests_per_minute: int = Field(0, ge=0, description="0: no limit of our own", json_schema_extra=WHERE)
    tokens_per_minute: int = Field(0, ge=0, description="0: no limit of our own", json_schema_extra=WHERE)
    tokens_per_day: int = Field(0, ge=0, description="0: no limit of our own; counted over 24 hours, also across runs", json_schema_extra=WHERE)
    timeout: float = Field(120, gt=0, description="seconds that one call may take", json_schema_extra=WHERE)
    retries: int = Field(8, ge=0, description="how often a call that broke is sent again", json_schema_extra=WHERE)
    price_in: float = Field(0, ge=0, description="USD per million tokens of prompts", json_schema_extra=WHERE)
    price_out: float = Field(0, ge=0, description="USD per million tokens of replies", json_schema_extra=WHERE)
    structured: Literal["auto", "native", "prompt"] = Field("auto", description="JSON replies by response_format, by words, or whichever works")
    batch: bool = Field(False, description="send files of requests: cheaper and slower, where the provider has it", json_schema_extra=WHERE)
    batch_price: float = Field(1, gt=0, le=1, description="share of the prices that batch mode costs; 0.5 at many providers", json_schema_extra=WHERE)
    extra: dict[str, Any] = Field({}, description="further fields of each request's body; null leaves a field out")


class Config(Section):
    """Everything. `documents` is relative to the config file."""

    version: Literal[1] = 1
    name: str = Field("", description="the run's name; else the folder's")
    documents: str = Field(".", description="the folder of documents", json_schema_extra=WHERE)
    seed: int = 42
    held_out: float = Field(0.2, ge=0, lt=1, description="share of the documents that is never trained on")
    budget_usd: float = Field(0, ge=0, description="most that the run may cost, in all; 0: no limit", json_schema_extra=WHERE)
    budget_tokens: int = Field(0, ge=0, description="most tokens of endpoints for the run, in all; 0: no limit", json_schema_extra=WHERE)
    models: dict[str, Endpoint] = Field({}, description="endpoints by a name of your own; see docs/endpoints.md", json_schema_extra=WHERE)
    ingest: Ingest = Ingest()
    chunk: Chunk = Chunk()
    index: Index = Index()
    synthesize: Synthesize = Synthesize()
    curate: Curate = Curate()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    serve: Serve = Serve()


class Project(BaseModel):
    """A config with the places it stands for."""

    model_config = ConfigDict(frozen=True)
    config: Config
    name: str
    base: Path  # the folder that relative paths start from
    documents: Path
    file: Path | None = None

    @property
    def questions(self) -> Path | None:
        """The file of questions: the one named, else questions.jsonl beside the config, else None."""
        named = self.config.evaluate.questions
        if named:
            path = self.base / named
            if not path.is_file():
                raise ConfigError(f"evaluate.questions names {path}, which is not a file.")
            return path
        beside = self.base / "questions.jsonl"
        return beside if beside.is_file() else None


def _known(path: tuple[Any, ...]) -> list[str]:
    """The fields at a place of the config, for the nearest name."""
    model: Any = Config
    for part in path:
        # In a mapping such as `models` the next part is a name of the user's own.
        model = get_args(model)[1] if get_origin(model) is dict else model.model_fields[part].annotation
    return sorted(model.model_fields)


def _sentence(error: ValidationError, where: str) -> str:
    first = error.errors()[0]
    path = ".".join(str(p) for p in first["loc"])
    if first["type"] == "extra_forbidden":
        return f'{where}: there is no setting "{path}".{nearest(str(first["loc"][-1]), _known(first["loc"][:-1]))}'
    if first["type"] == "missing":
        return f"{where}: {path} is missing. {_MISSING}"
    if first["loc"][-1] in ("key_env", "base_url") and first["type"] == "string_pattern_mismatch":
        return f"{where}: {path}: {_SECRETS}"  # its value may be a key: it is not shown
    return f"{where}: {path} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}."


def parse(data: Any, where: str) -> Config:
    """A checked config. Raises ConfigError: one sentence that names the setting, the value and the nearest known name."""
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: a configuration is a mapping of sections, not {type(data).__name__}.")
    try:
        return Config(**data)
    except ValidationError as error:
        raise ConfigError(_sentence(error, where)) from None
    except TypeError as error:
        raise ConfigError(f"{where}: setting names are words ({error}).") from None


def override(data: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """`--set section.key=value`: values are read as YAML."""
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f'--set {setting}: write it as section.key=value, for example "--set chunk.size=500".')
        target, parts = data, key.strip().split(".")
        for part in parts[:-1]:
            inner = target.get(part)
            target[part] = dict(inner) if isinstance(inner, dict) else {}
            target = target[part]
        try:
            target[parts[-1]] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {setting}: the value is not readable ({str(error).splitlines()[0]}).") from None
    return data


def load(path: Path, settings: list[str] | None = None) -> Project:
    """The project at a path: a config file, a folder with a `groundling.yaml`, or just a folder of documents.

    Raises ConfigError where there is none.
    """
    try:
        path = path.expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{path}: there is no such user's home folder. Write the path out.") from error
    if not path.exists():
        raise ConfigError(f"{path} does not exist. Give a folder of documents, or a groundling.yaml.")
    file = path if path.is_file() else path / "groundling.yaml"
    data: Any = {}
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"{path} is a single file. Give the folder it is in, or a groundling.yaml.")
    if file.is_file():
        try:
            data = yaml.safe_load(file.read_text("utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file} is not readable YAML: {' '.join(str(error).split())}.") from None
    where = str(file) if file.is_file() else "--set"
    if data is not None and not isinstance(data, dict):
        parse(data, where)
    config = parse(override(dict(data or {}), settings or []), where)
    base = file.parent if file.is_file() else path
    documents = (base / config.documents).resolve()
    if not documents.is_dir():
        raise ConfigError(f"{file}: documents = {config.documents!r}: {documents} is not a folder.")
    return Project(config=config, name=config.name or base.resolve().name, base=base, documents=documents, file=file if file.is_file() else None)
