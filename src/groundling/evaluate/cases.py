"""Questions as cases: what is asked in which setting, and which of the passages shown hold the gold passage.

The settings are `none` (no passage), `given` (the gold passage and nothing else) and `k=N` (what search finds, as in serving). Formats that are not
grounded (`labels`, `backward`) know only `given`: their cases are the held-out examples themselves, with what these show.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from ..answer import Asked, Search, passages_of
from ..config import Evaluate
from ..errors import InputError
from ..grounding import Format
from ..records import Chunk, Document, Example, Passage, Question
from .text import contains


class Case(NamedTuple):
    """A question in a setting. `relevant`: local numbers of the passages that hold the gold passage, None where the gold is unknown.

    `seen`: whether its document was trained on; None for an unanswerable question, or one whose document is unknown.
    """

    question: Question
    setting: str
    asked: Asked
    relevant: list[int] | None
    seen: bool | None


class Gold(NamedTuple):
    """Where a question's answer stands: its document, and every place of it that reads as the gold passage does."""

    document: Document | None
    spans: list[tuple[int, int]]
    status: str


class Books(NamedTuple):
    """What cases are made from. `seen` holds the ids of the documents trained on, None where nothing was trained."""

    documents: Sequence[Document]
    chunks: Sequence[Chunk]
    search: Search
    seen: frozenset[str] | None = None


LOCATED, SPLIT = "located", "located, but no chunk holds it"
NO_DOCUMENT, NO_PASSAGE, NOT_FOUND = "its document is not among the documents", "no passage named", "the passage is not in its document"
_SHORTEST = 12  # letters below which a match of letters alone proves nothing


def settings(options: Evaluate) -> list[str]:
    """The settings in the order in which they are asked and shown."""
    found = ["none"] * options.without + [f"k={k}" for k in sorted(set(options.k))] + ["given"] * options.given
    if not found:
        raise InputError("evaluate asks nothing: k is empty, and without and given are both false. Set evaluate.k, for example to [3].")
    return found


def headline(options: Evaluate) -> str:
    """The setting that the headline speaks of: the one named, else the middle k, or the last setting where there is no k."""
    ks = sorted(set(options.k))
    return f"k={options.headline or ks[len(ks) // 2]}" if ks else settings(options)[-1]


def _letters(text: str) -> tuple[str, list[int]]:
    """Letters and digits only, folded, with the offset of each: what survives a PDF's hyphens, ligatures and line ends."""
    kept, at = [], []
    for offset, char in enumerate(text):
        for plain in unicodedata.normalize("NFKC", char).casefold():
            if plain.isalnum():
                kept.append(plain)
                at.append(offset)
    return "".join(kept), at


def letters(text: str) -> str:
    """Letters and digits only, folded."""
    return _letters(text)[0]


_letters_of = lru_cache(maxsize=64)(_letters)


def _all(text: str, piece: str) -> list[tuple[int, int]]:
    return [m.span() for m in re.finditer(re.escape(piece), text)] if piece else []


def locate(passage: str, text: str) -> list[tuple[int, int]]:
    """Every place of a passage in a text: exactly; else with other white space; else by its letters and digits alone (for PDF files)."""
    passage = passage.strip()
    found = _all(text, passage)
    if not found and passage:
        found = [m.span() for m in re.finditer(r"\s+".join(re.escape(word) for word in passage.split()), text)]
    wanted = letters(passage)
    if not found and len(wanted) >= _SHORTEST:
        folded, at = _letters_of(text)
        found = [(at[start], at[end - 1] + 1) for start, end in _all(folded, wanted)]
    return found


def _named(name: str, documents: Sequence[Document]) -> list[Document]:
    """The documents that a question's `document` can mean: by path, else by the end of the path."""
    name = name.strip().removeprefix("./")
    return [d for d in documents if d.path == name] or [d for d in documents if d.path.endswith(f"/{name}") or d.id == name]


