"""The sections of the configuration: one per stage, and what an endpoint is. Fields marked `WHERE` say where or how fast something runs.

They never enter a fingerprint.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from . import published
from .values import below_size, no_key, numbers, several, step, switch, unsaid

WHERE = {"where": True}
CHOSEN = {"chosen": True}  # settings that `train.preset` and `train.size` choose where they are not given
GROUNDED = ("raft", "two-turn", "ja")  # the formats whose answers rest on retrieved passages; see grounding.py

SIZED = ("method", "batch", "accumulate", "checkpointing", "max_length")
# What shapes a model that a provider trains (method api); batch and max_length only where they are set.
AT_PROVIDER = {"base", "objective", "options", "format", "method", "epochs", "batch", "max_length", "rate_multiplier", "keep", "eval_rows"}


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, given: Any) -> Any:
        return unsaid(given, cls.model_fields) if isinstance(given, dict) else given

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
    overlap: Annotated[int, AfterValidator(below_size)] = Field(100, ge=0, description="characters that neighbours share")
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
    options: dict[str, Any] = Field({}, description="options of the recipe, checked against it", examples=[{"questions": 3}])
    teacher: str = Field("template", description="who writes the data: `template` (rules), a name in `models`, `nano`, a folder, `run:NAME`")
    student: str = Field("", description="the model that is to get better, where a recipe asks it too; `run:NAME` is another run's model")
    judge: str = Field("", description="who scores, where a recipe asks one: a model, or `run:NAME` of a run trained as a reward model")
    limit: int = Field(0, ge=0, description="make examples from only so many chunks, drawn by the seed; 0: from all")
    target: int = Field(0, ge=0, description="stop at exactly so many examples kept, drawing chunks by the seed; 0: no target")
    max_failed: float = Field(0.05, ge=0, le=1, description="the stage stops where a larger share fails", json_schema_extra=WHERE)


class Curate(Section):
    """Examples to kept examples."""

    filters: list[Annotated[str | dict[str, dict[str, Any]], BeforeValidator(step)]] = Field(
        ["cited", "duplicates", "leaked"], description="in this order, each a name or {name: {options}}; see `groundling list filters`"
    )

    def steps(self) -> list[tuple[str, dict[str, Any]]]:
        """Each filter's name with the options given to it."""
        return [(step, {}) if isinstance(step, str) else next(iter(step.items())) for step in self.filters]


