"""A run's trained model as what other programs load."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import grounding
from ..errors import ConfigError, ModelError
from ..export.job import Facts, Job, Part, Prompt, Wish
from ..records import Example, Pair
from ..runs import Run, Say, open_run, tuned
from ..workspace import read_json

if TYPE_CHECKING:
    from ..llm.local import Local
    from ..llm.reward import Reward


class Wanted(NamedTuple):
    """What the command line asks for."""

    target: str
    out: Path
    wish: Wish = Wish()
    push: str = ""


def deliver(path: Path, wanted: Wanted, say: Say, as_json: bool = False) -> None:
    """Export the run's model, and say what was seen of it. Raises ModelError where the exported side answers otherwise."""
    from ..export.hub import check_push, push
    from ..export.packing import pack
    from ..export.sides import PROMPTS

    run = open_run(path, None, [], lambda text: None)
    with _still(run):
        record, described = _trained(run)
        model = _model(run, described)
        if wanted.push:
            check_push(wanted.push, wanted.target, model.weights)
        facts = _facts(run, record)
        job = Job(
            wanted.target, wanted.out, run.project.name, model, described, _stands_on(facts.parts),
            list(islice(_prompts(run, described, model), PROMPTS)), facts, wanted.wish,
        )  # fmt: skip
        told = pack(job)
    found = told["verdict"]
    if as_json:
        say(json.dumps(told, ensure_ascii=False, indent=1))
    else:
        say(f"{wanted.out}: {run.project.name} as {wanted.target}\n  {', '.join(told['files'])}")
    if found["state"] == "differs":
        raise ModelError(f"{found['says']} The folder says so on its card. {_advice(wanted, told)}")
    if not as_json:
        say(found["says"])
    if wanted.push:
        say(push(wanted.out, wanted.push, told))


def _advice(wanted: Wanted, told: dict[str, Any]) -> str:
    if told["precision"] != "fp32" and told["base"]:
        return "On a GPU the run's own model rounds what it merges to 16 bits, and an adapter beside its base does not: --to merged is rounded alike."
    if told["precision"] != "fp32":
        return "Rounding to fewer bits can do that: --precision fp32 keeps every bit."
    return "Do not use it before the cause is found."


@contextmanager
def _still(run: Run) -> Iterator[None]:
    """Keep other runs off the folder while it is read. Raises MachineError where one is at work in it, or it cannot be locked."""
    if not run.space.root.is_dir():
        raise ModelError(f"{run.space.root} holds no trained model yet. Run `groundling run` on its project first.")
    with run.space.lock("export a copy of it"):
        yield


