"""Examples from questions that are there already, each with the passage that answers it: support mails, an FAQ, a test set that is no longer secret.

Source: RAFT (arXiv 2403.10131), with people's questions in place of a teacher's. Makes: each question of a file with the chunk that holds its answer
among look-alikes, to be quoted; refusals of those that the documents do not answer. Costs: nothing, no teacher is asked. Use when: there are
questions with answers of which it is known where they stand, in the form of questions.jsonl.

A question is shown as a user would meet it: distractors are what search finds for it. docs/recipes/questions.md says what becomes of a question whose
passage no chunk holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...answer import find
from ...errors import ConfigError, InputError
from ...llm.sentences import sentences
from ...records import Chunk, Example, Question, Record, Support
from ...seeds import digest
from ...workspace import read_lines
from .. import Bench
from ..shelf import Told, hits
from ..showing import Draw, Showing, example, too_few
from ..support import best_sentences

ELSEWHERE = "its document is not among these"
CUT = "no chunk holds its passage whole"


class Options(Showing):
    file: str = ""  # questions as the evaluation reads them: {id, question, answers, answerable, document, passage}, one JSON object a line


class Row(Record):
    """A question and the chunk that it is about: the one with its answer, or, where there is none, the best that search finds."""

    id: str
    path: str
    title: str
    question: str
    answer: str
    quotes: list[str]
    chunk: Chunk


INPUT = Row


def check(options: Options, section: Any = None) -> None:
    """Raise ConfigError where no file is named."""
    if not options.file:
        raise ConfigError(
            "The recipe questions needs a file of questions with their answers: set synthesize.options.file to a .jsonl file beside the config, in "
            "the form of the evaluation's questions.jsonl (docs/evaluate.md). It must not be that file: what is trained on proves nothing."
        )


def files(options: Options) -> list[str]:
    """The files that the output hangs on."""
    return [options.file] if options.file else []


def looked(options: Options, path: Callable[[str], Path], asked: Path | None) -> str:
    """What stands in the file. Raises InputError for a line that is no question, ConfigError for the evaluation's own file."""
    file = path(options.file)
    if asked is not None and file.samefile(asked):
        raise ConfigError(
            f"synthesize.options.file is {options.file}, the evaluation's own file: what is trained on proves nothing. Write questions to learn from "
            "into another, for example training.jsonl."
        )
    found = list(read_lines(file, Question))
    return f"{len(found)} questions to learn from in {options.file}, {sum(not q.answerable for q in found)} of them not answerable"


def units(chunks: Sequence[Chunk], bench: Bench, options: Options) -> list[Row]:
    """The questions of the file that a chunk can be found for. Raises InputError for a line that is no question, and where none is left."""
    check(options)
    beside: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        beside.setdefault(chunk.path, []).append(chunk)
    found: dict[str, Row] = {}
    for question in read_lines(bench.path(options.file), Question):
        unit = _unit(question, beside, bench)
        if isinstance(unit, str):
            bench.drop(unit, question.question)
        elif unit.id in found:
            bench.drop("asked twice", question.question)
        else:
            found[unit.id] = unit
    if not found:
        raise InputError(
            f"No question of {options.file} could be used. An answerable one needs `document`, a path within the documents, and `passage`, the "
            "sentence or paragraph that answers it, word for word; chunk.size must be large enough to hold it."
        )
    return list(found.values())


def _unit(asked: Question, beside: Mapping[str, list[Chunk]], bench: Bench) -> Row | str:
    """The question with its chunk, or why it has none."""
    if not asked.question.strip():
        return "it asks nothing"
    known = _chunks_of(asked.document, beside) if asked.document else []
    if asked.document and not known:
        return ELSEWHERE
    if not asked.answerable:
        sides = {bench.split_of(c.document) for c in known[:1]}
        chunk = next((c for c in hits(bench.search(asked.question, 50)) if not sides or bench.split_of(c.document) in sides), None)
        return _asked(asked, "", [], chunk) if chunk else "search finds nothing for it"
    answer = next((a.strip() for a in asked.answers if a.strip()), "")
    if not asked.passage or not asked.passage.strip() or not answer:
        return "it does not say its answer and the passage with it"
    places = known or [c for of in beside.values() for c in of]
    held = next(((c, span) for c in places if (span := find(asked.passage, c.text))), None)
    if held is None:
        return CUT
    chunk, (start, end) = held
    return _asked(asked, answer, _quotes(asked, answer, chunk.text[start:end]), chunk)


def _chunks_of(name: str, beside: Mapping[str, list[Chunk]]) -> list[Chunk]:
    """The chunks of the document that is named, as the evaluation reads the name: by path, else by the end of the path, or by its id."""
    name = name.strip().removeprefix("./")
    return beside.get(name) or [c for of in beside.values() for c in of if c.path.endswith(f"/{name}") or c.document == name]


def _quotes(asked: Question, answer: str, passage: str) -> list[str]:
    """What of a passage is quoted: its sentence with the answer; all of it where it is one sentence, or words do not tell which.

    How many sentences it has is told by how it is written in the file: in the document the lines of one sentence may be broken anywhere.
    """
    return (best_sentences(asked.question, answer, passage) if len(sentences(asked.passage or "")) > 1 else []) or [passage]


def _asked(asked: Question, answer: str, quotes: list[str], chunk: Chunk) -> Row:
    return Row(
        id=digest("asked", asked.question, answer, chunk.path), path=chunk.path, title=chunk.title, question=asked.question, answer=answer,
        quotes=quotes, chunk=chunk,
    )  # fmt: skip


async def make(unit: Row, bench: Bench, options: Options) -> list[Example]:
    """The example of one question. One that can be answered is shown without its chunk, to be refused, as often as the options say."""
    told = Told(unit.question, tuple(unit.quotes), unit.answer)
    present = not unit.quotes or bench.rng(unit.id, "present").random() < options.oracle_probability
    support: Support = "cited" if unit.quotes and present else "abstain"
    made = example(unit.chunk, bench, options, Draw(unit.id, support, present), told)
    return [made] if made is not None else []


def advice(options: Options, noted: Mapping[str, int], rows: int) -> Sequence[str]:
    """What the reader of a result should change, as sentences."""
    return too_few(options, noted, rows)