class Train(Section):
    """Examples to a model."""

    base: str = Field("nano", description="`nano`, the path or hub name of a model, or `run:NAME`: another run's model")
    objective: str = Field("sft", description="see `groundling list objectives`")
    options: dict[str, Any] = Field({}, description="options of the objective, checked against it", examples=[{"beta": 0.1}])
    format: Literal["raft", "two-turn", "ja", "backward", "labels", "instruct", "step"] = Field(
        "raft", description="the prompt format that is taught; see grounding.py"
    )
    preset: Literal["", "rag-sft", "backtranslation", "raft-chatbot", "vikhr-8b", "livedoor"] = Field(
        "", description="the published values of a system, as far as none is set here; see docs/train.md"
    )
    size: Literal["", "laptop", "8gb", "24gb", "80gb", "multi"] = Field(
        "", description="the machine: chooses method, batch, accumulate, checkpointing and max_length for the base, where they are not set here"
    )
    method: Literal["lora", "qlora", "full", "api"] = Field(
        "lora", description="an adapter; an adapter on the base in four bits; all weights; or a provider's fine-tuning job", json_schema_extra=CHOSEN
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto", description="`auto`: what the machine multiplies in hardware", json_schema_extra=CHOSEN
    )
    targets: Literal["all-linear"] | Annotated[list[str], Field(min_length=1)] = Field(
        "all-linear",
        description="the layers with an adapter: `all-linear`, or names such as [q_proj, v_proj]",
        json_schema_extra=CHOSEN,
    )
    rank: int = Field(16, ge=1, description="LoRA rank", json_schema_extra=CHOSEN)
    alpha: int = Field(32, ge=1, description="LoRA alpha", json_schema_extra=CHOSEN)
    dropout: float = Field(0.0, ge=0, lt=1, description="LoRA dropout", json_schema_extra=CHOSEN)
    epochs: float = Field(2.0, gt=0, json_schema_extra=CHOSEN)
    steps: int = Field(0, ge=0, description="stop after so many steps, whatever `epochs` says; 0: no such limit", json_schema_extra=CHOSEN)
    batch: int = Field(8, ge=1, description="examples in memory together", json_schema_extra=CHOSEN)
    accumulate: int = Field(1, ge=1, description="such batches a step", json_schema_extra=CHOSEN)
    rate: float = Field(1e-3, gt=0, description="peak learning rate", json_schema_extra=CHOSEN)
    scheduler: Literal["cosine", "linear", "constant"] = Field("cosine", description="how the rate falls after its peak", json_schema_extra=CHOSEN)
    floor: float = Field(0.0, ge=0, le=1, description="the share of the peak rate that is left at the end", json_schema_extra=CHOSEN)
    warmup: float = Field(0.05, ge=0, description="until the peak: a share of all steps, or, from 1 on, a number of steps", json_schema_extra=CHOSEN)
    weight_decay: float = Field(0.0, ge=0, json_schema_extra=CHOSEN)
    optimizer: Literal["adamw", "adamw_8bit"] = Field(
        "adamw", description="`adamw_8bit` keeps its state in a quarter of the memory", json_schema_extra=CHOSEN
    )
    checkpointing: bool = Field(
        False, description="compute activations again instead of keeping them: slower, in much less memory", json_schema_extra=CHOSEN
    )
    max_length: int = Field(2048, ge=64, description="an example of more tokens is dropped and counted, never cut", json_schema_extra=CHOSEN)
    keep: Literal["best", "last"] = Field("best", description="`best`: of the lowest loss on held-out examples, where there are any")
    eval_steps: int = Field(25, ge=1, description="the held-out loss is measured every so many steps, and at the end")
    eval_rows: int = Field(128, ge=0, description="on so many held-out examples, drawn by the seed; 0: it is not measured")
    rate_multiplier: float = Field(0, ge=0, description="method api: times the provider's own rate; 0: as the provider chooses")
    suffix: str = Field("", max_length=40, description="method api: in the tuned model's name; else the run's name", json_schema_extra=WHERE)
    save_steps: int = Field(25, ge=1, description="a checkpoint to resume from, every so many steps", json_schema_extra=WHERE)
    disk_gb: float = Field(0, ge=0, description="most that checkpoints may take; 0: what the disk has", json_schema_extra=WHERE)
    report_to: list[Literal["tensorboard", "trackio", "wandb", "mlflow"]] = Field(
        [], description="trackers that are told how training goes: the first two write files here, the others send", json_schema_extra=WHERE
    )
    packing: Annotated[Literal["auto", "on", "off"], BeforeValidator(switch)] = Field(
        "auto", description="whole examples share rows, none seeing another (sft); `auto`: on a GPU with flash attention", json_schema_extra=WHERE
    )
    attention: Literal["auto", "sdpa", "flash_attention_2", "flex_attention", "eager"] = Field(
        "auto", description="`auto`: flash_attention_2 where it is installed, on a GPU that has it, in 16 bits; else sdpa", json_schema_extra=WHERE
    )
    kernels: Literal["auto", "liger", "none"] = Field(
        "auto", description="fused norms, rotations and gates; `auto`: liger where it is installed, on a GPU", json_schema_extra=WHERE
    )
    devices: int = Field(
        0, ge=0, description="processes that share the training, one on each GPU; 0: one, with size multi one for each GPU", json_schema_extra=WHERE
    )

    @model_validator(mode="before")
    @classmethod
    def _preset_first(cls, given: Any) -> Any:
        """The preset's values where none is given; of `options` each counts by itself."""
        if not isinstance(given, dict) or not isinstance(given.get("preset"), str):
            return given
        values = published.values(given["preset"], given.get("objective", "sft"))
        options = {**values.get("options", {}), **given["options"]} if isinstance(given.get("options"), dict) else values.get("options", {})
        return {**values, **given} | ({"options": options} if options else {})

    @field_validator("preset")
    @classmethod
    def _preset_fits(cls, preset: str, info: ValidationInfo) -> str:
        objective = info.data.get("objective", "sft")
        if preset and objective not in published.TRAIN[preset].values:
            known = ", ".join(published.TRAIN[preset].values)
            raise PydanticCustomError(
                "preset", "It has no values for the objective {objective}, only for {known}", {"objective": objective, "known": known}
            )
        return preset

    def chosen(self) -> set[str]:
        """The settings that a preset or `size` may choose and that are not given by hand."""
        values = published.values(self.preset, self.objective)
        may = {name for name, field in type(self).model_fields.items() if (field.json_schema_extra or {}).get("chosen")}
        return {name for name in may if name not in self.model_fields_set or (name in values and getattr(self, name) == values[name])}

    def sized(self) -> set[str]:
        """The settings that `size` chooses here. A preset's method and length stay; the examples of its step may be split otherwise."""
        left = {*SIZED} - {*published.values(self.preset, self.objective)} | {"batch", "accumulate"}
        return left & self.chosen() if self.size else set()

    def identity(self) -> dict[str, Any]:
        """What a `size` chooses is not known before the base is seen: its name stands for it. A provider is told only some of the settings."""
        if self.method == "api":
            unset = {"batch", "max_length"} - self.model_fields_set
            return {name: value for name, value in super().identity().items() if name in AT_PROVIDER - unset}
        return {name: value for name, value in super().identity().items() if name not in {*self.sized(), "rate_multiplier"}}

    def preset_told(self) -> dict[str, Any] | None:
        """What the preset chose, and which of its values were set by hand; None where there is none."""
        if not self.preset:
            return None
        values = published.values(self.preset, self.objective)
        chose = {name: value for name, value in values.items() if getattr(self, name) == value}
        by_hand = {name: getattr(self, name) for name in values if name not in chose and not (self.size and name in SIZED)}
        return {"name": self.preset, "chose": chose, "by_hand": by_hand}


