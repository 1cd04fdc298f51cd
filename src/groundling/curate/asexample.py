"""Preference pairs as examples, for filters that know what to say of a question and an answer."""

from __future__ import annotations

from ..grounding import Raft, is_refusal
from ..records import Example, Pair


def _with(pair: Pair, answer: str) -> Example:
    return Example(
        id=pair.id, recipe=pair.recipe, unit=pair.unit, document=pair.document, question=pair.question, passages=pair.passages, oracle=None,
        support="abstain" if is_refusal(said(answer)) else "cited", quotes=[], answer=answer, split=pair.split, history=pair.history,
    )  # fmt: skip


def said(reply: str) -> str:
    """The answer in a whole reply: what stands after the mark of the raft format, all of it in other formats."""
    return reply.rsplit(Raft.answer, 1)[-1].strip()


def chosen_of(pair: Pair) -> Example:
    """The prompt with the whole chosen reply as its answer."""
    return _with(pair, pair.chosen)


def rejected_of(pair: Pair) -> Example:
    """The prompt with the whole rejected reply as its answer."""
    return _with(pair, pair.rejected)


def answer_of(pair: Pair) -> Example:
    """The prompt with the chosen answer alone."""
    return _with(pair, said(pair.chosen))
