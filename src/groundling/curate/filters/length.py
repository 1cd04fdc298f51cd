"""Drops what is too short or too long, counted in characters: question, answer, and all passages together.
For: empty questions, essays, contexts beyond the model. Options: question_min, question_max, answer_min, answer_max, passages_max.

Nothing is cut. Training drops and counts what is longer than train.max_length in tokens; this is the filter for lengths that a person chooses, for
example answers of 600 to 3,000 characters as in instruction backtranslation (arXiv 2308.06259, appendix E).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field, model_validator

from ...options import Options as Base
from ...records import Example, Pair
from .. import Context
from ..asexample import chosen_of, rejected_of

READS = (Example, Pair)


class Options(Base):
    question_min: int = Field(1, ge=0)
    question_max: int = Field(2000, ge=1)
    answer_min: int = Field(1, ge=0)  # an abstention's answer is never too short
    answer_max: int = Field(8000, ge=1)
    passages_max: int = Field(0, ge=0)  # titles and texts together; 0: no limit

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        for what in ("question", "answer"):
            if getattr(self, f"{what}_min") > getattr(self, f"{what}_max"):
                raise ValueError(f"{what}_min is above {what}_max, so nothing could be kept")
        return self


def check(example: Example, context: Context, options: Options) -> str | None:
    """The reason an example is dropped, or None."""
    question, answer = len(example.question.strip()), len(example.answer.strip())
    if question < options.question_min:
        return "question too short"
    if question > options.question_max:
        return "question too long"
    if answer < options.answer_min and example.support != "abstain":
        return "answer too short"
    if answer > options.answer_max:
        return "answer too long"
    if options.passages_max and sum(len(p.title) + len(p.text) for p in example.passages) > options.passages_max:
        return "passages too long"
    return None


def pairs(found: Sequence[Pair], context: Context, options: Options) -> list[str | None]:
    """For each preference pair the reason it is dropped, or None: both replies are held to the lengths of an answer, as they are written."""
    return [check(chosen_of(pair), context, options) or check(rejected_of(pair), context, options) for pair in found]
