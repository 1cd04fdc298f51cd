"""Instructions with their answers, joined with passages that were retrieved for them, so far as a passage supports the answer.

Source: RAG-SFT (yf591, LLM_SFT_&_RAG_GradioUI). Makes: each instruction of a file with the k passages that search finds for it; the one that supports
the answer is the oracle, with its sentence as the quote. Costs: nothing with the check by words; with `check: model` up to k short calls a pair.
Use when: there are questions with good answers already, and documents that hold some of them.

What the published notebook gets wrong and this does not (docs/recipes/rag_sft.md lists all): its contexts have nothing to do with its answers, so it
teaches to ignore them; they stand before the answer and crowd it out of the 512 tokens; no refusals, and no prefixes for its E5 embeddings.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from ...grounding import ABSTAIN, Format, conversation, language
from ...llm.base import Request
from ...llm.structured import Failed, choice, structured
from ...llm.tokens import SPREAD, estimate, of_messages
from ...records import Chunk, Example, Passage, Quote
from .. import Bench, RecipeOptions, example_id
from ..instructions import Instruction, instructions, need_file
from ..instructions import files as named
from ..quoting import MARKS
from ..support import best_sentences, support, wanted

INPUT = Instruction
FORMATS = ("raft", "two-turn", "ja")
FITS_FORMAT = True  # rows are fitted to max_tokens as the format taught shows them
INSTEAD = ("judge",)  # with a judge no teacher is needed
SIEVE = True  # that most of a general instruction set has no support in the documents is no fault of anybody
SUPPORTS = (
    "Read the passage, the question and the answer. Does the passage by itself say what the answer says? Choose yes; other, if it answers the "
    'question in another way or in part; or no, if it does not answer it. Reply with JSON: {{"choice": "yes"}}\n\n'
    "Title: {title}\n\n{passage}\n\nQuestion: {question}\n\nAnswer: {answer}"
)
SHORTER, UNSUPPORTED = "passages left out to fit max_tokens", "no passage supports the answer"
DOUBT = "in doubt: a passage holds a part of the answer, or answers otherwise"


class Options(RecipeOptions):
    instructions: str = ""  # the file: {ID, text, output}, Alpaca, ShareGPT, OpenAI messages and others; .json, .jsonl, .csv, .tsv, .parquet
    shape: str = ""  # which of `groundling list imports` its records are; empty: as they look
    k: int = Field(3, ge=1)  # passages retrieved for a question
    check: Literal["words", "model"] = "words"  # who says whether a passage supports the answer: words in common, or the judge (else the teacher)
    support: float = Field(0.6, gt=0, le=1)  # words: the share of the answer's telling words that must stand in the passage, and all its numbers
    about: float = Field(0.3, ge=0, le=1)  # words: the share of the question's telling words that must stand there too
    unsupported: Literal["drop", "abstain"] = "drop"  # what becomes of a pair whose passages do not support its answer
    absent: float = Field(0.3, ge=0, lt=1)  # words: to abstain, no passage may hold more of the answer, nor `support` of the question's words
    quotes: int = Field(1, ge=1, le=5)  # most sentences quoted
    max_tokens: int = Field(2048, ge=128)  # of the whole row, about; passages beyond it are left out from the end, none is cut

    @model_validator(mode="after")
    def _apart(self) -> Options:
        if self.absent >= self.support:
            raise ValueError("absent must be below support: what holds enough of the answer supports it")
        return self


def needs(options: Options) -> str:
    """What a language model is needed for; empty where words will do."""
    return " to say whether a passage supports an answer (synthesize.options.check=model; words can do it too)" if options.check == "model" else ""


NEEDS_MODEL = needs


def asks(options: Options, named: Collection[str]) -> bool:
    """Whether the teacher is asked: to check, where no judge does."""
    return bool(needs(options)) and "judge" not in named


ASKS = asks


def check(options: Options, section: Any = None) -> None:
    """Raise ConfigError where no file is named."""
    need_file(options.instructions, "rag_sft", "instructions")


def files(options: Options) -> list[str]:
    """The files that the output hangs on."""
    return list(named(options.instructions))


def units(chunks: Sequence[Chunk], bench: Bench, options: Options) -> list[Instruction]:
    """The instructions of the file; those that cannot be read fail with their line."""
    check(options)
    return instructions(options.instructions, options.shape, bench)


class _Found(NamedTuple):
    """Passages of one side of the split, best first, which of them supports the answer, and whether another may answer the question otherwise."""

    shown: list[Chunk]
    oracle: Chunk | None
    doubt: bool = False


async def make(unit: Instruction, bench: Bench, options: Options) -> list[Example]:
    """The row of one instruction, on the side of the split of the document that supports it; none where nothing does."""
    if any(mark in unit.answer for mark in MARKS):
        bench.drop("marks of the format in the answer", unit.question)
        return []
    if options.check == "words" and not wanted(unit.question, unit.answer):
        bench.drop("an answer in which words tell nothing (yes, no, or what the question says)", unit.question)
        return []
    found: dict[str, Chunk] = {}
    for hit in bench.search(unit.question, options.k * 5 + 10):
        found.setdefault(hit.chunk.text, hit.chunk)
    ranked = list(found.values())
    if not ranked:
        bench.drop("nothing was found for the question", unit.question)
        return []
    looked = []
    for side in dict.fromkeys(bench.split_of(c.document) for c in ranked):  # the side of the best passage first
        shown = [c for c in ranked if bench.split_of(c.document) == side][: options.k]
        one = _by_words(unit, shown, options) if options.check == "words" else await _by_model(unit, shown, bench)
        if isinstance(one, Failed):
            bench.fail(f"no word on the support: {one.reason}", {"unit": unit.id, "question": unit.question}, one.told)
            return []
        looked.append(one)
        if one.oracle is not None:
            return _row(unit, bench, options, one)
    if options.unsupported == "drop" or looked[0].doubt:
        bench.drop(UNSUPPORTED if options.unsupported == "drop" else DOUBT, {"unit": unit.id, "question": unit.question})
        return []
    return _row(unit, bench, options, looked[0])


def _by_words(unit: Instruction, shown: list[Chunk], options: Options) -> _Found:
    """The passage that supports the answer most, of those that do. One that is about the question, or holds some of the answer, leaves a doubt."""
    told = [support(unit.question, unit.answer, c.title, c.text) for c in shown]
    able = [(s, -n) for n, s in enumerate(told) if s.answer >= options.support and s.numbers and s.question >= options.about]
    doubt = any(s.answer > options.absent or s.question >= options.support for s in told)
    return _Found(shown, shown[-max(able)[1]] if able else None, doubt)


async def _by_model(unit: Instruction, shown: list[Chunk], bench: Bench) -> _Found | Failed:
    """The first passage of which the judge (else the teacher) says that it supports the answer."""
    doubt = False
    for chunk in shown:
        words = SUPPORTS.format(title=chunk.title, passage=chunk.text, question=unit.question, answer=unit.answer)
        inputs = {"passage": chunk.text, "question": unit.question, "answer": unit.answer}
        request = Request(messages=[{"role": "user", "content": words}], max_tokens=60, task="supports", inputs=inputs)
        said: Any = await structured(bench.judge or bench.teacher, request, choice(["yes", "other", "no"]))
        if isinstance(said, Failed):
            return said
        if said.choice == "yes":
            return _Found(shown, chunk)
        doubt = doubt or said.choice == "other"
    return _Found(shown, None, doubt)


def _row(unit: Instruction, bench: Bench, options: Options, found: _Found) -> list[Example]:
    """The example, with as many of its passages as fit, in a drawn order: the place of the oracle must not tell it."""
    quotes = best_sentences(unit.question, unit.answer, found.oracle.text, options.quotes) if found.oracle else []
    if found.oracle and not quotes:
        bench.drop("no sentence of the passage holds a part of the answer", {"unit": unit.id, "question": unit.question})
        return []
    if any(mark in quote for mark in MARKS for quote in quotes):
        bench.drop("marks of the format in the quote", unit.question)
        return []
    shown = list(found.shown)  # the best first: what is left out for want of room is the last, but never the oracle
    while tokens(made := _example(unit, bench, shown, found.oracle, quotes), bench.format) > options.max_tokens:
        spare = [c for c in shown if c is not found.oracle]
        if not spare or len(shown) == 1:
            bench.drop("question, answer and passage do not fit into max_tokens", {"unit": unit.id, "question": unit.question})
            return []
        shown.remove(spare[-1])
    for _ in range(len(found.shown) - len(shown)):
        bench.note(SHORTER)
    return [made]


def _example(unit: Instruction, bench: Bench, shown: Sequence[Chunk], oracle: Chunk | None, quotes: Sequence[str]) -> Example:
    order = list(shown)
    bench.rng(unit.id, "order").shuffle(order)
    at = order.index(oracle) if oracle is not None else None
    document = (oracle or shown[0]).document
    return Example(
        id=example_id(bench.recipe, unit.id, unit.question, "row"), recipe=bench.recipe, unit=unit.id, document=document, question=unit.question,
        passages=[Passage(id=c.id, title=c.title, text=c.text) for c in order], oracle=at, support="abstain" if at is None else "cited",
        quotes=[Quote(text=q, passage=at) for q in quotes] if at is not None else [],
        answer=ABSTAIN[language(unit.question)] if at is None else unit.answer, split=bench.split_of(document), history=unit.history,
    )  # fmt: skip


def tokens(example: Example, fmt: Format) -> float:
    """The most tokens that a row about takes in its format: with a tokenizer that takes more than others the answer must have room too."""
    return (of_messages(conversation(fmt, example)) + sum(map(estimate, fmt.target(example)))) * (1 + SPREAD)


def advice(options: Options, noted: Mapping[str, int], rows: int) -> list[str]:
    """How many passages had no room."""
    count = noted.get(SHORTER, 0)
    told = (
        f"{count} passages were left out so that {rows} rows fit into {options.max_tokens} tokens each. To show all, raise "
        "synthesize.options.max_tokens and train.max_length, or lower chunk.size."
    )
    return [told] if count else []
