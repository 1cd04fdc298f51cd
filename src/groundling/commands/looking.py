"""Where a run stands, and what an id was made from and became."""

from __future__ import annotations

import json
from typing import Any

from .. import pipeline
from ..errors import InputError
from ..records import Example
from ..runs import Run
from ..workspace import FOLDERS

EVERY = "Every change: the same command with --json."

NO_ANSWER = "passages shown, none answers it"


def status(run: Run, as_json: bool) -> None:
    """Each stage as done, stale (which settings changed, a few of them) or missing. As JSON every change is told."""
    found = pipeline.states(run)
    if as_json:
        run.say(json.dumps([{"stage": s.name, "state": s.state, "why": s.why, "counts": (s.record or {}).get("counts")} for s in found], indent=1))
        return
    for s in found:
        detail = s.brief if s.state == "stale" else _done(s.record) if s.record else ""
        run.say(f"{FOLDERS[s.name]:12s} {s.state:8s} {detail}")
    if any(s.cut for s in found):
        run.say(EVERY)


def _done(record: dict[str, Any]) -> str:
    """What a finished stage gave. The index gives no items of its own: its chunks are told."""
    given = f"{record['notes']['chunks']} chunks" if "chunks" in record["notes"] else f"{record['counts']['kept']} kept"
    return f"{given}, {record['seconds']} s"


def trace(run: Run, identity: str, as_json: bool) -> None:
    """An id, or a document's path, both ways. Raises InputError for one that nothing in the run has."""
    if run.space.record("chunk") is None:
        raise InputError(f"{run.space.root} has no chunks yet, so no id can be followed. Run `groundling run` on its project first.")
    found = _trace(run, next((d.id for d in run.documents.values() if d.path == identity.removeprefix("./")), identity))
    if not any(found.values()):
        raise InputError(
            f'Nothing in {run.space.root} has the id "{identity}", and no document has that path. Ids stand in the data.jsonl files and in sources '
            "of answers; paths are those that chat shows."
        )
    if as_json:
        run.say(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for kind, items in found.items():
        for item in items:
            run.say(f"{kind:12s} " + "  ".join(f"{k}={str(v)[:90]!r}" for k, v in item.items()))


def unanswerable(example: Any) -> bool:
    """Whether what an example was made with is shown, and does not answer it: its chunk is no source, but what looked most like one."""
    return isinstance(example, Example) and example.support == "abstain" and example.unit in {p.id for p in example.passages}


def _example(e: Example) -> dict[str, Any]:
    told = {"id": e.id, "split": e.split, "support": e.support, "question": e.question, "answer": e.answer}
    return told | ({"unanswerable": NO_ANSWER} if unanswerable(e) else {})


def _trace(run: Run, identity: str) -> dict[str, list[dict[str, Any]]]:
    from ..evaluate.scoring import Row
    from ..records import Pair

    chunks = [c for c in run.chunks.values() if identity in (c.id, c.document)]
    there = run.space.data("curate").exists()
    pairs = list(run.space.read("curate", Pair)) if there and run.space.holds_pairs("curate") else []
    examples = list(run.space.read("curate", Example)) if there and not pairs else []
    own = [e for e in examples if e.id == identity]
    rows = list(run.space.read("evaluate", Row)) if run.space.data("evaluate").exists() else []
    asked = [r for r in rows if r.id == identity]
    units = {c.id for c in chunks} | {e.unit for e in own if not unanswerable(e)} | {p.id for r in asked for p in r.passages}
    shown = [p for e in own if unanswerable(e) for p in e.passages]
    chunks = [c for c in run.chunks.values() if c.id in units]
    if not asked and not own:
        own = [e for e in examples if e.unit in units or units & {e.passages[q.passage].id for q in e.quotes}]
        asked = [r for r in rows if any(r.passages[n].id in units for n in r.citations)]
    documents = [run.documents[d] for d in dict.fromkeys(c.document for c in chunks)]
    return {
        "document": [{"id": d.id, "path": d.path, "title": d.title} for d in documents],
        "chunk": [{"id": c.id, "path": c.path, "span": f"{c.start}-{c.end}", "title": c.title, "text": c.text} for c in chunks],
        "shown": [{"id": p.id, "path": run.chunks[p.id].path if p.id in run.chunks else "", "title": p.title, "text": p.text} for p in shown],
        "example": [_example(e) for e in own],
        "pair": [
            {"id": p.id, "example": p.unit, "split": p.split, "question": p.question, "chosen": p.chosen, "rejected": p.rejected}
            for p in pairs
            if identity in (p.id, p.unit, p.document)
        ],
        "answer": [{"id": r.id, "model": r.model, "setting": r.setting, "question": r.question, "answer": r.answer} for r in asked],
    }
