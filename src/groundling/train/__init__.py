"""Examples to a model: what is trained is checked before it starts, and the saved model must load and generate before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import grounding, registry
from ..config import Train
from ..errors import InputError, MachineError, ModelError
from ..llm.local import Local, device, need_torch
from ..llm.weights import Weights
from ..panel import Watch, unwatched
from ..records import Example
from ..sections import SIZED
from ..seeds import digest, rng
from ..workspace import Output, write_json
from . import launch
from .checks import base_of, check
from .dial import Work, refuse_too_large, within
from .model import computing
from .options import needs_of
from .packing import given_up
from .scoring import Job
from .several import count
from .sizing import shape
from .tokens import TOO_LONG, Row, Rows, rows_of


def train(records: Iterable[Any], options: Train, base: Weights, seed: int, out: Output, watch: Watch = unwatched) -> None:
    """Train on the records of the `train` split and leave an adapter or a whole model, its tokenizer and groundling.json in the output's folder.

    The loss is also measured on those that are held out. Raises InputError where nothing can be learnt from, ModelError where the result does
    not do what the objective is for.
    """
    need_torch()
    _need_trainer()
    check(options, base_of(base, fetch=True))
    preset = options.preset_told()
    options, limit = within(options, base)
    objective = registry.load("objective", options.objective)
    make = getattr(objective, "rows_of", rows_of)
    sides: dict[str, list[Any]] = {"train": [], "held_out": []}
    for record in records:
        sides[record.split].append(record)
    rows = Rows(make(sides["train"], base, options, out))
    if sides["train"] and not rows and out.dropped[TOO_LONG]:
        raise InputError(_all_too_long(out.dropped[TOO_LONG], options, bool(limit)))
    check_rows(rows)
    rows.held_out = measured(sides["held_out"], lambda some, aside: make(some, base, options, aside), options, seed)
    for row in rows:
        out.keep(row)
    estimated = refuse_too_large(options, base, largest(rows, options, base))
    log = launch.run(objective, Job(rows, base, options, seed, out.folder, watch))
    describe(out.folder, options, base)
    first = next(r for r in sides["train"] if r.id == rows[0].id)
    getattr(objective, "reload", reload)(out.folder, base, first, options)
    if hasattr(objective, "notes"):
        out.note(**objective.notes(out.folder, base, make(sides["held_out"], base, options, Aside()), options))
    tokens, trained = sum(len(row.ids) for row in rows), sum(row.trained for row in rows)
    out.note(log=log, tokens=tokens, trained_tokens=trained, rows=len(rows), held_out_rows=len(rows.held_out), base=options.base)
    if (processes := count(options)) > 1:
        out.note(processes=processes)
    if options.size or limit:  # what was chosen is in no setting
        out.note(settled={name: getattr(options, name) for name in SIZED})
    chosen, unpacked = computing(options, base), given_up(out.folder)
    out.note(computing=chosen._replace(packing=chosen.packing and not unpacked)._asdict())
    advice = [sentence for sentence in (limit, unpacked) if sentence]
    out.note(memory_estimate=estimated, device=device(), **({"preset": preset} if preset else {}), **({"advice": advice} if advice else {}))


def _all_too_long(count: int, options: Train, limited: bool) -> str:
    most = f"the {options.max_length} tokens that {options.base} reads. Make" if limited else (
        f"train.max_length = {options.max_length} tokens. Raise it, or make"
    )  # fmt: skip
    return f"All {count} examples are longer than {most} shorter examples: smaller chunks (chunk.size) or fewer passages."


def largest(rows: Sequence[Any], options: Train, base: Weights) -> Work:
    """The largest batch that there may be: prompts and replies may come from different rows of it, and are padded to the longest of each."""
    batch, needs = min(options.batch, len(rows)), needs_of(options)
    if not hasattr(rows[0], "branches"):
        longest = max(len(row.ids) for row in rows)
        return Work(longest, batch, max(row.trained for row in rows) / longest)
    found = shape(base)
    together = needs.together and (found is None or found.together)
    each = [list(map(len, row.branches().replies)) for row in rows]
    replies = max(map(sum, each)) if together else max(map(max, each))
    longest = max(len(row.prompt) for row in rows) + replies
    return Work(longest, batch * (1 if together else max(map(len, each))), (replies + 1) / longest, max(row.longest for row in rows))


class Aside:
    """Takes the place of an output where what is left out counts nowhere: rows that are only measured on."""

    def drop(self, reason: str, what: Any) -> None:
        pass


def measured(records: Sequence[Any], make: Callable[[Sequence[Any], Any], Sequence[Any]], options: Train, seed: int) -> list[Any]:
    """The rows that the held-out loss is measured on, like lengths together."""
    return sorted(make(drawn(records, options, seed), Aside()), key=lambda row: (len(row.ids), row.id))


def drawn(records: Sequence[Any], options: Train, seed: int) -> list[Any]:
    """The records that the held-out loss is measured on: drawn by the seed, whatever their order."""
    return sorted(records, key=lambda record: rng(seed, "held-out loss", record.id).random())[: options.eval_rows]


def _need_trainer() -> None:
    try:
        import accelerate  # noqa: F401
        import datasets  # noqa: F401
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise MachineError(f'Training needs the extra [train] ({error.name} is missing): pip install "groundling[train]".') from error


def check_rows(rows: Sequence[Row]) -> None:
    """Refuse data with nothing to learn: no row, a row without a trained token, or rows in which every token is trained."""
    if not rows:
        raise InputError("There is nothing to train on: no example is left after curation. See 5-curated/dropped.jsonl for the reasons.")
    for row in rows:
        if row.trained == 0:
            raise InputError(f"Example {row.id} has no trained token: its answer is empty. Training would learn nothing from it.")
        if row.trained == len(row.ids):
            raise InputError(f"In example {row.id} every token is trained, the prompt too. The prompt must not be learnt; check the chat template.")


def describe(folder: Path, options: Train, base: Weights) -> None:
    """groundling.json: the format the model was taught, with the hashes that serving compares."""
    write_json(
        folder / "groundling.json",
        {
            "format": options.format,
            "format_fingerprint": grounding.fingerprint(options.format),
            "template_hash": template_hash(folder),
            "base": options.base,
            "base_fingerprint": base.fingerprint,
            "objective": options.objective,
            "method": options.method,
        },
    )


def template_hash(folder: Path) -> str:
    """The hash of a saved model's chat template."""
    path = folder / "chat_template.jinja"
    return digest(path.read_text("utf-8"), length=16) if path.is_file() else ""


def reload(folder: Path, base: Weights, example: Example, options: Train) -> None:
    """Load what was saved, from disk, with stock libraries, and let it answer once. Raises ModelError where no token comes."""
    import asyncio

    from ..llm.base import Request

    model = Local(*saved(folder, base, options), name="tuned")
    prompt = grounding.FORMATS[options.format].prompt(example.question, example.passages, model.documents_role)
    reply = asyncio.run(model.replies([Request(messages=prompt, max_tokens=16)]))[0]
    if not reply.tokens_out:
        raise ModelError(f"The model saved in {folder} loads, but generates nothing. Try a lower learning rate (train.rate).")


def saved(folder: Path, base: Weights, options: Train) -> Weights:
    """The weights of what was trained: a whole model, or the base with one adapter more."""
    return Weights(str(folder)) if options.method == "full" else Weights(base.base, (*base.adapters, folder))