def gold(question: Question, documents: Sequence[Document]) -> Gold:
    """Where the answer stands. With two files of that name, the one that holds the passage is meant."""
    candidates = list(documents) if question.document is None else _named(question.document, documents)
    sure = candidates[0] if question.document is not None and len(candidates) == 1 else None
    if not candidates:
        return Gold(None, [], NO_DOCUMENT)
    if not (question.passage or "").strip():
        return Gold(sure, [], NO_PASSAGE)
    found = [(d, spans) for d in candidates if (spans := locate(question.passage, d.text))]
    return Gold(found[0][0], found[0][1], LOCATED) if found else Gold(sure, [], NOT_FOUND)


def is_relevant(chunk: Chunk, found: Gold, answers: Sequence[str]) -> bool:
    """Whether a chunk holds the gold passage: at least half of the shorter of the two, and the answer where the passage says it."""
    if found.document is None or chunk.document != found.document.id:
        return False
    text = found.document.text
    for start, end in found.spans:
        low, high = max(start, chunk.start), min(end, chunk.end)
        wide = high - low >= min(end - start, chunk.end - chunk.start) / 2
        said = [a for a in answers if contains(text[start:end], a)]
        if high > low and wide and (not said or any(contains(text[low:high], a) for a in said)):
            return True
    return False


def check(questions: Sequence[Question]) -> None:
    """Raise InputError for questions that cannot be scored."""
    if not questions:
        raise InputError("There is no question to evaluate on. Write some into questions.jsonl, or set evaluate.questions to a file.")
    for name, times in Counter(q.id for q in questions).items():
        if times > 1:
            raise InputError(f'{times} questions have the id "{name}". Give each question an id of its own.')
    for q in questions:
        if q.answerable and not any(a.strip() for a in q.answers):
            raise InputError(f'Question "{q.id}" is answerable but names no answer. Add one to its answers, or set answerable to false.')


def questions_of(examples: Sequence[Example], fmt: Format) -> list[Question]:
    """Held-out examples as questions: what the format teaches of each (a label, a question) is the one accepted answer."""
    return [Question(id=e.id, question=e.question, answers=[fmt.target(e)[-1]], answerable=True, document=e.document) for e in examples]


def held_out(examples: Sequence[Example], fmt: Format, drawn: Sequence[Question]) -> Built:
    """The cases of the drawn ones, in the one setting `given`: each is shown what its example shows. Nothing of it was trained on."""
    known, cases = {q.id: q for q in drawn}, []
    for e in examples:
        if q := known.get(e.id):
            relevant = [n for n, p in enumerate(e.passages) if p.title in q.answers]
            cases.append(Case(q, "given", Asked(e.question, e.passages), relevant, None))
    return Built({"given": cases}, {})


class Built(NamedTuple):
    """The cases of each setting, and what became of the questions' gold passages (counted by status)."""

    cases: dict[str, list[Case]]
    gold: dict[str, int]


def build(questions: Sequence[Question], books: Books, asked: Sequence[str]) -> Built:
    """The cases of every setting in `asked`, in the order of the questions."""
    check(questions)
    golds = {q.id: gold(q, books.documents) if q.answerable else Gold(None, [], "unanswerable") for q in questions}
    counted: Counter[str] = Counter()
    for q in questions:
        held = not golds[q.id].spans or any(is_relevant(c, golds[q.id], q.answers) for c in books.chunks)
        counted[golds[q.id].status if held else SPLIT] += 1
    cases = {setting: [c for q in questions if (c := _case(q, setting, golds[q.id], books))] for setting in asked}
    return Built(cases, dict(counted))


def _case(question: Question, setting: str, found: Gold, books: Books) -> Case | None:
    seen = found.document.id in books.seen if found.document and books.seen is not None else None
    if setting == "given":
        if not question.answerable or not (question.passage or "").strip():
            return None
        title = found.document.title if found.document else ""
        shown = [Passage(id=f"given-{question.id}", title=title, text=question.passage.strip())]
        return Case(question, setting, Asked(question.question, shown), [0], seen)
    hits = [] if setting == "none" else books.search(question.question, int(setting.removeprefix("k=")))
    relevant = [n for n, h in enumerate(hits) if is_relevant(h.chunk, found, question.answers)]
    known = bool(found.spans) or not question.answerable
    return Case(question, setting, Asked(question.question, passages_of(hits)), relevant if known else None, seen)
