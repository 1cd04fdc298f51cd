"""Examples from questions that are there already, each with the passage that answers it: support mails, an FAQ, a test set that is no longer secret.

Source: RAFT (arXiv 2403.10131), with people's questions in place of a teacher's. Makes: each question of a file with the chunk that holds its answer
among look-alikes, to be quoted; refusals of those that the documents do not answer. Costs: nothing, no teacher is asked. Use when: there are
questions with answers of which it is known where they stand, in the form of questions.jsonl.

A question is shown as a user would meet it: distractors are what search finds for it. docs/recipes/questions.md says what becomes of a question whose
passage no chunk holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from ...errors import ConfigError, InputError
from ...records import Chunk, Example, Question, Record, Support
from ...seeds import digest
from ...workspace import numbered_lines, read_lines
from .. import Bench
from ..places import Places, said, span
from ..shelf import Told, hits
from ..showing import Draw, Showing, chance, drawn, example, too_few
from ..support import best_sentences

ELSEWHERE = "its document is not among these"
NOWHERE = "its passage stands nowhere, word for word"
CUT = "its passage is cut by chunking: no chunk holds it whole"
UNFOUND = "search finds nothing for it"
OTHER_SIDE = "all that search finds for it is on the other side of the held-out split"
ASKS = False


class Options(Showing):
    file: str = ""  # questions as the evaluation reads them: {id, question, answers, answerable, document, passage}, one JSON object a line
    draws: int = Field(1, ge=1)  # how often each is shown, with another draw of what stands beside its passage, or in its place


class Row(Record):
    """A question and the chunk that it is about: the one with its answer, or, where there is none, the best that search finds.

    `path` and `title` are those of the document that answers: empty where none does. `line` is that of the file.
    """

    id: str
    line: int
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


def quoted(options: Options) -> str:
    """The file whose passages must stand in the documents."""
    return options.file


def looked(options: Options, path: Callable[[str], Path], asked: Path | None) -> str:
    """What stands in the file. Raises InputError for a line that is no question, ConfigError for a folder and for the evaluation's own file."""
    file = path(options.file)
    if file.is_dir():
        raise ConfigError(f"synthesize.options.file is {options.file}, and that is a folder. Name a .jsonl file: one question a line.")
    if asked is not None and file.samefile(asked):
        raise ConfigError(
            f"synthesize.options.file is {options.file}, the evaluation's own file: what is trained on proves nothing. Write questions to learn from "
            "into another, for example training.jsonl."
        )
    found = list(read_lines(file, Question))
    return f"{len(found)} questions to learn from in {options.file}, {sum(not q.answerable for q in found)} of them not answerable"


class _Left(NamedTuple):
    """Why a question is left out, and what its writer may want to know."""

    reason: str
    told: dict[str, Any] = {}


def units(chunks: Sequence[Chunk], bench: Bench, options: Options) -> list[Row]:
    """The questions of the file that a chunk can be found for. Raises InputError for a line that is no question, and where none is left."""
    check(options)
    places = Places(chunks, bench.documents)
    found: dict[str, Row] = {}
    left = Counter[str]()
    for line, asked in numbered_lines(bench.path(options.file), Question):
        unit = _unit(asked, line, places, bench)
        if isinstance(unit, Row) and unit.id in found:
            unit = _Left("asked twice", {"first_in_line": found[unit.id].line})
        if isinstance(unit, Row):
            found[unit.id] = unit
        else:
            left[unit.reason] += 1
            bench.drop(unit.reason, {"line": line, "id": asked.id, "question": asked.question, **unit.told})
    if not found:
        why = ", ".join(f"{n} × {reason}" for reason, n in left.most_common()) or "it is empty"
        raise InputError(
            f"No question of {options.file} could be used: {why}. An answerable one needs `document`, a path within the documents, and `passage`, "
            "the sentence or paragraph that answers it, word for word; chunk.size must be large enough to hold it."
        )
    return list(found.values())


