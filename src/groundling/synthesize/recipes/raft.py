"""Retrieval-augmented fine-tuning: questions about a chunk, to be answered with a verbatim quote from among look-alike passages.

Source: RAFT (arXiv 2403.10131), and Meta's RAFT chatbot. Makes: questions with the passage that answers each among look-alikes, the answer with
its quote; abstentions where the passage is left out. Costs: a call for a chunk's questions and one for each answer, one more where a quote is not
verbatim. Use when: the model will be given retrieved passages, to quote from or to refuse.

What the published code gets wrong and this does not (docs/recipes/raft.md lists all): questions are cut after their last letter, quotes are not
checked, distractors may repeat the oracle, each other or the answer, a refusal keeps the gold passage in its record, and too few chunks crash it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field, WithJsonSchema

from ...grounding import is_refusal
from ...llm.base import Request
from ...llm.structured import Failed, Text, structured, structured_all
from ...records import Chunk, Example, Support
from .. import Bench
from ..quoting import again, fault_of, verbatim
from ..shelf import Told
from ..showing import Draw, Showing, chance, drawn, example, too_few

QUESTIONS = (
    "Write {count} questions that a user of a search engine would ask and that the passage answers. Do not mention the passage. Each must be "
    'answerable in at most 60 words. Reply with JSON: {{"questions": ["…"]}}\n\nTitle: {title}\n\n{passage}'
)
ANSWER = (
    "Answer the question from the passage. Copy, word for word, the one sentence or table row that holds the answer; then answer briefly. "
    'Reply with JSON: {{"quote": "…", "answer": "…"}}; both empty if the passage does not answer it.\n\n'
    "Title: {title}\n\n{passage}\n\nQuestion: {question}"
)
REASONED = (
    "Answer the question from the passage. Copy, word for word, the one to three sentences or table rows that hold the answer; then reason, in at "
    "most three sentences of your own, from them to the answer; then answer in at most 60 words. "
    'Reply with JSON: {{"quotes": ["…"], "reasoning": "…", "answer": "…"}}; all empty if the passage does not answer it.\n\n'
    "Title: {title}\n\n{passage}\n\nQuestion: {question}"
)

# A question that only makes sense beside the passage it was written from.
_POINTS_AT_IT = re.compile(
    r"\b(?:according to|based on|in|from|by|does|of) (?:the|this) "
    r"(?:given |above |provided |following )?(?:(?:passage|excerpt|paragraph)\b|"
    r"(?:text|context)(?=\s*(?:[,.?!]|$)|\s+(?:say|state|mention|describe|give|define|tell|explain|list)s?\b))",  # not: the text editor
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"\s*(\d{1,2})[.)]\s+")


class Options(Showing):
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        # The paper: P = 80 %, 4 distractors, the rest answered from memory. Questions a chunk as in the authors' code.
        "raft-paper": {
            "questions": 5, "distractors": 4, "vary": False, "oracle_probability": 0.8, "absent": "memory", "refusal_probability": 0.0,
            "reasoning": True,
        },
        # Meta's recipe: the right passage is always there, and 5 % of the questions are asked once more without it, to be refused.
        "raft-chatbot": {
            "questions": 4, "distractors": 4, "vary": False, "oracle_probability": 1.0, "absent": "abstain", "refusal_probability": 0.05,
            "reasoning": True,
        },
    }  # fmt: skip
    preset: str = ""  # raft-paper or raft-chatbot: their values where none is given here
    questions: int = Field(3, ge=1)  # asked of each chunk
    absent: Literal["abstain", "memory"] = "abstain"  # what is taught where it is not
    refusal_probability: float = Field(0.0, ge=0, le=1)  # how often a question is asked once more without the right passage, to be refused
    reasoning: bool = False  # the answer comes with quotes and a few sentences from them to it (chain of thought)


class Questions(BaseModel):
    # Items of other kinds are dropped one by one and counted: the rest of the list is still good.
    questions: Annotated[list[Any], WithJsonSchema({"type": "array", "items": {"type": "string"}})]


class Answer(BaseModel):
    quote: Text
    answer: Text

    def parts(self) -> tuple[tuple[str, ...], str, str]:
        return (self.quote,) if self.quote else (), "", self.answer


class Reasoned(BaseModel):
    quotes: list[Text]
    reasoning: Text
    answer: Text

    def parts(self) -> tuple[tuple[str, ...], str, str]:
        return tuple(q for q in self.quotes if q), self.reasoning, self.answer


def needs(options: Options) -> str:
    """What a language model is needed for, with these options; empty where the rules of `template` will do."""
    if not options.reasoning:
        return ""
    chosen = f", which the preset {options.preset} chose" if options.preset else ""
    return f" to write reasoning (synthesize.options.reasoning=true{chosen}; with false the rules can do it)"


NEEDS_MODEL = needs


async def make(unit: Chunk, bench: Bench, options: Options) -> list[Example]:
    """Examples from one chunk: questions, their answers checked against it, and the passages around."""
    questions = await _questions(unit, bench, options.questions)
    found: list[Example] = []
    for n, answer in enumerate(await _answers(unit, bench, options, questions)):
        if answer is not None:
            found += _examples(unit, bench, options, n, *answer)
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
    written = _unnumbered([q.strip() for q in said.questions if isinstance(q, str) and q.strip()])
    questions = [q for q in dict.fromkeys(written) if not _POINTS_AT_IT.search(q)]
    for odd in (q for q in dict.fromkeys(written) if _POINTS_AT_IT.search(q)):
        bench.drop("the question points at the passage", odd)
    if not questions:
        bench.drop("no question for this chunk", unit.id)
    return questions[:count]


def _unnumbered(questions: list[str]) -> list[str]:
    """Without the numbers of a list, where every question has its own ("1. …", "2. …"); a question's other numbers are its own."""
    found = [_NUMBERED.match(q) for q in questions]
    if len(questions) > 1 and all(m and int(m[1]) == n for n, m in enumerate(found, 1)):
        return [q[m.end() :] for q, m in zip(questions, found, strict=True) if m]
    return questions


