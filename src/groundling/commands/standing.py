"""For `doctor`: whether what questions quote stands in the documents, those to learn from and those of the evaluation.

Documents are read only where that is quick: as the run has them, if that is what they hold now, else from the folder if it is small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import pipeline, registry
from ..config import Project
from ..doctor import Check
from ..errors import UserError
from ..misnamed import Names, Row, absent, paths_in, rows_of
from ..records import Document, Question
from ..runs import Run
from ..workspace import Workspace, fingerprint
from .standing_shelf import Shelf, squashed

FEW, SMALL = 500, 10e6  # files, and bytes of them, that are read for this alone
LARGE = 1e9  # bytes of documents of which it is not even looked whether the run has them as they are now
TEXT = 50e6  # bytes of a run's documents that are held against questions
LOOKED = 2e9  # characters that are gone through for rows which name no document


class Closed(Exception):
    """Why the documents are not read, as a clause."""


class Found(NamedTuple):
    """What is amiss with a row, as a constant clause, and more of it where it is the first."""

    fault: str
    more: str = ""
    quote: bool = False  # whether it is the passage


def standing(project: Project) -> list[Check]:
    """The checks of both files, as far as there are any."""
    from ..synthesize import options_of

    run = Run(project, Workspace(Path("runs") / project.name))
    files: list[tuple[str, Path, Callable[[Shelf, Row], Found | None]]] = []
    section = project.config.synthesize
    try:
        recipe = registry.load("recipe", section.recipe)
        if not getattr(recipe, "DOCUMENTS", True):
            return []
        name = recipe.quoted(options_of(recipe, section.options)) if hasattr(recipe, "quoted") else ""
        files += [("training quotes", run.path(name), _to_learn)] if name else []
        files += [("question quotes", project.questions, _to_ask)] if project.questions else []
        rows = [(what, rows_of(path), look) for what, path, look in files]
    except UserError:
        return []  # said by the checks of the recipe and of the files
    if not any(q.document or q.passage for _, found, _ in rows for _, q in found):
        return []
    try:
        shelf = Shelf(_documents(run))
    except (Closed, UserError) as why:
        return [Check(what, False, f"not checked: {why}", needed=False) for what, _, _ in rows]
    there = Names(paths_in(project.documents))
    return [_check(what, found, {row.line for row in absent(found, there)}, shelf, look) for what, found, look in rows]


def _documents(run: Run) -> list[Document]:
    """The documents. Raises Closed where reading them would take long."""
    from ..ingest.walk import files

    reader = _Reader(run.space.root / "-")
    sizes = [path.stat().st_size for path, _ in files(run.project.documents, run.config.ingest, reader)]  # type: ignore[arg-type]
    told = f"{len(sizes):,} files of {sum(sizes) / 1e6:,.0f} MB"
    record, data = run.space.record("ingest"), run.space.data("ingest")
    large = sum(sizes) > LARGE or (data.exists() and data.stat().st_size > TEXT)
    if record and not large and data.exists() and _current(run, record):
        return list(run.documents.values())
    if len(sizes) > FEW or sum(sizes) > SMALL:
        then = f"{run.space.root} does not hold them as they are now: `groundling ingest` on the project, and doctor again"
        raise Closed(f"{told} take long to read. " + ("synthesize and evaluate count what does not stand in them" if large else then))
    from ..ingest import ingest

    try:
        ingest(run.project.documents, run.config.ingest, reader, list(run.documents.values()) if record else ())  # type: ignore[arg-type]
    except UserError as error:
        raise Closed(f"the documents cannot be read. {error}") from None
    return reader.found


def _current(run: Run, record: dict[str, Any]) -> bool:
    """Whether the run has read the documents as they are now."""
    stage = pipeline.STAGES[0]
    now = fingerprint(stage.name, pipeline.settings_of(run, stage), pipeline.sources_of(run, stage, {}), run.config.seed)
    return record["fingerprint"] == now


class _Reader:
    """Takes the place of an Output where documents are read and nothing is written. `folder`: of a run that is no document."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.found = folder, list[Document]()
        self.dropped, self.failed = dict[str, int](), dict[str, int]()

    def keep(self, record: Document) -> None:
        self.found.append(record)

    def drop(self, reason: str, what: object) -> None: ...

    def fail(self, reason: str, what: object, detail: str = "") -> None: ...

    def check(self, share: float, what: str) -> None: ...