class Evaluate(Section):
    """A model to scores."""

    # What the file holds enters the fingerprint, not where it lies.
    questions: str = Field(
        "", description="a .jsonl file beside the config; else questions.jsonl beside it; else held-out examples", json_schema_extra=WHERE
    )
    k: Annotated[list[Annotated[int, Field(ge=1)]], BeforeValidator(several)] = Field(
        [1, 3, 5], description="how many retrieved passages the models are given: several numbers, or one"
    )
    headline: int = Field(0, ge=0, description="the number of passages that the report speaks of first, one of `k`; 0: the middle one")
    without: bool = Field(True, description="also ask without any passage (setting `none`)")
    without_limit: int = Field(0, ge=0, description="ask only so many of the questions without any passage (0: all); the choice is seeded")
    given: bool = Field(True, description="also ask with the right passage given (setting `given`)")
    metrics: list[str] = Field([], description="which of `groundling list metrics`; empty: all", examples=[["correct", "f1"]])
    compare: bool = Field(True, description="score the base model too, and test the tuned one against it")
    prompt_trials: int = Field(40, ge=0, description="questions on which the base model's best of three prompts is chosen; 0: all questions")
    limit: int = Field(0, ge=0, description="score only so many questions (0: all); the choice is seeded")
    batch: int = Field(64, ge=1, description="questions asked together; each batch that a model makes of them is saved as it ends")
    max_tokens: int = Field(128, ge=8, description="longest reply")
    max_failed: float = Field(0.05, ge=0, le=1, description="the stage stops where a larger share of answers fails", json_schema_extra=WHERE)

    @model_validator(mode="after")
    def _asked(self) -> Evaluate:
        if self.headline and self.headline not in self.k:
            raise ValueError(f"headline is {self.headline}, which is none of k ({', '.join(map(str, self.k))}): it must be asked to be spoken of")
        return self


class Search(Section):
    """Settings tried out: `groundling search`; see docs/search.md."""

    trials: int = Field(12, ge=1, description="how many settings are tried in all, the config's own first", json_schema_extra=WHERE)
    minutes: float = Field(0, ge=0, description="most minutes that all trials may take together; 0: no limit", json_schema_extra=WHERE)
    metric: Literal["loss"] = Field("loss", description="what chooses: the loss on held-out examples that the evaluation does not ask")
    validation: float = Field(0.2, gt=0, lt=1, description="share of the training documents that chooses, where held-out examples must not")
    prune: bool = Field(True, description="stop a trial whose held-out loss is above the median of the finished ones at that step")
    space: dict[str, Annotated[Any, BeforeValidator(numbers)]] = Field(
        {"train.rate": [3e-5, 3e-3], "train.rank": [4, 8, 16, 32], "train.epochs": [1, 2, 3]},
        description="settings to change: two numbers are a range, more (or words) are choices; also {low, high, log} and {choices: […]}",
    )


class Serve(Section):
    """A model to answers."""

    host: str = Field("127.0.0.1", json_schema_extra=WHERE)
    port: int = Field(8080, ge=0, le=65535, json_schema_extra=WHERE)
    k: int = Field(3, ge=1, description="passages retrieved for a question")
    max_tokens: int = Field(256, ge=8, description="longest reply")


class Endpoint(Section):
    """A model behind an OpenAI-compatible API: OpenAI, vLLM, TGI, llama-server, Ollama, OpenRouter. Its key is never written down anywhere."""

    base_url: str = Field(pattern=r"^https?://[^\s@?#]+$", description="where the API is, up to and with /v1", examples=["http://localhost:8000/v1"])
    model: str = Field(min_length=1, description="the model's name there", examples=["its-name"])
    key_env: Annotated[str, AfterValidator(no_key)] = Field(
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
    price_train: float = Field(0, ge=0, description="USD per million tokens that it is fine-tuned on (method api)", json_schema_extra=WHERE)
    tuned_price_in: float = Field(0, ge=0, description="as price_in, of what it is fine-tuned to; 0: the same", json_schema_extra=WHERE)
    tuned_price_out: float = Field(0, ge=0, description="as price_out, of what it is fine-tuned to; 0: the same", json_schema_extra=WHERE)
    structured: Literal["auto", "native", "prompt"] = Field("auto", description="JSON replies by response_format, by words, or whichever works")
    batch: bool = Field(False, description="send files of requests: cheaper and slower, where the provider has it", json_schema_extra=WHERE)
    batch_price: float = Field(1, gt=0, le=1, description="share of the prices that batch mode costs; 0.5 at many providers", json_schema_extra=WHERE)
    extra: dict[str, Any] = Field({}, description="further fields of each request's body; null leaves a field out", examples=[{"top_p": 0.9}])
