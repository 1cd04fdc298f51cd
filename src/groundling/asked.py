"""What a trained model is asked where nobody wrote questions (held-out examples, as they are or made into questions), and that it stays unknown."""

from __future__ import annotations

from collections.abc import Iterable

from .errors import InputError
from .llm.weights import RUN, run_folder
from .records import Example, Question
from .runs import Run, open_run, reads
from .sections import GROUNDED, Train
from .workspace import Output


def examples_behind(run: Run) -> list[Example]:
    """The run's curated examples. Where it has preference pairs, the examples that these were made of: questions are the same in all rounds."""
    if not run.space.holds_pairs("curate"):
        return list(run.space.read("curate", Example))
    return [example for name in reads(run) for example in run.examples_of(name)]


def trained_on(run: Run, examples: Iterable[Example]) -> frozenset[str]:
    """The documents that the run's model has learnt from: its own examples', and those of each run that its base came out of."""
    found = {e.document for e in examples if e.split == "train"}
    while run.config.train.base.startswith(RUN):
        run = open_run(run_folder(run.config.train.base, run.beside), None, [], run.say)
        found |= {e.document for e in examples_behind(run) if e.split == "train"}
    return frozenset(found)


def held_out_of(run: Run, examples: Iterable[Example]) -> list[Example]:
    """What a model is asked whose format is not grounded: the held-out examples themselves. None for other formats."""
    if run.config.train.format in GROUNDED:
        return []
    held = [e for e in examples if e.split == "held_out"]
    if not held:
        raise InputError("There is no held-out example to evaluate on. Raise held_out, or give more examples.")
    return held


def training(run: Run, out: Output) -> Train:
    """The train section. Examples that the evaluation will ask do not choose the checkpoint: they would judge what was chosen by them.

    They are asked where the format is not grounded, and where nobody wrote questions.
    """
    options = run.config.train
    if run.mute and options.keep != "last":
        out.note(keep="last: the held-out pairs are what the reward model is measured on, so they do not choose the checkpoint")
        return options.model_copy(update={"keep": "last"})
    if options.keep == "last" or (options.format in GROUNDED and run.questions):
        return options
    out.note(keep="last: the held-out examples are what the evaluation asks, so they do not choose the checkpoint")
    return options.model_copy(update={"keep": "last"})


def questions_of(run: Run, examples: Iterable[Example]) -> list[Question]:
    """Where nobody wrote questions: those the teacher asked about documents that are not trained on, each answerable alone from one passage."""
    found = []
    for e in examples:
        if e.split == "held_out" and e.support == "cited" and not e.history and len({q.passage for q in e.quotes}) == 1:
            gold = run.chunks.get(e.passages[e.oracle].id)
            if gold is None:  # of another source than this run's documents
                continue
            known = {"answers": [e.answer], "answerable": True, "document": gold.path, "passage": gold.text}
            found.append(Question(id=e.id, question=e.question, **known))
    if not found:
        raise InputError(
            "There are no questions to evaluate on: no questions.jsonl, and no example from a held-out document. "
            "Write some questions (see the README), or raise held_out."
        )
    return found


def something_to_ask(run: Run) -> None:
    """Where nobody wrote questions, there must be held-out examples: found out before training, not after."""
    examples = [] if run.questions else examples_behind(run)
    if not run.questions and not held_out_of(run, examples):
        questions_of(run, examples)
