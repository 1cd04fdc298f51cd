"""What the fake teacher plays: its speed, its capacity, and every fault with its rate. Read from YAML, unknown keys refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ...amiss import called, told
from ...errors import ConfigError
from ...misread import Misread, read
from ...registry import nearest

Rate = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wire(Strict):
    """Shares of the calls on which the transport fails. Drawn for each attempt of a request anew, so that a retry can succeed."""

    refused: Rate = Field(0.0, description="429 although there is room")
    server_error: Rate = Field(0.0, description="500 or 503")
    hang: Rate = Field(0.0, description="never answered")
    reset: Rate = Field(0.0, description="the connection is cut before a byte of the answer")
    cut_body: Rate = Field(0.0, description="half of the body, then the connection is cut")
    short_body: Rate = Field(0.0, description="half of the body, then the connection ends in good order: the length does not match")
    slow_body: Rate = Field(0.0, description="the body comes in pieces over `slow_seconds`")
    html: Rate = Field(0.0, description="200 with a page of HTML, as proxies send")
    invalid_json: Rate = Field(0.0, description="200 with a body that is no JSON")
    no_choices: Rate = Field(0.0, description="200 with JSON that holds no reply")
    duplicate: Rate = Field(0.0, description="the whole answer is sent twice on the connection")


class Content(Strict):
    """Shares of the replies in which the model itself fails. Drawn by what was asked alone: asked again, the same comes back."""

    wrong_schema: Rate = Field(0.0, description="valid JSON that does not fit the schema that was asked for")
    broken: Rate = Field(0.0, description="JSON that ends in the middle although the reply says it is whole")
    fenced: Rate = Field(0.0, description="JSON in a code fence with talk around it")
    cut: Rate = Field(0.0, description="a reply cut in half with finish_reason length")
    empty: Rate = Field(0.0, description="a reply without content (null)")
    twice: Rate = Field(0.0, description="the same content written twice, one after the other")


class Outage(Strict):
    """The endpoint is down for `seconds`, from `at` seconds after the first call on."""

    at: Seconds
    seconds: Seconds
    kind: Literal["503", "reset", "hang"] = "503"


class BatchScript(Strict):
    """How the batch endpoints behave."""

    seconds: Seconds = Field(0.2, description="from a batch's creation to its end")
    failed_lines: Rate = Field(0.0, description="share of the lines that end in the error file, with a status of 500")
    always_failed: Rate = Field(0.0, description="share of the lines that fail so in every batch, by what they ask")
    expire_after: Rate = Field(1.0, description="share of the lines that are done when the batch expires; 1: it does not expire")
    expiries: int = Field(1, ge=0, description="how many batches expire so before one completes")
    outcome: Literal["completed", "failed", "cancelled"] = Field("completed", description="how batches end")
    queue_tokens: int = Field(0, ge=0, description="tokens of prompts that may wait in open batches at once; 0: no limit")
    queue_full: Literal["failed", "refused"] = Field("failed", description="a batch beyond that fails when it is validated, or its making gets 429")
    max_lines: int = Field(50_000, ge=1)
    max_bytes: int = Field(200 * 1024 * 1024, ge=1)


class TuningScript(Strict):
    """How the fine-tuning endpoints behave. A tuned model says what it was taught where it is asked in the very words of its training."""

    seconds: Seconds = Field(0.2, description="from a job's creation to its end")
    outcome: Literal["succeeded", "failed", "cancelled"] = Field("succeeded", description="how jobs end")
    reason: str = Field("The script says that this job fails.", description="what a failed job says")
    bad_line: int = Field(0, ge=0, description="the line of the training file that is refused when it is validated; 0: none")
    least: int = Field(10, ge=1, description="a file of fewer examples is refused")
    best_epoch: int = Field(0, ge=0, description="the epoch of the lowest validation loss; 0: the last")
    lists: bool = Field(True, description="false: neither events nor checkpoints are listed, as at smaller providers")
    base64: bool = Field(True, description="whether the file of results comes in base64, as from OpenAI")
    max_bytes: int = Field(512 * 1024 * 1024, ge=1)


class Script(Strict):
    """Everything. The default is a teacher without latency, limits or faults."""

    seed: int = 0
    reply: Literal["sensible", "fixed"] = Field("sensible", description="`fixed`: always `text`, for benchmarks")
    text: str = Field("A fixed reply.", description="what `fixed` says")
    latency: Seconds = Field(0.0, description="seconds to a reply: the median")
    spread: Annotated[float, Field(ge=0, le=3)] = Field(0.0, description="sigma of the lognormal latency; 0: constant")
    capacity: int = Field(0, ge=0, description="calls at once; more get 429. 0: no limit")
    retry_after: Seconds = Field(1.0, description="the Retry-After header of a 429, in seconds; 0: none is sent")
    key: str = Field("", description="a call without this bearer token gets 401; empty: any will do")
    always: Literal[0, 400, 401, 403, 404, 500] = Field(0, description="every call gets this status; 0: none does")
    response_format: bool = Field(True, description="false: a call that asks for a JSON schema gets 400, as from older servers")
    faulty_attempts: int = Field(0, ge=0, description="only so many attempts of a request meet a wire fault; 0: no end")
    slow_seconds: Seconds = 2.0
    wire: Wire = Wire()
    content: Content = Content()
    outages: list[Outage] = []
    cut_uploads: int = Field(0, ge=0, description="so many uploads are cut while the file is still coming")
    batch: BatchScript = BatchScript()
    tuning: TuningScript = TuningScript()
    log: str = Field("", description="a file that gets a line of JSON for each call")

    @model_validator(mode="after")
    def _shares(self) -> Script:
        for name, group in (("wire", self.wire), ("content", self.content)):
            if sum(group.model_dump().values()) > 1 + 1e-9:
                raise ValueError(f"the shares under {name} add up to more than 1")
        return self


def _known(path: tuple[Any, ...]) -> list[str]:
    """The keys at a place of the script, for the nearest name."""
    kind: Any = Script
    for part in path:
        kind = Outage if isinstance(part, int) else kind.model_fields[part].annotation if hasattr(kind, "model_fields") else kind
    return sorted(kind.model_fields)


def parse(data: Any, where: str) -> Script:
    """A checked script. Raises ConfigError: one sentence with the key, the value and the nearest known name."""
    if not isinstance(data, dict | None):
        raise ConfigError(f"{where}: a script is a mapping of settings, not {called(data)}.")
    try:
        return Script(**(data or {}))
    except ValidationError as error:
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")  # a misspelt key also makes a missing one
        place = ".".join(str(p) for p in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(f'{where}: there is no setting "{place}".{nearest(str(first["loc"][-1]), _known(first["loc"][:-1]))}') from None
        raise ConfigError(f"{where}: {told(Script, first)}") from None


def load(file: Path | None, settings: dict[str, Any], assignments: list[str]) -> Script:
    """The script of a file, under the command's own options, under `--set key=value`. Raises ConfigError."""
    data: Any = {}
    where = "fake-teacher"
    if file is not None:
        where = str(file)
        try:
            data = read(file.read_bytes())
        except OSError as error:
            raise ConfigError(f"The script {file} could not be read ({error.strerror}). Give a YAML file.") from None
        except Misread as error:
            raise ConfigError(f"The script {file}, {error.place}, is not readable YAML: {error.guess}.") from None
        parse(data, where)
    data = dict(data or {}) | {name: value for name, value in settings.items() if value is not None}
    for text in assignments:
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f'--set {text}: write it as key=value, for example "--set wire.hang=0.01".')
        *parents, last = name.strip().split(".")
        target = data
        for parent in parents:
            inner = target.get(parent)
            target[parent] = dict(inner) if isinstance(inner, dict) else {}
            target = target[parent]
        try:
            target[last] = read(value)
        except Misread as error:
            raise ConfigError(f"--set {text}: the value is not readable: {error.guess}.") from None
    return parse(data, where)
