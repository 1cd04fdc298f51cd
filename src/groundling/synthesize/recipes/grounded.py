"""Conversations over a cluster of documents: the model first names the documents that help, as ids in JSON, then answers from those alone.

Source: Vikhr's Grounded-RAG-RU-v2. Makes: around each chunk a cluster of up to `documents` documents with ids, titles and plain, Markdown or HTML
contents; conversations of up to `turns` questions, each question a row of its own (`good`: ids and an answer, or `ood`: no ids and an
abstention). Costs: one call for the questions of a cluster, one for each answer, one for each `ood` row. Use when: the model gets several
documents at once and has to say which it used; train with train.format two-turn.

What the published set leaves open and this does not: every relevant id is proved by a verbatim quote and every quoted document is named; an `ood`
row is a question that has an answer, shown without the documents that hold it, and the teacher is asked whether the others do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field, WithJsonSchema

from ...grounding import ABSTAIN, FORMATS, is_refusal, language
from ...llm.base import Request
from ...llm.structured import Failed, Text, Whole, structured, structured_all
from ...records import Chunk, Example, Passage, Quote, Turn
from .. import Bench, RecipeOptions, example_id
from ..clusters import By, Cluster, clusters, enough, gather, neighbours
from ..contents import FORMS, Form, content
from ..quoting import verbatim
from ..shelf import Told, answering
from ..wording import asked_before, names_a_number, points_at_the_passage

INPUT = Cluster
NEEDS_MODEL = True
DIALOGUES = (
    "Below are documents that a search found. Write {count} conversations of a person with an assistant who knows only these documents: the "
    "person's questions alone, in the language of the documents. The numbers of questions: {lengths}. The first question of a conversation must be "
    "understood by itself; a later one goes on from the one before it, as people do. Each must be answerable from the documents; some should need "
    "several of them. Nobody may speak of documents or passages; no two conversations may ask the same. "
    'Reply with JSON: {{"dialogues": [{{"questions": ["…"]}}]}}\n\nDocuments:\n{documents}'
)
ANSWER = (
    "Answer the last question of the conversation from the documents alone. First list the ids of all documents that hold a part of the answer. Then "
    "copy from each of them, word for word, what holds it, tags included. Then answer in whole sentences in the language of the question, without "
    "speaking of documents. If the documents do not hold the answer, leave all three empty. "
    'Reply with JSON: {{"relevant_doc_ids": [0], "quotes": [{{"doc_id": 0, "quote": "…"}}], "answer": "…"}}\n\n'
    "Documents:\n{documents}\n\nConversation:\n{conversation}"
)


NEEDED, TOLD_ELSEWHERE = "kept as good: its documents cannot be left out", "kept as good: other documents answer it too"


class Options(RecipeOptions):
    documents: int = Field(6, ge=2, le=20)  # most documents of a cluster; how many is drawn
    least: int = Field(2, ge=2, le=20)  # fewest documents of a cluster
    dialogues: int = Field(2, ge=1, le=12)  # conversations about a cluster
    turns: int = Field(2, ge=1, le=6)  # most questions of a conversation; how many is drawn
    out_of_domain: float = Field(0.2, ge=0, le=1)  # share of the rows whose answer is not in the documents shown
    check: bool = True  # ask the teacher whether those documents hold the answer after all
    contents: list[Form] = Field(list(FORMS), min_length=1)  # each document is shown in one of these forms
    untitled: float = Field(0.1, ge=0, le=1)  # share of the documents that are shown without their title
    longest: int = Field(4000, ge=1)  # characters; a longer chunk is in no cluster
    neighbours: By = "search"  # where a cluster's other documents come from: search, or the same document


class Dialogue(BaseModel):
    questions: list[Text]


class Dialogues(BaseModel):
    # One by one: a conversation that does not fit is dropped and counted, and the others are still good.
    dialogues: Annotated[list[Any], WithJsonSchema({"type": "array", "items": Dialogue.model_json_schema()})]


class Cited(BaseModel):
    doc_id: Whole
    quote: Text


class Answer(BaseModel):
    relevant_doc_ids: list[Whole]
    quotes: list[Cited]
    answer: Text


class Shown(NamedTuple):
    """The documents of a cluster as they are shown, each with the chunk that it is."""

    chunks: list[Chunk]
    passages: list[Passage]


class Row(NamedTuple):
    """One answered question: where it stands (conversation, turn), what was said before, and its quotes."""

    place: tuple[int, int]
    history: tuple[Turn, ...]
    before: frozenset[int]
    question: str
    quotes: list[Quote]
    answer: str


def units(chunks: Sequence[Chunk], bench: Bench, options: Options) -> list[Cluster]:
    """A cluster around every chunk. Raises ConfigError where there are too few chunks for one."""
    enough(chunks, bench, options.least, "Lower synthesize.options.least")
    most = max(options.least, options.documents)
    sizes = (bench.rng(c.id, "documents").randint(options.least, most) for c in chunks)
    return [c._replace(size=size) for c, size in zip(clusters(chunks, most, options.neighbours), sizes, strict=True)]


async def make(unit: Cluster, bench: Bench, options: Options) -> list[Example]:
    """The rows of one cluster: its conversations, turn by turn; then some of the rows without the documents that answer them."""
    if len(unit.anchor.text) > options.longest:
        bench.drop("a chunk longer than `longest`", unit.anchor.id)
        return []
    chunks = gather(unit, bench, lambda c: len(c.text) <= options.longest)
    if len(chunks) < options.least:
        bench.drop("too few chunks beside it for a cluster", unit.anchor.id)
        return []
    bench.rng(unit.id, "order").shuffle(chunks)
    shown = Shown(chunks, [_passage(c, unit, bench, options) for c in chunks])
    rows = await _talk(await _dialogues(unit, bench, options, shown), unit, bench, shown)
    return await _rows(rows, unit, bench, options, shown)


def advice(options: Options, noted: Mapping[str, int], rows: int) -> list[str]:
    """Why there are fewer rows without an answer than asked for."""
    counted = [(noted[reason], reason) for reason in (NEEDED, TOLD_ELSEWHERE) if noted.get(reason)]
    return [f"{n} rows drawn to be without an answer were {reason}; raise out_of_domain for more." for n, reason in counted]


def _passage(chunk: Chunk, unit: Cluster, bench: Bench, options: Options) -> Passage:
    r = bench.rng(unit.id, f"form:{chunk.id}")
    form = r.choice(options.contents)
    return Passage(id=chunk.id, title="" if r.random() < options.untitled else chunk.title, text=content(chunk.text, form))


def _documents(passages: Sequence[Passage]) -> str:
    """The documents as the format shows them to the student: `doc_id`, `title`, `content` in JSON."""
    return FORMATS["two-turn"].prompt("", passages, documents_role=True)[1]["content"]


async def _dialogues(unit: Cluster, bench: Bench, options: Options, shown: Shown) -> list[list[str]]:
    """The questions of each conversation."""
    r = bench.rng(unit.id, "turns")
    lengths = [r.randint(1, options.turns) for _ in range(options.dialogues)]
    words = DIALOGUES.format(count=len(lengths), lengths=", ".join(map(str, lengths)), documents=_documents(shown.passages))
    inputs = {"lengths": lengths, "documents": [p.text for p in shown.passages]}
    request = Request(messages=[{"role": "user", "content": words}], max_tokens=200 + 120 * sum(lengths), task="dialogues", inputs=inputs)
    said = await structured(bench.teacher, request, Dialogues)
    if isinstance(said, Failed):
        bench.fail(f"no conversations: {said.reason}", unit.id, said.told)
        return []
    found: list[list[str]] = []
    for item in said.dialogues[: len(lengths)]:
        questions = item.get("questions") if isinstance(item, dict) else None
        asked = [q.strip() for q in questions if isinstance(q, str) and q.strip()] if isinstance(questions, list) else []
        if not asked:
            bench.drop("a conversation without questions", item)
        elif any(points_at_the_passage(q) for q in asked):
            bench.drop("the question speaks of the documents", item)
        elif asked_before(asked[0], [q for other in found for q in other]):
            bench.drop("asked before of the same documents", item)
        else:
            found.append(asked[: lengths[len(found)]])
    if not found:
        bench.drop("no conversation about this cluster", unit.id)
    return found


async def _talk(dialogues: Sequence[Sequence[str]], unit: Cluster, bench: Bench, shown: Shown) -> list[Row]:
    """Every question answered, the conversations side by side. One that gets no good answer ends its conversation."""
    rows: list[Row] = []
    last: dict[int, Row | None] = dict.fromkeys(range(len(dialogues)))
    for turn in range(max(map(len, dialogues), default=0)):
        asking = [n for n in last if turn < len(dialogues[n])]
        asked = [(dialogues[n][turn], _said(last[n])) for n in asking]
        requests = [_request(question, history, shown.passages) for question, history in asked]
        for n, (question, history), said in zip(asking, asked, await structured_all(bench.teacher, requests, Answer), strict=True):
            told = {"unit": unit.id, "question": question}
            quotes: list[Quote] = []
            if isinstance(said, Failed):
                bench.fail(f"no answer: {said.reason}", told, said.told)
            elif fault := _fault(said, shown.passages, quotes):
                bench.drop(fault, {**told, "said": said.model_dump()})
            else:
                row = last[n]
                before = row.before | {q.passage for q in row.quotes} if row else frozenset()
                last[n] = Row((n, turn), history, before, question, quotes, said.answer)
                rows.append(last[n])
                continue
            del last[n]
            for rest in dialogues[n][turn + 1 :]:
                bench.drop("a question after one without an answer", rest)
    return rows


def _said(row: Row | None) -> tuple[Turn, ...]:
    """The conversation up to and with a row."""
    return (*row.history, Turn(question=row.question, answer=row.answer)) if row else ()


def _request(question: str, history: Sequence[Turn], passages: Sequence[Passage]) -> Request:
    told = [line for turn in history for line in (f"User: {turn.question}", f"Assistant: {turn.answer}")]
    words = ANSWER.format(documents=_documents(passages), conversation="\n".join([*told, f"User: {question}"]))
    inputs = {"question": question, "documents": [p.text for p in passages]}
    return Request(messages=[{"role": "user", "content": words}], max_tokens=900, task="grounded", inputs=inputs)


def _fault(said: Answer, passages: Sequence[Passage], quotes: list[Quote]) -> str:
    """Why an answer is not good, empty where it is. Its quotes, as they stand in the documents, are put into `quotes`."""
    ids = set(said.relevant_doc_ids)
    if not said.answer or not ids or is_refusal(said.answer):
        return "the teacher found no answer"
    if names_a_number(said.answer):
        return "the answer names documents by their ids"
    if not ids <= set(range(len(passages))):
        return "an id of no document"
    if {q.doc_id for q in said.quotes} != ids:
        return "ids and quotes do not agree"
    for q in said.quotes:
        found = verbatim(q.quote, passages[q.doc_id].text)
        if found is None:
            return "quote not verbatim in its document"
        quotes.append(Quote(text=found, passage=q.doc_id))
    return ""


async def _rows(rows: Sequence[Row], unit: Cluster, bench: Bench, options: Options, shown: Shown) -> list[Example]:
    """The rows as examples; those drawn for it without the documents that answer them, where the rest do not answer either."""
    without: dict[tuple[int, int], list[Passage]] = {}
    for row in rows:
        if bench.rng(unit.id, f"ood:{row.place}").random() < options.out_of_domain:
            if passages := _without(row, unit, bench, options, shown):
                without[row.place] = passages
            else:
                bench.note(NEEDED)
    asked = [row for row in rows if row.place in without]
    if options.check:
        requests = [_request(row.question, row.history, without[row.place]) for row in asked]
        for row, said in zip(asked, await structured_all(bench.teacher, requests, Answer), strict=True):
            if isinstance(said, Failed):
                bench.fail(f"no answer: {said.reason}", {"unit": unit.id, "question": row.question}, said.told)
                del without[row.place]
            elif (said.relevant_doc_ids or said.answer) and not is_refusal(said.answer):
                bench.note(TOLD_ELSEWHERE)
                del without[row.place]
    return [_example(row, unit, bench, shown.passages, without.get(row.place)) for row in rows]


def _without(row: Row, unit: Cluster, bench: Bench, options: Options, shown: Shown) -> list[Passage]:
    """The cluster with others in the place of all documents that answer the question; empty where an earlier answer needs one of them."""
    answers = answering(Told(row.question, tuple(q.text for q in row.quotes), row.answer))

    def holds(chunk: Chunk) -> bool:
        return any(answers(content(chunk.text, form)) for form in FORMS)

    out = {q.passage for q in row.quotes} | {n for n, c in enumerate(shown.chunks) if holds(c)}
    if out & row.before:
        return []
    there = {c.id for c in shown.chunks}
    others = (c for c in neighbours(unit, bench) if c.id not in there and len(c.text) <= options.longest and not holds(c))
    kept = [p if n not in out else (_passage(c, unit, bench, options) if (c := next(others, None)) else None) for n, p in enumerate(shown.passages)]
    return [p for p in kept if p is not None]


def _example(row: Row, unit: Cluster, bench: Bench, passages: list[Passage], without: list[Passage] | None) -> Example:
    """The row, its documents in an order of its own: teachers ask about the first ones most, and a place must not give the answer away."""
    shown = list(enumerate(without or passages))
    bench.rng(unit.id, f"shown:{row.place}").shuffle(shown)
    at = {old: new for new, (old, _) in enumerate(shown)}
    quotes = [] if without else [Quote(text=q.text, passage=at[q.passage]) for q in dict.fromkeys(row.quotes)]
    return Example(
        id=example_id(bench.recipe, unit.id, row.question, row.place[0] * 100 + row.place[1]), recipe=bench.recipe, unit=unit.anchor.id,
        document=unit.document, question=row.question, passages=[p for _, p in shown], oracle=quotes[0].passage if quotes else None,
        support="abstain" if without else "cited", quotes=quotes, answer=ABSTAIN[language(row.question)] if without else row.answer,
        split=bench.split_of(unit.document), kind="ood" if without else "good", history=list(row.history),
    )  # fmt: skip
