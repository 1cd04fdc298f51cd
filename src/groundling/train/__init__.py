"""Examples to a model: what is trained is checked before it starts, and the saved model must load and generate before it counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .. import grounding, registry
from ..config import Train
from ..errors import InputError, MachineError, ModelError
from ..llm.local import Local, need_torch, weights_fingerprint
from ..panel import Watch, unwatched
from ..records import Example
from ..seeds import digest
from ..workspace import Output, write_json
from .tokens import Row, rows_of


def train(examples: Iterable[Example], options: Train, base: str, seed: int, out: Output, watch: Watch = unwatched) -> None:
    """Train on the examples of the `train` split and leave an adapter, its tokenizer and groundling.json in the output's folder.

    `base` is a folder or hub name. Raises InputError where nothing can be learnt from, ModelError where the result does not generate.
    """
    need_torch()
    _need_trainer()
    objective = registry.load("objective", options.objective)
    chosen = [e for e in examples if e.split == "train"]
    rows = rows_of(chosen, base, options, out)
    check_rows(rows)
    for row in rows:
        out.keep(row)
    answers, tokens = sum(row.trained for row in rows), sum(len(row.ids) for row in rows)
    log = objective.run(rows, base, options, seed, out.folder, watch)
    describe(out.folder, options, base)
    reload(out.folder, base, next(e for e in chosen if e.id == rows[0].id), options.format)
    out.note(log=log, tokens=tokens, trained_tokens=answers, rows=len(rows), base=options.base)


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


def describe(folder: Path, options: Train, base: str) -> None:
    """groundling.json: the format the model was taught, with the hashes that serving compares."""
    write_json(
        folder / "groundling.json",
        {
            "format": options.format,
            "format_fingerprint": grounding.fingerprint(options.format),
            "template_hash": template_hash(folder),
            "base": options.base,
            "base_fingerprint": weights_fingerprint(Path(base)) if Path(base).is_dir() else base,
        },
    )


def template_hash(folder: Path) -> str:
    """The hash of a saved model's chat template."""
    path = folder / "chat_template.jinja"
    return digest(path.read_text("utf-8"), length=16) if path.is_file() else ""


def reload(folder: Path, base: str, example: Example, fmt: str) -> None:
    """Load what was saved, from disk, with stock libraries, and let it answer once. Raises ModelError where no token comes."""
    import asyncio

    from ..llm.base import Request

    model = Local(base, adapter=folder, name="tuned")
    prompt = grounding.FORMATS[fmt].prompt(example.question, example.passages, model.documents_role)
    reply = asyncio.run(model.replies([Request(messages=prompt, max_tokens=16)]))[0]
    if not reply.tokens_out:
        raise ModelError(f"The model saved in {folder} loads, but generates nothing. Try a lower learning rate (train.rate).")