def _trained(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """The record of a finished training and groundling.json. Raises ModelError."""
    record, described = run.space.record("train"), run.space.described()
    if record is not None and described is not None:
        return record, described
    if (run.space.folder("train") / ".begun").exists():
        raise ModelError(f"The training in {run.space.root} was begun and is not done. The same command goes on: groundling train {run.space.root}.")
    raise ModelError(f"{run.space.root} holds no trained model yet. Run `groundling run` on its project first.")


def _model(run: Run, described: dict[str, Any]) -> Local | Reward:
    """The run's own model. Raises ModelError where base, format or chat template are not those that it was trained with."""
    from ..llm.local import Local
    from ..llm.reward import Reward
    from ..llm.weights import trained

    weights = trained(run.space.root).weights  # of a model that a provider holds there are none, which is said here
    if described.get("objective") != "reward":
        found = tuned(run)
        assert isinstance(found, Local)
        return found
    now = grounding.fingerprint(described["format"])
    if described["format_fingerprint"] != now:
        raise ModelError(
            f"The model of {run.space.root} was taught the prompt format {described['format_fingerprint']}, and this version renders {now}."
        )
    return Reward(*weights, name="tuned")


def _prompts(run: Run, described: dict[str, Any], model: Local | Reward) -> Iterator[Prompt]:
    """Prompts that the model knows how to answer: of held-out examples first, then of others; the format's fixtures where there are too few."""
    from transformers import AutoConfig

    from ..export.stock import TOKENS

    form = grounding.FORMATS[described["format"]]
    limit = getattr(AutoConfig.from_pretrained(model.weights.base), "max_position_embeddings", None) or 1 << 30
    records = [*_curated(run), *(e for e in grounding.fixtures() if described["format"] not in ("labels", "step"))]
    for record in sorted(records, key=lambda r: r.split != "held_out"):
        made = Prompt(grounding.conversation(form, record, model.documents_role), _reply(form, record))
        ids = model.tokenizer.apply_chat_template(made.messages, add_generation_prompt=True, return_dict=False)
        if len(ids) + TOKENS <= limit:
            yield made


def _reply(form: grounding.Format, record: Example | Pair) -> str:
    """What a reward model scores: of a pair the better reply."""
    return record.chosen if isinstance(record, Pair) else form.target(record)[-1]


def _curated(run: Run) -> Sequence[Example | Pair]:
    from .exporting import kind_of

    data = run.space.data("curate")
    return list(run.space.read("curate", kind_of(data))) if data.is_file() and data.stat().st_size else []


def _facts(run: Run, record: dict[str, Any]) -> Facts:
    """What the run knows about its model."""
    stages = {name: found for name in ("ingest", "chunk", "index", "synthesize", "curate") if (found := run.space.record(name))}
    name = run.config.synthesize.teacher
    endpoint = run.config.models.get(name)
    teacher = f"{name} ({endpoint.model})" if endpoint else _named(name)
    scores, setting, why = _scores(run, record)
    return Facts(stages, teacher, run.config.seed, _parts(run, record), scores, setting, why, _spent(run))


def _parts(run: Run, record: dict[str, Any]) -> list[Part]:
    """The trainings from the first base to this model, in order."""
    from ..llm.weights import RUN, run_folder

    found = [_part(run, record)]
    while run.config.train.base.startswith(RUN):
        run = open_run(run_folder(run.config.train.base, run.beside), None, [], lambda text: None)
        found.insert(0, _part(run, run.space.record("train") or {"counts": {"kept": 0}, "settings": {}}))
    return found


def _part(run: Run, record: dict[str, Any]) -> Part:
    """One training. What a `size` chose, or the base's length cut, stands in its record's notes; the method with the model itself."""
    method = {name: value for name, value in (run.space.described() or {}).items() if name == "method"}
    settings = record["settings"] | method | record.get("notes", {}).get("settled", {})
    return Part(run.project.name, _named(run.config.train.base), record | {"settings": settings})


def _named(base: str) -> str:
    """A base or teacher as a card names it: of a folder its own name, not the way to it on this machine."""
    a_path = base.startswith((".", "/", "~")) or base.count("/") > 1 or (base not in ("", "nano", "template") and Path(base).is_dir())
    return f"{Path(base).name} (a folder)" if a_path else base


def _stands_on(parts: Sequence[Part]) -> str:
    """The name of what the last adapters stand on: the first base, or the last run before this one that was trained in full."""
    whole = [f"run:{part.name}" for part in parts[:-1] if part.record["settings"].get("method") == "full"]
    return whole[-1] if whole else parts[0].base


def _scores(run: Run, trained: dict[str, Any]) -> tuple[list[dict[str, Any]], str, str]:
    """The tuned model's scores over all questions, their headline setting, and where there are none the reason."""
    record = run.space.record("evaluate")
    if run.mute:
        return [], "", run.mute
    if record is None:
        return [], "", "the model was not evaluated"
    if record["inputs"].get("train") != trained["fingerprint"]:
        return [], "", "those that are there were measured on an earlier model"
    every = read_json(run.space.folder("evaluate") / "scores.json")
    return [s for s in every if s["model"] == "tuned" and s["questions"] == "all"], record["notes"].get("headline", {}).get("setting", ""), ""


def _spent(run: Run) -> tuple[int, float] | None:
    """Tokens and USD of the run's endpoints; None where there was none."""
    from ..llm.journal import Journal

    if not run.config.models or not run.space.journal.is_file():
        return None
    journal = Journal(run.space.journal)
    try:
        cost = journal.spent()
    finally:
        journal.close()
    return cost[0] + cost[1], cost[2]


def check(wanted: Wanted, format: str, split: str) -> None:
    """Raise ConfigError for options that go with data."""
    if format or split:
        raise ConfigError(
            f"--format and --split go with data. A model stays in the format that it was taught: leave them out of --to {wanted.target}."
        )
