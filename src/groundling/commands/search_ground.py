"""What the trials of a search have in common: what is learnt from and what chooses, the settings, and the conditions under which they compare."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import pipeline, registry
from ..asked import training
from ..config import Train
from ..errors import ConfigError, InputError, StaleError
from ..llm.weights import Weights
from ..records import Example, Pair
from ..runs import Run
from ..sections import GROUNDED
from ..seeds import rng
from ..settings import space
from ..settings.trials import Book
from ..workspace import fingerprint, first_different

MEASURES = 4  # at least so often a trial of the config's own length is measured, so that a short one can be given up too


class Ground(NamedTuple):
    """What all trials have in common.

    `measured` are the examples whose loss chooses, `aside` the documents that are not trained on for their sake.
    """

    run: Run
    space: dict[str, space.Dimension]
    options: Train
    base: Weights
    kind: type[Example] | type[Pair]
    measured: Sequence[Any]
    aside: frozenset[str]


def ground(run: Run, redo: bool = False) -> Ground:
    """Raises InputError where there is nothing to measure on, ConfigError where the space or the settings allow no search."""
    dimensions = space.parse_space(run.config)
    if not run.config.train.eval_rows:
        raise ConfigError("A search chooses by the held-out loss, and train.eval_rows = 0 says not to measure it. Set it to 128, its default.")
    kind: type[Example] | type[Pair] = Pair if run.space.holds_pairs("curate") else Example
    records = list(run.space.read("curate", kind))
    learnt = [r for r in records if r.split == "train"]
    free = not run.mute and run.config.train.format in GROUNDED and bool(run.questions)
    measured = [r for r in records if r.split == "held_out"] if free else []
    aside: frozenset[str] = frozenset()
    if not measured:
        aside = carved(sorted({document(r) for r in learnt}), run.config.search.validation, run.config.seed)
        measured = [r for r in learnt if document(r) in aside]
    options = _options(run, sum(document(r) not in aside for r in learnt), {} if redo else (Book(run.space.search).record() or {}))
    return Ground(run, dimensions, options, run.base(), kind, _chosen(measured, options, run), aside)


def _options(run: Run, rows: int, record: dict[str, Any]) -> Train:
    """The settings that trials change some of. A search that was begun keeps what it settled: the config may have other searched values by now."""
    from ..train.dial import settle

    options = training(run, _Quiet())
    if held := record.get("options"):
        return options.model_copy(update=held)
    options, told = settle(options, run.base())
    for line in told:
        run.say(line)
    steps = options.steps or math.ceil(options.epochs * math.ceil(rows / (options.batch * options.accumulate)))
    return options.model_copy(update={"eval_steps": max(1, min(options.eval_steps, steps // MEASURES))})


def _chosen(records: Sequence[Any], options: Train, run: Run) -> list[Any]:
    """Those whose loss is measured: as many as `eval_rows` allows, without what is too long. Raises InputError where none is left."""
    from ..train import Aside, drawn
    from ..train.dial import within
    from ..train.tokens import rows_of

    options, _ = within(options, run.base())
    some = drawn(records, options, run.config.seed)
    make = getattr(registry.load("objective", options.objective), "rows_of", rows_of)
    fitting = {row.id for row in make(some, run.base(), options, Aside())}
    if not fitting:
        raise InputError(
            f"None of the {len(some)} examples that would choose has {options.max_length} tokens or fewer (train.max_length), so no trial could be "
            "judged. Raise it, or make shorter examples: smaller chunks (chunk.size) or fewer passages."
        )
    return [record for record in some if record.id in fitting]


class _Quiet:
    """Takes the notes of what will train later."""

    def note(self, **values: Any) -> None:
        pass


def document(record: Any) -> str:
    return record.document or record.unit


def carved(documents: Sequence[str], share: float, seed: int) -> frozenset[str]:
    """The training documents that choose, drawn by the seed: at least one, and never all. Raises InputError for fewer than two."""
    if len(documents) < 2:
        raise InputError(
            f"A search needs examples from two training documents or more, to learn from some and to choose by others; there are {len(documents)}. "
            "Give more documents, or write questions.jsonl (see docs/search.md): then the held-out examples may choose."
        )
    drawn = sorted(documents, key=lambda d: rng(seed, "validation", d).random())
    return frozenset(drawn[: min(len(documents) - 1, max(1, round(share * len(documents))))])


def conditions(found: Ground) -> dict[str, Any]:
    """All that trials must have in common for their losses to compare."""
    run = found.run
    stages = {stage.name: stage for stage in pipeline.STAGES}
    curated = run.space.record("curate") or {}
    own = pipeline.settings_of(run, stages["train"])
    sources = pipeline.sources_of(run, stages["train"], {"curate": curated["fingerprint"]})
    told = {
        "train": {name: value for name, value in own.items() if f"train.{name}" not in found.space},
        "space": {key: dimension.told() for key, dimension in found.space.items()},
        "inputs": sources, "validation": sorted(found.aside) or "held-out examples", "prune": run.config.search.prune, "seed": run.config.seed,
    }  # fmt: skip
    return json.loads(json.dumps(told))


def opened(found: Ground, redo: bool) -> Book:
    """The search's folder, begun where there is none. Raises StaleError where its trials do not compare with those that would follow."""
    book, now = Book(found.run.space.search), conditions(found)
    if redo:
        book.clear()
    record = book.record()
    if record and record["conditions"] != now:
        raise StaleError(
            f"The {len(book.read())} trials in {book.folder} were made under other conditions "
            f"({'; '.join(first_different(record['conditions'], now))}), so further ones would not compare with them. To throw them away, add --redo."
        )
    if not record:
        told = {"examples": len(found.measured), "documents": len({document(r) for r in found.measured}), "carved": bool(found.aside)}
        mark = fingerprint("search", now, {}, found.run.config.seed)
        # What is settled once, for the config as it is now, and then holds for all trials.
        held = found.options.model_dump(mode="json", include={"keep", "eval_steps", *found.run.config.train.sized()})
        book.begin({"fingerprint": mark, "conditions": now, "validation": told, "metric": "loss", "options": held})
    return book
