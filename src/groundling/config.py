"""The one configuration of a project: a YAML with a section per stage (see `sections`), every field with a default, unknown keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .amiss import called, place_of, told
from .errors import ConfigError
from .misread import Misread, read
from .registry import nearest
from .sections import GROUNDED, WHERE, Chunk, Curate, Endpoint, Evaluate, Index, Ingest, Search, Section, Serve, Synthesize, Train

_MISSING = "An endpoint needs base_url and model."
_SECRETS = (
    "it is not written as it must be. key_env is the name of an environment variable, never the key itself; base_url starts with http:// or "
    "https:// and holds no user, password or query."
)
_SHORT = 12  # characters: no key is so short
_INHERITED = (
    "every round has this of the first run, or they would not be asked about the same held-out documents. A round may have settings of its own "
    "under synthesize, curate, train, evaluate and serve; give it a config of its own if it needs more."
)


class Round(Section):
    """A run after the first, in a folder of its own beside it. What a round does not say is as in the first; see `rounds` and docs/rounds.md."""

    name: str = Field(
        "", pattern=r"^([\w][\w .-]*)?$", description="the round's run, as run:NAME calls it; else the first's name with its number",
        json_schema_extra={"form": "a name of letters, digits, spaces, dots, hyphens and underscores that begins with one of the first two"},
    )  # fmt: skip
    replace: Literal["always", "if_better"] = Field(
        "always", description="`if_better`: later rounds that name this one go on from its parent, unless it beats that on held-out questions"
    )
    synthesize: dict[str, Any] = Field({}, examples=[{"limit": 100}])
    curate: dict[str, Any] = Field({}, examples=[{"filters": ["cited"]}])
    train: dict[str, Any] = Field({}, examples=[{"epochs": 1}])
    evaluate: dict[str, Any] = Field({}, examples=[{"k": [3]}])
    serve: dict[str, Any] = Field({}, examples=[{"k": 3}])


class Config(Section):
    """Everything. `documents` is relative to the config file."""

    version: Literal[1] = 1
    name: str = Field(
        "", pattern=r"^(\.{0,2}[^./\\][^/\\]*)?$", description="the run's name and its folder's under runs/; else the folder's",
        json_schema_extra={"form": "a name that a folder may have, without / and \\"},
    )  # fmt: skip
    documents: str = Field(".", description="the folder of documents", json_schema_extra=WHERE, examples=["texts"])
    seed: int = 42
    held_out: float = Field(0.2, ge=0, lt=1, description="share of the documents that is never trained on")
    budget_usd: float = Field(0, ge=0, description="most that the run may cost, in all; 0: no limit", json_schema_extra=WHERE)
    budget_tokens: int = Field(0, ge=0, description="most tokens of endpoints for the run, in all; 0: no limit", json_schema_extra=WHERE)
    models: dict[str, Endpoint] = Field(
        {}, description="endpoints by a name of your own; see docs/endpoints.md", json_schema_extra=WHERE,
        examples=[{"mine": {"base_url": "http://localhost:8000/v1", "model": "its-name"}}],
    )  # fmt: skip
    ingest: Ingest = Ingest()
    chunk: Chunk = Chunk()
    index: Index = Index()
    synthesize: Synthesize = Synthesize()
    curate: Curate = Curate()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    serve: Serve = Serve()
    search: Search = Search()
    rounds: list[Round] = Field(
        [], description="further runs that go on from this one, in order; see docs/rounds.md", examples=[[{"name": "second"}]]
    )


class Project(BaseModel):
    """A config with the places it stands for."""

    model_config = ConfigDict(frozen=True)
    config: Config
    name: str
    base: Path  # the folder that relative paths start from
    documents: Path
    file: Path | None = None
    given: dict[str, Any] = {}  # the config as it was written, without what is by default
    rounds: tuple[str, ...] = ()  # the names of all rounds, this run's and the first's among them; empty where there are none

    @property
    def questions(self) -> Path | None:
        """The file of questions: the one named, else questions.jsonl beside the config, else None.

        Formats that are not grounded are evaluated on held-out examples, whatever lies beside. Raises ConfigError where a file is named for them.
        """
        named, taught = self.config.evaluate.questions, self.config.train.format
        if taught not in GROUNDED:
            if named:
                raise ConfigError(f"train.format {taught} is evaluated on held-out examples, not on questions. Take evaluate.questions out.")
            return None
        return self.secret

    @property
    def secret(self) -> Path | None:
        """The file of questions that nothing in training may repeat: the same, and for other formats too what lies beside the config."""
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
        model = get_args(model)[-1] if get_origin(model) in (dict, list) else model.model_fields[part].annotation
    return sorted(model.model_fields)


def _sentence(error: ValidationError, where: str) -> str:
    first = error.errors()[0]
    *before, last = first["loc"]
    path = f"{place_of(Config, before).path}.{last}".lstrip(".")
    if first["type"] == "extra_forbidden" and first["loc"][0] == "rounds" and first["loc"][-1] in Config.model_fields:
        return f"{where}: {path}: {_INHERITED}"
    if first["type"] == "extra_forbidden":
        return f'{where}: there is no setting "{path}".{nearest(str(first["loc"][-1]), _known(first["loc"][:-1]))}'
    if first["type"] == "missing":
        return f"{where}: {path} is missing. {_MISSING}"
    if first["loc"][-1] in ("key_env", "base_url") and first["type"] == "string_pattern_mismatch":
        return f"{where}: {path}: {_SECRETS}"  # its value may be a key: it is not shown
    secret = first["loc"][0] == "models" and len(str(first["input"])) > _SHORT  # it may be a key in the wrong place
    return f"{where}: {told(Config, first, hide=secret)}"


def parse(data: Any, where: str) -> Config:
    """A checked config. Raises ConfigError: one sentence that names the setting, the value and the nearest known name."""
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: a configuration is a mapping of sections, not {called(data)}.")
    try:
        return Config(**data)
    except ValidationError as error:
        raise ConfigError(_sentence(error, where)) from None
    except TypeError as error:
        raise ConfigError(f"{where}: setting names are words ({error}).") from None


def written(file: Path) -> Any:
    """What a file says. Raises ConfigError where it is no YAML."""
    try:
        return read(file.read_bytes())
    except Misread as error:
        raise ConfigError(f"{file}, {error.place}, is not readable YAML: {error.guess}.") from None


def override(data: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """`--set section.key=value`: values are read as YAML."""
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f'--set {setting}: write it as section.key=value, for example "--set chunk.size=500".')
        target, parts = data, key.strip().split(".")
        for part in parts[:-1]:
            target = _into(target, part, setting)
        try:
            target[parts[-1]] = read(value)
        except Misread as error:
            raise ConfigError(f"--set {setting}: the value is not readable: {error.guess}.") from None
    return data


def _into(target: Any, part: str, setting: str) -> Any:
    """The section of that name, copied or made; of a list (`rounds`) the item of that name, or of that number, the first run being 1."""
    if not isinstance(target, list):
        inner = target.get(part)
        target[part] = list(inner) if isinstance(inner, list) else dict(inner) if isinstance(inner, dict) else {}
        return target[part]
    for n, item in enumerate(target):
        if isinstance(item, dict) and part in (str(n + 2), item.get("name")):
            target[n] = dict(item)
            return target[n]
    named = [str(item.get("name") or n) for n, item in enumerate(target, 2) if isinstance(item, dict)]
    if not setting.startswith("rounds."):
        raise ConfigError(f"--set {setting}: a list is set as a whole, for example --set curate.filters=[cited, leaked].")
    raise ConfigError(f'--set {setting}: there is no round "{part}".{nearest(part, named)}')


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
    if file.is_dir() and file != path:
        raise ConfigError(f"{file} is a folder. A config is a file: give the folder another name.")
    if file.is_file():
        data = written(file)
    where = (f"{file} with --set" if settings else str(file)) if file.is_file() else "--set"
    if data is not None and not isinstance(data, dict):
        parse(data, where)
    given = override(dict(data or {}), settings or [])
    config = parse(given, where)
    base = file.parent if file.is_file() else path
    documents = (base / config.documents).resolve()
    if not documents.is_dir():
        raise ConfigError(f"{file}: documents = {config.documents!r}: {documents} is not a folder.")
    name = config.name or base.resolve().name
    rounds = (name, *(r.name or f"{name}-{n}" for n, r in enumerate(config.rounds, 2))) if config.rounds else ()
    return Project(
        config=config, name=name, base=base, documents=documents, file=file if file.is_file() else None, given=given, rounds=rounds,
    )  # fmt: skip