def _unit(asked: Question, line: int, places: Places, bench: Bench) -> Row | _Left:
    """The question with its chunk, or why it has none."""
    if not asked.question.strip():
        return _Left("it asks nothing")
    name = asked.document or ""
    if name and not places.of(name):
        hint = places.meant(name)
        return _Left(ELSEWHERE, {"document": name, **({"hint": hint} if hint else {})})
    if not asked.answerable:
        return _refused(asked, line, places, bench)
    answer = next((a.strip() for a in asked.answers if a.strip()), "")
    if not asked.passage or not asked.passage.strip() or not answer:
        return _Left("it does not say its answer and the passage with it")
    held = places.holding(asked.passage, name)
    if held is None:
        return _unheld(asked.passage, name, places)
    chunk, (start, end) = held
    return Row(
        id=_id(asked, answer, chunk), line=line, path=chunk.path, title=chunk.title, question=asked.question, answer=answer,
        quotes=_quotes(asked, answer, chunk.text[start:end]), chunk=chunk,
    )  # fmt: skip


def _refused(asked: Question, line: int, places: Places, bench: Bench) -> Row | _Left:
    """A question that nothing answers, with the best that search finds for it: of the side that the document it names is on, else of any."""
    sides = {bench.split_of(c.document) for c in places.of(asked.document or "")[:1]}
    found = list(hits(bench.search(asked.question, 50)))
    chunk = next((c for c in found if not sides or bench.split_of(c.document) in sides), None)
    if chunk is None:
        return _Left(OTHER_SIDE if found else UNFOUND)
    return Row(id=_id(asked, "", chunk), line=line, path="", title="", question=asked.question, answer="", quotes=[], chunk=chunk)


def _unheld(passage: str, name: str, places: Places) -> _Left:
    """Why no chunk holds a passage, and the document that has it where it is another than the one that is named."""
    if places.whole(passage, name):
        return _Left(CUT, {"passage": passage})
    other = places.holding(passage) if name else None
    return _Left(NOWHERE, {"passage": passage, **({"stands_in": other[0].path} if other else {})})


def _id(asked: Question, answer: str, chunk: Chunk) -> str:
    return digest("asked", asked.question, answer, chunk.path)


def _quotes(asked: Question, answer: str, passage: str) -> list[str]:
    """What of a passage is quoted: its sentence with the answer; all of it where it is one sentence, or words do not tell which.

    Its sentences are told by how it is written in the file, and quoted as they stand in the document, where their lines may be broken anywhere.
    """
    written = asked.passage or ""
    best = best_sentences(asked.question, answer, said(written)) if len(said(written)) > 1 else []
    places = [span(sentence, passage) for sentence in best]
    return [passage[place[0] : place[1]] for place in places if place] or [passage]


async def make(unit: Row, bench: Bench, options: Options) -> list[Example]:
    """The examples of one question. One that can be answered is shown without its chunk, to be refused, as often as the options say.

    One that cannot be is shown with the best passage that search finds, and from the second draw on with others that look right.
    """
    told = Told(unit.question, tuple(unit.quotes), unit.answer)
    with_line = bench._replace(drop=lambda reason, what: bench.drop(reason, {"line": unit.line, **what}))
    found: list[Example] = []
    for n in range(options.draws):
        name = f"{unit.id}:{n}" if n else unit.id
        present = bench.rng(name, "present").random() < options.oracle_probability if unit.quotes else not n
        support: Support = "cited" if unit.quotes and present else "abstain"
        made = example(unit.chunk, with_line, options, Draw(name, support, present), told)
        if made is not None:
            found.append(made)
            if unit.quotes:
                drawn(bench, options, present)
    return found


def advice(options: Options, noted: Mapping[str, int], rows: int) -> Sequence[str]:
    """What the reader of a result should change, as sentences."""
    return [*too_few(options, noted, rows), *chance(options, noted)]
