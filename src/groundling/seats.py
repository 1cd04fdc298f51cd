"""Who takes part while a recipe makes its data: teacher, student and judge around one journal, and what of a run they may use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from . import grounding
from .errors import BudgetError
from .runs import Run
from .seeds import digest

if TYPE_CHECKING:
    from .llm.base import Model
    from .llm.journal import Journal
    from .llm.reward import Reward


class Models(NamedTuple):
    """Who takes part in making data. All real ones share the run's journal; roles that the config gives to one model share that model."""

    teacher: Model
    student: Model | None = None
    judge: Model | Reward | None = None
    journal: Journal | None = None


@contextmanager
def teaching(run: Run) -> Iterator[Models]:
    """The run's teacher, and its student and judge where it has them, while the block runs. Replies are kept in the run's journal.

    The rules of `template` have no journal: nothing is paid, and asking again is as quick as looking up. Raises ModelError for a key or a
    checkpoint that is missing; a BudgetError is told with what was spent in the end, calls in flight included.
    """
    from .llm.journal import Journal
    from .llm.open import remembered

    chosen = run.config.synthesize
    names = {"teacher": chosen.teacher, "student": chosen.student, "judge": chosen.judge}
    opened = {name: run.judge(name) if role == "judge" else run.model(name) for role, name in names.items() if name}
    journal = Journal(run.space.journal) if set(opened) != {"template"} else None
    try:
        asked: dict[str, Any] = {  # an empty journal counts as false
            n: remembered(m, journal, run.config, run.say) if journal is not None and hasattr(m, "replies") and n != "template" else m
            for n, m in opened.items()
        }
        try:
            yield Models(**{role: asked[name] for role, name in names.items() if name}, journal=journal)
        except BudgetError:
            spent = next(m for m in opened.values() if hasattr(m, "budget"))
            raise BudgetError(spent.budget.sentence()) from None
    finally:
        if journal is not None:
            journal.close()


def seats(run: Run, models: Models, settings: dict[str, Any]) -> dict[str, Any]:
    """What of a run its recipe may use, as the fields of a bench that hang on the run: models, search, other runs' examples, files.

    `finished` and `finish` tell which units of these settings an interrupted run was done with, as its journal knows.
    """
    found = {
        "teacher": models.teacher, "student": models.student, "judge": models.judge, "search": run.search, "chunks": list(run.chunks.values()),
        "seed": run.config.seed, "held_out": run.config.held_out, "split_of": run.split_of, "examples": run.examples_of, "path": run.path,
        "format": grounding.FORMATS[run.config.train.format], "documents": lambda: run.documents.values(),
    }  # fmt: skip
    if models.journal is None:
        return found
    journal, work = models.journal, digest("synthesize", json.dumps(settings, sort_keys=True), run.config.seed)
    return found | {"finished": journal.finished(work), "finish": lambda unit: journal.finish(work, unit)}
