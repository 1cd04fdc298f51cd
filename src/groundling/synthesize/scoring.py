"""What a reply to an example's prompt is worth: by the example's own answer, by a model that gives 1 to 5, or by a reward model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from .. import matching
from ..grounding import Format, conversation, numbered
from ..llm.base import Request
from ..llm.structured import Failed, score, structured_all
from ..records import Example

Scorer = Literal["reference", "judge", "reward"]
LOW, HIGH = 1, 5  # of a judge
TOO_LONG = "prompt and reply are longer than the reward model's context"
ANSWER, CITED, QUOTED = 0.6, 0.2, 0.2  # what a right answer alone is worth, and what its citations and its quotes add
NOT_RIGHT = 0.5  # most that an answer is worth which only shares words with the right one: one wrong number is enough to be wrong
GOOD: dict[Scorer, float | None] = {"reference": 0.9, "judge": 4.0, "reward": None}  # from here on a reply is right; None: it cannot be told

JUDGE = (
    "Rate a reply to the question below, from 1 to 5. The reply had to rest on the numbered passages alone, to name the passages it rests on, and to "
    "say so where they do not hold the answer.\n"
    "5: right and complete, and the passages named hold it. 4: right, with a flaw in wording or citation. 3: right in part. 2: beside the question. "
    "1: wrong, made up, or a refusal although the passages hold the answer.\n"
    '{known}\nReply with JSON: {{"score": n}}\n\nPassages:\n{passages}\n\n{asked}\n\nReply:\n{reply}'
)


class Unscored(NamedTuple):
    """A reply that the judge gave no score."""

    reason: str
    detail: str


def agreement(example: Example, form: Format, reply: str) -> float:
    """How far a reply agrees with the example's own answer, from 0 to 1. No model is asked.

    Where the example abstains, abstaining is worth 1 and anything else 0; a refusal of what can be answered is worth 0. A right answer (the rule
    of `matching.correct`) is worth 0.6, and up to 0.2 more each for citing the example's passages and no others, and for quotes that stand
    verbatim in the passage they name. Where only words are shared, all this is worth half their token F1 at most.
    """
    said = form.read([reply], example.passages)
    if example.support == "abstain" or said.abstained:
        return float(example.support == "abstain" and said.abstained)
    right = matching.correct(said.text, [example.answer])
    answer = 1.0 if right else NOT_RIGHT * matching.f1(said.text, example.answer)
    if example.support == "memory":
        return round(answer, 6)
    named = {q.passage for q in example.quotes} or {example.oracle}
    cited = len(set(said.citations)) + len(said.invalid)
    citations = 2 * len(named & set(said.citations)) / (len(named) + cited)
    if form.quote_marks is None:
        return round(answer * (ANSWER + (CITED + QUOTED) * citations), 6)
    verbatim = [bool(q.text) and q.text in example.passages[q.passage].text for q in said.quotes]
    quotes = sum(verbatim) / len(verbatim) if verbatim else 0.0
    return round(answer * (ANSWER + CITED * citations + QUOTED * quotes), 6)


def _known(example: Example) -> str:
    if example.support == "abstain":
        return "The passages do not hold the answer: the right reply says so."
    return f"An answer that is known to be right: {example.answer}"


def asked(example: Example) -> str:
    """The question as it was asked, with what was said before it."""
    before = [f"Question: {turn.question}\nAnswer: {turn.answer}" for turn in example.history]
    return "\n".join([*before, f"Question: {example.question}"])


def judgement(example: Example, reply: str) -> Request:
    """The call in which a judge rates a reply."""
    inputs = {
        "passages": numbered(example.passages) or "(none was shown)", "asked": asked(example), "reply": reply, "known": _known(example),
    }  # fmt: skip
    return Request(messages=[{"role": "user", "content": JUDGE.format(**inputs)}], max_tokens=60, task="score", inputs=inputs)


async def _judged(judge: Any, example: Example, replies: Sequence[str]) -> list[float | Unscored]:
    said = await structured_all(judge, [judgement(example, reply) for reply in replies], score(LOW, HIGH))
    return [Unscored(s.reason, s.told) if isinstance(s, Failed) else float(s.score) for s in said]


async def _rewarded(judge: Any, example: Example, form: Format, replies: Sequence[str]) -> list[float | Unscored]:
    messages = conversation(form, example, getattr(judge, "documents_role", False))
    fits = getattr(judge, "fits", lambda messages, reply: True)
    room = [fits(messages, reply) for reply in replies]
    given = iter(await judge.scores([(messages, reply) for reply, good in zip(replies, room, strict=True) if good]))
    return [float(next(given)) if good else Unscored(TOO_LONG, reply) for reply, good in zip(replies, room, strict=True)]


async def scores(scorer: Scorer, judge: Any, example: Example, form: Format, replies: Sequence[str]) -> list[float | Unscored]:
    """The score of each reply, or why it has none."""
    if scorer == "judge":
        return await _judged(judge, example, replies)
    if scorer == "reward":
        return await _rewarded(judge, example, form, replies)
    return [agreement(example, form, reply) for reply in replies]