def _to_learn(shelf: Shelf, row: Row) -> Found | None:
    """As the recipe looks it up: word for word, in the document that is named if one is."""
    q = row.question
    if q.answerable and not ((q.passage or "").strip() and any(a.strip() for a in q.answers)):
        return Found("no answer, or no passage with it")
    return _misplaced(shelf, q, by_letters=False)


def _to_ask(shelf: Shelf, row: Row) -> Found | None:
    """As the evaluation looks it up. An accepted answer should stand in the passage, or in the document where no passage is named."""
    q = row.question
    if amiss := _misplaced(shelf, q, by_letters=True):
        return amiss
    places = shelf.find(q.document) if q.document else []
    texts = [squashed(q.passage)] if q.passage and q.passage.strip() else [shelf.squashed(n) for n in places]
    if q.answerable and texts and not any(squashed(a) in text for a in q.answers if a.strip() for text in texts):
        where = "passage" if q.passage and q.passage.strip() else "document"
        return Found(f"no accepted answer stands in the {where}", f'"{_short(q.answers[0])}"')
    return None


def _misplaced(shelf: Shelf, q: Question, by_letters: bool) -> Found | None:
    """A document that is not read, or a passage that does not stand where it is said to."""
    places: Sequence[int | None] = shelf.find(q.document) if q.document else [None]
    if not places:
        return Found("the document is not among those that are read", f'"{q.document}"')
    if not q.answerable or not (q.passage or "").strip() or any(shelf.holds(n, q.passage or "", by_letters) for n in places):
        return None
    return Found("the passage does not stand there word for word", f'"{_short(q.passage or "")}"', quote=True)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:80]} …"


def _check(what: str, rows: Sequence[Row], told: set[int], shelf: Shelf, look: Callable[[Shelf, Row], Found | None]) -> Check:
    """One file's. `told` are lines of which another check speaks: their document is no file."""
    most = int(LOOKED / max(1, shelf.size))
    everywhere = [row.line for row in rows if not row.question.document and row.question.passage]
    left = set(everywhere[most:])
    looked = [row for row in rows if row.line not in told | left]
    wrong = [(row, found) for row in looked if (found := look(shelf, row))]
    unseen = f" Not looked up, as it would take long: {len(left):,} of the rows that name no document." if left else ""
    if not wrong:
        passages = sum(bool(row.question.answerable and (row.question.passage or "").strip()) for row in looked)
        return Check(what, not left, f"{passages:,} passages stand in the documents{'.' * bool(left)}{unseen}", needed=False)
    kinds: dict[str, list[tuple[Row, Found]]] = {}
    for row, found in wrong:
        kinds.setdefault(found.fault, []).append((row, found))
    # Of rows to learn from the wrong ones are left out; with none that is good there is nothing to make.
    stops = look is _to_learn and len(wrong) + len(told) == len(rows)
    left_out = " They are left out." if look is _to_learn else ""
    return Check(what, False, " ".join(_kind(fault, of, rows, shelf, look) for fault, of in kinds.items()) + left_out + unseen, needed=stops)


def _kind(fault: str, of: Sequence[tuple[Row, Found]], rows: Sequence[Row], shelf: Shelf, look: Any) -> str:
    """How many rows have a fault, and which is the first; of a passage that stands in another document, which that is."""
    row, found = of[0]
    place = ""
    if found.quote and (other := shelf.elsewhere(row.question.passage or "", look is _to_ask)):
        place = f", which stands in {other}"
    elif found.quote and row.question.document:
        place = f", not in {row.question.document}"
    return f"{len(of):,} of {len(rows):,} rows: {fault}. The first is line {row.line}{': ' * bool(found.more)}{found.more}{place}."
