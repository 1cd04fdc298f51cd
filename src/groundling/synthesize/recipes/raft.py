"""Retrieval-augmented fine-tuning: questions about a chunk, to be answered with a verbatim quote from among look-alike passages.

Source: RAFT (arXiv 2403.10131). Makes: question, one oracle and `distractors` other passages, answer with quote; where the oracle is
absent, an answer from memory (as in the paper) or an abstention. Costs: one call for the questions of a chunk and one for each answer.
Use when: the model will be given retrieved passages.

What the published code gets wrong and this does not: distractors are retrieved, not only random; none of them holds the answer or repeats
the oracle; the oracle's place is the place it really has; each question has its own draw; every quote is checked.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from ...grounding import ABSTAIN, language
from ...llm.base import Request
from ...llm.structured import Failed, Text, structured, structured_all
from ...records import Chunk, Example, Passage, Quote
from .. import Bench, RecipeOptions, example_id

QUESTIONS = (
    "Write {count} questions that a user of a search engine would ask and that the passage answers. Do not mention the passage. Each must be "
    'answerable in at most 60 words. Reply with JSON: {{"questions": ["…"]}}\n\nTitle: {title}\n\n{passage}'
)
ANSWER = (
    "Answer the question from the passage. Copy, word for word, the one sentence or table row that holds the answer; then answer briefly. "
    'Reply with JSON: {{"quote": "…", "answer": "…"}}; both empty if the passage does not answer it.\n\n'
    "Title: {title}\n\n{passage}\n\nQuestion: {question}"
)


# Written without spaces: compared by pairs of characters. Kana that only inflect are left out.
_CJK = re.compile(r"[\u30a0-\u30ff\u4e00-\u9fff]")


class Options(RecipeOptions):
    questions: int = Field(3, ge=1)  # asked of each chunk
    distractors: int = Field(4, ge=0)  # passages that look right and are not
    hard: float = Field(0.75, ge=0, le=1)  # share of the distractors that are retrieved; the rest are drawn at random
    oracle_probability: float = Field(0.8, ge=0, le=1)  # how often the right passage is present
    absent: Literal["abstain", "memory"] = "abstain"  # what is taught where it is not
    vary: bool = True  # draw the number of distractors from 0…distractors, so that every k is met in training


class Questions(BaseModel):
    # Items of other kinds are dropped one by one and counted: the rest of the list is still good.
    questions: Annotated[list[Any], WithJsonSchema({"type": "array", "items": {"type": "string"}})]


class Answer(BaseModel):
    quote: Text
    answer: Text


async def make(unit: Chunk, bench: Bench, options: Options) -> list[Example]:
    """Examples from one chunk: questions, their answers checked against it, and the passages around."""
    questions = await _questions(unit, bench, options.questions)
    requests = [_answer_request(unit, q) for q in questions]
    found = []
    for n, (question, said) in enumerate(zip(questions, await structured_all(bench.teacher, requests, Answer), strict=True)):
        if isinstance(said, Failed):
            bench.fail(f"no answer: {said.reason}", {"unit": unit.id, "question": question}, said.told)
        elif not said.answer:
            bench.drop("the teacher found no answer", question)
        elif said.quote not in unit.text or not said.quote:
            bench.drop("quote not verbatim in the passage", {"question": question, "quote": said.quote})
        else:
            found.append(_assemble(unit, bench, options, n, (question, said.quote, said.answer)))
    return found


async def _questions(unit: Chunk, bench: Bench, count: int) -> list[str]:
    inputs = {"passage": unit.text, "title": unit.title, "count": count}
    request = Request(messages=[{"role": "user", "content": QUESTIONS.format(**inputs)}], max_tokens=500, task="questions", inputs=inputs)
    said = await structured(bench.teacher, request, Questions)
    if isinstance(said, Failed):
        bench.fail(f"no list of questions: {said.reason}", unit.id, said.told)
        return []
    for odd in (q for q in said.questions if not isinstance(q, str)):
        bench.drop("a question that is no text", odd)
    questions = list(dict.fromkeys(q.strip() for q in said.questions if isinstance(q, str) and q.strip()))[:count]
    if not questions:
        bench.drop("no question for this chunk", unit.id)
    return questions


def _answer_request(unit: Chunk, question: str) -> Request:
    inputs = {"passage": unit.text, "title": unit.title, "question": question}
    return Request(messages=[{"role": "user", "content": ANSWER.format(**inputs)}], max_tokens=500, task="answer", inputs=inputs)


def _assemble(unit: Chunk, bench: Bench, options: Options, n: int, told: tuple[str, str, str]) -> Example:
    question, quote, answer = told
    r = bench.rng(unit.id, f"{n}:{question}")
    present = r.random() < options.oracle_probability
    count = r.randint(0, options.distractors) if options.vary else options.distractors
    if not present:
        count = max(1, count)
    passages = _distractors(unit, bench, options, count, (question, quote, answer))
    oracle = None
    if present:
        oracle = r.randint(0, len(passages))
        passages.insert(oracle, unit)
    support = "cited" if present else options.absent
    return Example(
        id=example_id(bench.recipe, unit.id, question, n), recipe=bench.recipe, unit=unit.id, document=unit.document, question=question,
        passages=[Passage(id=c.id, title=c.title, text=c.text) for c in passages], oracle=oracle, support=support,
        quotes=[Quote(text=quote, passage=oracle)] if oracle is not None else [],
        answer=ABSTAIN[language(question)] if support == "abstain" else answer, split=bench.split_of(unit.document),
    )  # fmt: skip


def holds(text: str, quote: str, answer: str, question: str) -> bool:
    """Whether a passage could itself answer: it has the quote, or the answer together with most of the question's words."""
    if quote in text:
        return True
    if _CJK.search(answer):
        there, run = answer in text, "".join(_CJK.findall(question))
        words = {run[n : n + 2] for n in range(len(run) - 1)}
    else:
        there = bool(re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", text, re.IGNORECASE))
        words = set(re.findall(r"\w{4,}", question.lower()))
    return there and (not words or sum(w in text.lower() for w in words) >= 0.4 * len(words))


def _distractors(unit: Chunk, bench: Bench, options: Options, count: int, told: tuple[str, str, str]) -> list[Chunk]:
    """Passages that look right: retrieved by the question first, then drawn from all chunks. None overlaps the oracle or holds the answer.

    They come from the oracle's side of the split: a held-out document is not shown in training, not even as a distractor.
    """
    question, quote, answer = told
    r = bench.rng(unit.id, f"distractors:{question}")
    wanted = sum(r.random() < options.hard for _ in range(count))
    allowed: list[Chunk] = []
    side = bench.split_of(unit.document)

    def take(candidates: list[Chunk], limit: int) -> None:
        for c in candidates:
            if len(allowed) >= limit:
                return
            overlaps = c.document == unit.document and c.start < unit.end and unit.start < c.end
            if bench.split_of(c.document) != side or overlaps:
                continue
            if c.text not in {a.text for a in allowed} | {unit.text} and not holds(c.text, quote, answer, question):
                allowed.append(c)

    if wanted:
        take([h.chunk for h in bench.search(question, count * 5 + 10)], wanted)
    take(r.sample(bench.chunks, min(len(bench.chunks), count * 10 + 20)), count)
    r.shuffle(allowed)
    return allowed