def _request(unit: Chunk, question: str, reasoning: bool) -> Request:
    inputs = {"passage": unit.text, "title": unit.title, "question": question}
    prompt, task = (REASONED, "reasoned answer") if reasoning else (ANSWER, "answer")
    return Request(messages=[{"role": "user", "content": prompt.format(**inputs)}], max_tokens=500, task=task, inputs=inputs)


async def _answers(unit: Chunk, bench: Bench, options: Options, questions: Sequence[str]) -> list[tuple[Told, str] | None]:
    """For each question what answers it, with its reasoning; None where nothing could be used. Faults are named to the teacher, once, together."""
    shape = Reasoned if options.reasoning else Answer
    requests = [_request(unit, question, options.reasoning) for question in questions]
    said = await structured_all(bench.teacher, requests, shape)
    faults = {n: fault for n, s in enumerate(said) if (fault := _fault(unit, s, options.reasoning))}
    if faults:
        repeats = [again(requests[n], said[n].model_dump_json(), words) for n, (_, words) in faults.items()]
        for n, second in zip(faults, await structured_all(bench.teacher, repeats, shape), strict=True):
            said[n] = second
    return [_checked(unit, bench, options, question, s) for question, s in zip(questions, said, strict=True)]


def _fault(unit: Chunk, said: Answer | Reasoned | Failed, reasoning: bool) -> tuple[str, str] | None:
    """What is wrong with an answer, as a reason and a sentence; None for a good one, for none, and for a reply that could not be read."""
    if isinstance(said, Failed):
        return None
    quotes, reason, answer = said.parts()
    if not answer or is_refusal(answer):
        return None
    fault = fault_of(quotes, unit.text, reason, answer)
    if not fault[0] and reasoning and not reason:
        fault = "no reasoning", "the reasoning is empty"
    return fault if fault[0] else None


def _checked(unit: Chunk, bench: Bench, options: Options, question: str, said: Answer | Reasoned | Failed) -> tuple[Told, str] | None:
    if isinstance(said, Failed):
        bench.fail(f"no answer: {said.reason}", {"unit": unit.id, "question": question}, said.told)
        return None
    quotes, reason, answer = said.parts()
    if not answer or is_refusal(answer):
        bench.drop("the teacher found no answer", question)
    elif fault := _fault(unit, said, options.reasoning):
        bench.drop(fault[0], {"unit": unit.id, "question": question, **said.model_dump()})
    else:
        exact = dict.fromkeys(filter(None, (verbatim(q, unit.text) for q in quotes)))
        return Told(question, tuple(exact), answer), reason
    return None


def _examples(unit: Chunk, bench: Bench, options: Options, n: int, told: Told, reasoning: str) -> list[Example]:
    """The example of one answered question and, with the refusal probability, the same question without its answer."""
    r = bench.rng(unit.id, f"{n}:{told.question}")
    present = r.random() < options.oracle_probability
    support: Support = "cited" if present else options.absent
    made = [example(unit, bench, options, Draw(str(n), support, present), told, reasoning)]
    if made[0] is not None:
        drawn(bench, options, present)
    if support != "abstain" and bench.rng(unit.id, f"refusal:{n}:{told.question}").random() < options.refusal_probability:
        made.append(example(unit, bench, options, Draw(f"{n}:refusal", "abstain", False), told))
    return [one for one in made if one is not None]


def advice(options: Options, noted: Mapping[str, int], rows: int) -> Sequence[str]:
    """What the reader of a result should change, as sentences."""
    return [*too_few(options, noted, rows), *chance(options, noted)]
