"""Auto-evaluation: does the ANSWER imply the REFERENCE? A judge says yes or no, and all of it is repeated, so that the noise is known."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from ..llm.base import Model, Request
from ..llm.structured import Failed, choice, structured_all

IMPLIES = (
    "Does the answer imply the reference? It does where whoever believes the answer must also believe that the reference rightly answers the "
    "question; other words, more detail and another order do not matter, another fact, amount or name does. "
    'Reply with JSON: {{"choice": "yes"}} or {{"choice": "no"}}.\n\n'
    "Question: {question}\n\nAnswer: {answer}\n\nReference: {reference}"
)
REPETITIONS = 10


class Case(NamedTuple):
    """A question with what was answered and what would have been right: any of the references will do. None: the answer says it is not there."""

    question: str
    answer: str | None
    references: Sequence[str]


class Verdict(NamedTuple):
    """The share of right answers, repetition by repetition. `unscored` counts the cases that the judge could not be brought to judge."""

    shares: list[float]
    n: int
    unscored: int

    @property
    def mean(self) -> float | None:
        """None where nothing could be scored."""
        return fmean(self.shares) if self.shares else None

    @property
    def sd(self) -> float | None:
        """The standard deviation between repetitions; None where there are fewer than two."""
        return stdev(self.shares) if len(self.shares) > 1 else None


async def auto_evaluate(judge: Model, repetitions: Sequence[Sequence[Case]], temperature: float = 0.5) -> Verdict:
    """Judge each repetition: its number is part of every call's key, so that the same answers judged again are really judged again.

    No answer, an abstention and an empty text imply nothing: nobody is asked about them. An unscored case counts neither as right nor as wrong.
    """
    shares, unscored, n = [], 0, 0
    for number, cases in enumerate(repetitions):
        asked = [(m, reference) for m, case in enumerate(cases) if (case.answer or "").strip() for reference in case.references]
        requests = [_request(cases[m], reference, number, temperature) for m, reference in asked]
        right, lost = set(), set()
        for (m, _), said in zip(asked, await structured_all(judge, requests, choice(["yes", "no"])), strict=True):
            if isinstance(said, Failed):
                lost.add(m)
            elif said.choice == "yes":  # type: ignore[attr-defined]
                right.add(m)
        scored = len(cases) - len(lost - right)
        unscored, n = unscored + len(lost - right), n + len(cases)
        shares += [len(right) / scored] if scored else []
    return Verdict(shares, n, unscored)


def _request(case: Case, reference: str, number: int, temperature: float) -> Request:
    words = IMPLIES.format(question=case.question, answer=case.answer, reference=reference)
    return Request(messages=[{"role": "user", "content": words}], max_tokens=40, temperature=temperature, task="agent implies", draw=number)
