"""The part of the plan about evaluation: how many answers are asked for; time only where this run was evaluated in the same way before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import pipeline
from ..asked import examples_behind, held_out_of, questions_of
from ..config import Evaluate
from ..errors import UserError
from ..forecast import Interval
from ..grounding import FORMATS
from ..llm.weights import RUN
from ..records import Question
from ..runs import Run
from ..sections import GROUNDED

_WAYS = 3  # in which a base model is asked at most, to choose the best (evaluate/prompts.py)
_SAME = ("k", "without", "given", "max_tokens")  # settings that must be those of the last evaluation for its pace to tell anything


def evaluation(run: Run) -> dict[str, Any]:
    """What evaluation will ask of each model, by setting. `why` says why that is not known, or why there is none."""
    state = next(s for s in pipeline.states(run) if s.name == "evaluate")
    if state.state in ("done", "none"):
        return {"state": state.state, "why": state.why}
    try:
        counts = _counts(run)
    except UserError as error:
        return {"state": state.state, "why": str(error)}
    if counts is None:
        return {"state": state.state, "why": "its questions are the examples of held-out documents, and those are not made and curated yet"}
    asked, settings = counts
    models = 1 + run.config.evaluate.compare
    answers, trial = models * sum(settings.values()), _trial(run, settings)
    return {
        "state": state.state, "why": "", "questions": asked, "settings": settings, "models": models, "answers": answers, "trial": trial,
        "seconds": _seconds(run, answers + trial - trial // _WAYS),  # the chosen way's trial is not asked again
    }  # fmt: skip


def _counts(run: Run) -> tuple[int, dict[str, int]] | None:
    """The number of questions, and of those of them that each setting asks. None where the questions are not made yet."""
    options, made = run.config.evaluate, _curated(run)
    if run.config.train.format not in GROUNDED:
        if not made:
            return None
        drawn = _at_most(len(held_out_of(run, examples_behind(run))), options.limit)
        return drawn, {"given": drawn}
    if not run.questions and not made:
        return None
    found = _drawn(run.questions or questions_of(run, examples_behind(run)), options, run.config.seed)
    return len(found), _by_setting(found, options, run.config.seed)


def _curated(run: Run) -> bool:
    return next(s.state for s in pipeline.states(run) if s.name == "curate") == "done"


def _at_most(count: int, limit: int) -> int:
    return min(count, limit) if limit else count


def _drawn(questions: Sequence[Question], options: Evaluate, seed: int) -> list[Question]:
    from ..evaluate.run import chosen

    return chosen(questions, options.limit, seed, "limit")


def _by_setting(questions: Sequence[Question], options: Evaluate, seed: int) -> dict[str, int]:
    """The setting `given` asks those alone that have a passage to be given, `none` as many as without_limit says."""
    from ..evaluate.cases import settings
    from ..evaluate.run import without

    fewer = {
        "given": sum(q.answerable and bool((q.passage or "").strip()) for q in questions),
        "none": len(without(questions, options, seed)),
    }
    return {name: fewer.get(name, len(questions)) for name in settings(options)}


def _trial(run: Run, settings: dict[str, int]) -> int:
    """Answers that choose how the base is asked; a base that is another run's model is asked as it was taught."""
    from ..evaluate.cases import headline

    options = run.config.evaluate
    if not options.compare or run.config.train.base.startswith(RUN):
        return 0
    return _WAYS * _at_most(settings.get(headline(options), max(settings.values())), options.prompt_trials)


def _seconds(run: Run, answers: int) -> Interval:
    """From what the last evaluation of this run took for a reply. Not known where there was none, or none that was asked the same way.

    Replies that were found in the journal took no time, and are not counted.
    """
    record = run.space.record("evaluate")
    notes = (record or {}).get("notes", {})
    asked, fmt, now = notes.get("asked", {}), run.config.train.format, run.config.evaluate.identity()
    if record is None or not asked.get("replies") or (asked["base"], notes["headline"]["format"]) != (run.config.train.base, fmt):
        return Interval(None)
    if any(record["settings"].get(name) != now[name] for name in _SAME):
        return Interval(None)
    return Interval(answers * FORMATS[fmt].turns * record["seconds"] / asked["replies"])
