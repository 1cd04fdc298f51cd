"""What an agent is asked: questions from a file, or made from the chunks. Each with the side of the split on which it may search."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, WithJsonSchema

from ..errors import InputError
from ..llm.base import Request
from ..llm.structured import Failed, structured
from ..records import Chunk, Split
from ..seeds import digest
from .wording import asked_before, points_at_the_passage

QUESTIONS = (
    "Write {count} questions that people would ask about what the passage tells. Each must be understood by itself, name what it is about, and not "
    'mention the passage; one that needs a second passage beside this one is welcome. Reply with JSON: {{"questions": ["…"]}}\n\n'
    "Title: {title}\n\n{passage}"
)


class Questions(BaseModel):
    # Items of other kinds are dropped one by one and counted: the rest of the list is still good.
    questions: Annotated[list[Any], WithJsonSchema({"type": "array", "items": {"type": "string"}})]


class Topic(NamedTuple):
    """What one call of make gets: a question of a file, or a chunk that questions are made from. It is searched for on one side of the split."""

    id: str
    path: str
    title: str
    document: str
    split: Split
    question: str = ""
    chunk: Chunk | None = None


def of_chunks(chunks: Sequence[Chunk], bench: Any) -> list[Topic]:
    """A topic for each chunk, on the side of its document."""
    return [Topic(c.id, c.path, c.title, c.document, bench.split_of(c.document), chunk=c) for c in chunks]


def of_file(path: Path, chunks: Sequence[Chunk], bench: Any, documents: bool) -> list[Topic]:
    """A topic for each question of a file: lines of JSON with `question` and perhaps `document`, or in a .txt file a question a line.

    With `documents` a question is on the side of the document that it names, and where it names none on the side of training: nothing else may be
    looked into. Without (an endpoint is searched) the share that is held out is drawn. Raises InputError.
    """
    known = {c.path: c.document for c in chunks}
    found: dict[str, Topic] = {}
    for number, question, named in _lines(path):
        if named and documents and named not in known:
            raise InputError(f'{path}, line {number}: there is no document "{named}" in the run. Name it by its path in the folder, or leave it out.')
        name, document = digest("question", question), known.get(named, "")
        drawn: Split = "held_out" if bench.rng(name, "split").random() < bench.held_out else "train"
        split: Split = bench.split_of(document) if document else "train" if documents else drawn
        found.setdefault(name, Topic(name, f"{path.name}, line {number}", question, document, split, question))
    if not found:
        raise InputError(f'{path} holds no question. Write one a line as JSON, {{"question": "…"}}, or in a .txt file as text.')
    return list(found.values())


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, question, document) of each line that is not empty."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The questions in {path} could not be read ({error}). Give a UTF-8 file of lines.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if path.suffix == ".txt":
            yield number, line.strip(), ""
            continue
        try:
            told = json.loads(line)
            question = told["question"].strip()
            named = told.get("document") or ""
        except (ValueError, LookupError, TypeError, AttributeError):
            question, named = "", ""
        if not question or not isinstance(named, str):
            raise InputError(f'{path}, line {number} holds no question. Write lines such as {{"question": "…"}}, or name a .txt file.')
        yield number, question, named


async def questions_of(topic: Topic, bench: Any, count: int) -> list[str]:
    """The topic's own question; of a chunk, questions that the teacher makes from it."""
    if topic.chunk is None:
        return [topic.question]
    inputs = {"passage": topic.chunk.text, "title": topic.title, "count": count}
    messages = [{"role": "user", "content": QUESTIONS.format(**inputs)}]
    said = await structured(bench.teacher, Request(messages=messages, max_tokens=100 + 80 * count, task="questions", inputs=inputs), Questions)
    if isinstance(said, Failed):
        bench.fail(f"no list of questions: {said.reason}", topic.id, said.told)
        return []
    found: list[str] = []
    for odd in said.questions:
        question = odd.strip() if isinstance(odd, str) else ""
        if not question:
            bench.drop("a question that is no text", odd)
        elif points_at_the_passage(question):
            bench.drop("the question points at the passage", question)
        elif asked_before(question, found):
            bench.drop("asked before of the same passage", question)
        else:
            found.append(question)
    if not found:
        bench.drop("no question for this chunk", topic.id)
    return found[:count]
