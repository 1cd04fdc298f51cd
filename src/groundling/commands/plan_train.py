"""The part of the plan about training: examples, tokens and steps; time only where this run was trained before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import forecast, pipeline
from ..config import Train
from ..forecast import Interval
from ..records import Example, Pair
from ..runs import Run
from ..settings.trials import Book
from ..told import thin
from . import plan_tune

SAMPLE = 300  # examples that are rendered and counted


def training(run: Run, expected: Interval | None, kept: Sequence[Example], share: float = 1.0) -> dict[str, Any]:
    """What training will read. From the curated examples where they are there, else from `expected` rows of which `share` pass the filters.

    `kept` are rows that were made already, to count tokens in.
    """
    state = {s.name: s.state for s in pipeline.states(run)}
    if state["curate"] == "done":
        kind = Pair if run.space.holds_pairs("curate") else Example
        rows = [e for e in run.space.read("curate", kind) if e.split == "train"]
        count = Interval(float(len(rows)), float(len(rows)), float(len(rows)))
    else:
        rows = [e for e in kept if e.split == "train"]
        count = _trained_on(expected, len(rows), round(len(kept) / share)) if expected and kept else Interval(None)
    if run.hosted:
        return plan_tune.training(run, state["train"], count, rows, state["curate"] == "done") | {"notes": _notes(run)}
    each, why = _tokens(run, rows)
    options, memory = memory_of(run)
    step = options.batch * options.accumulate
    return {
        "state": state["train"], "examples": count, "measured_in": min(len(rows), SAMPLE), "counted": state["curate"] == "done",
        "tokens": forecast.scaled(count, each) if each else Interval(None), "tokens_why": why,
        "steps": Interval(*(None if n is None else float(options.steps or math.ceil(options.epochs * math.ceil(n / step))) for n in count)),
        "epochs": epochs_of(options, count.value), "base": options.base, "memory": memory, "seconds": (one := _seconds(run, options, count, each)),
        "search": _search(run, one), "notes": _notes(run),
    }  # fmt: skip


def _notes(run: Run) -> list[str]:
    """What is said of the split beside the numbers, each as a sentence without the indentation that it is printed with."""
    return [line.strip() for line in thin(run)]


def epochs_of(options: Train, rows: float | None) -> float | None:
    """How often so many examples are gone through; None where `steps` says how long training is, and how many there are is not known yet."""
    if not options.steps:
        return options.epochs
    return options.steps / math.ceil(rows / (options.batch * options.accumulate)) if rows else None


def _search(run: Run, one: Interval) -> dict[str, Any] | None:
    """The trials of a search that are left, each as long as a training; None where the config names no search."""
    if "search" not in run.config.model_fields_set:
        return None
    done = sum(t.ended for t in Book(run.space.search).read())
    left = max(0, run.config.search.trials - done)
    return {"trials": run.config.search.trials, "done": done, "seconds": forecast.scaled(one, left)}


def memory_of(run: Run) -> tuple[Train, list[str]]:
    """The settings that training will have, and what they take: at most, as examples are seldom as long as they may be."""
    from ..train.dial import at_most

    return at_most(run.config.train, run.base())


def _trained_on(expected: Interval, passed: int, made: int) -> Interval:
    """Of `made` rows `passed` were kept and are of the training side; as many in proportion of the `expected` ones, give or take 1.96 errors."""
    part = passed / made
    error = 1.96 * math.sqrt(part * (1 - part) / made)
    parts = (part, max(0.0, part - error), min(1.0, part + error))
    return Interval(*(None if n is None else n * p for n, p in zip(expected, parts, strict=True)))


def _tokens(run: Run, rows: Sequence[Example]) -> tuple[float | None, str]:
    """Mean tokens of an example in the base's own tokenizer; None and the reason where they cannot be counted here."""
    base = str(run.base().outermost)
    if not rows:
        return None, "no example to count yet"
    if not Path(base).is_dir():
        return None, f"the tokenizer of {base} is not on this machine yet"
    try:
        import transformers  # noqa: F401
    except ImportError:
        return None, 'the extra [train] is not installed: pip install "groundling[train]"'
    from ..llm.local import accepts_documents, load_tokenizer
    from ..train.pairs import pair_row
    from ..train.tokens import row_of

    def size(e: Example | Pair) -> int:
        return len((pair_row if isinstance(e, Pair) else row_of)(e, run.config.train.format, tokenizer, role).ids)

    tokenizer = load_tokenizer(base)
    role = accepts_documents(tokenizer)
    some = rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]
    return sum(map(size, some)) / len(some), ""


def _seconds(run: Run, options: Train, count: Interval, each: float | None) -> Interval:
    """From what the last training of this run took for a token; not known where it was never trained."""
    record = run.space.record("train")
    if record is None or not each or not (notes := record["notes"]).get("tokens"):
        return Interval(None)
    before = {**record["settings"], **notes.get("settled", {})}
    then = options.model_copy(update={name: before[name] for name in ("epochs", "steps", "batch", "accumulate") if name in before})
    passed = notes["tokens"] / notes["rows"] * _seen(then, notes["rows"])
    read = Interval(*(None if n is None else _seen(options, n) for n in count))
    return forecast.scaled(read, each * record["seconds"] / passed)


def _seen(options: Train, rows: float) -> float:
    """Examples that are passed through the network, each as often as it is seen."""
    return options.steps * options.batch * options.accumulate if options.steps else rows * options.epochs
