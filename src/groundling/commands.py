"""What the commands do, apart from reading their arguments: opening a run, telling where it stands, checking, tracing."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from . import config, pipeline
from .errors import ConfigError, InputError
from .runs import Run, Say, open_run, service, tuned
from .workspace import FOLDERS, Workspace, write_atomic


def effective(run: Run) -> str:
    """The whole config as it would be used."""
    data = run.config.model_dump(mode="json")
    return yaml.safe_dump(data, allow_unicode=True, sort_keys=False).rstrip()


def run_all(run: Run, first: str, last: str, redo: list[str]) -> None:
    """Run the stages, write the report, and show the model at work."""
    pipeline.run_stages(run, first, last, redo)
    if pipeline.NAMES.index(last) >= pipeline.NAMES.index("evaluate"):
        after_evaluate(run, None)
        show_answers(run)
        where = run.space.root
        run.say(f"\nReport: {where / 'report.html'}\nAsk:    groundling chat {where}\nServe:  groundling serve {where}")


def after_evaluate(run: Run, json_out: Path | None) -> None:
    """The report, the headline in the terminal, and the scores where they are wanted."""
    write_report(run)
    scores = json.loads((run.space.folder("evaluate") / "scores.json").read_bytes())
    if json_out:
        write_atomic(json_out, json.dumps(scores, indent=1).encode())
    run.say(score_table(scores))


def score_table(scores: list[dict[str, Any]]) -> str:
    """The main metrics of every model and setting as a small table."""
    shown = ("correct", "f1", "precision_answered", "citation_precision", "abstain_recall", "false_refusal_rate")
    rows = [s for s in scores if s["questions"] == "all" and s["metric"] in shown]
    lines = [f"\n{'model':10s} {'setting':8s} " + " ".join(f"{m[:18]:>18s}" for m in shown)]
    for model, setting in dict.fromkeys((s["model"], s["setting"]) for s in rows):
        cells = {s["metric"]: s for s in rows if (s["model"], s["setting"]) == (model, setting)}
        texts = [_cell(cells.get(m)) for m in shown]
        lines.append(f"{model:10s} {setting:8s} " + " ".join(f"{t:>18s}" for t in texts))
    return "\n".join(lines)


def _cell(score: dict[str, Any] | None) -> str:
    if not score or score["value"] is None:
        return "-"
    span = "" if score["low"] is None else f" [{score['low']:.0%}, {score['high']:.0%}]"
    return f"{score['value']:.0%}{span}"


def show_answers(run: Run) -> None:
    """Answer three questions and abstain on a fourth, as the report's model does: taken from its rows, chosen by what they show."""
    from rich.console import Console

    from .serve.chat import show
    from .serve.service import ask

    asked = service(run)
    console = Console()
    run.say("\nFour of its questions, chosen to show citing and abstaining (all are in the report):")
    for question in _to_show(run):
        told = asyncio.run(ask(asked, question))
        console.print(f"\n? {question}", markup=False, highlight=False)
        show(told.answer, told.sources, console, told.finish)


def _to_show(run: Run) -> list[str]:
    """Three answerable questions that the tuned model got right with a citation, and one it rightly refused; any of the kind where none was."""
    from .evaluate.scoring import Row

    setting = f"k={run.config.serve.k}"
    rows = [r for r in run.space.read("evaluate", Row) if r.model == "tuned"]
    rows = [r for r in rows if r.setting == setting] or rows
    answered = sorted((r for r in rows if r.answerable), key=lambda r: not (r.correct and r.citations and not r.abstained))
    refused = sorted((r for r in rows if not r.answerable), key=lambda r: not r.abstained)
    distinct = list({r.document: r for r in reversed(answered[:30])}.values())[::-1]
    return [r.question for r in [*distinct[:3], *refused[:1]]]


def write_report(run: Run) -> Path:
    """report.html from what the stages left."""
    from .evaluate.report import ReportData, write_report
    from .evaluate.scoring import Comparison, Row
    from .records import Score

    folder = run.space.folder("evaluate")
    if run.space.record("evaluate") is None:
        raise InputError(f"{run.space.root} has no scores yet. Run `groundling evaluate` first.")
    import msgspec

    records = {name: record for name in FOLDERS if (record := run.space.record(name))}
    failed = {
        name: [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        for name in records
        if (path := run.space.folder(name) / "failed.jsonl").is_file()
    }
    by_hand = records["evaluate"]["notes"].get("written_by") == "file"
    log = records.get("train", {}).get("notes", {}).get("log", [])
    data = ReportData(
        name=run.project.name,
        scores=msgspec.json.decode((folder / "scores.json").read_bytes(), type=list[Score]),
        tests=msgspec.json.decode((folder / "tests.json").read_bytes(), type=list[Comparison]),
        rows=list(run.space.read("evaluate", Row)),
        notes=records["evaluate"]["notes"],
        origin="The questions come from the project's own file." if by_hand
        else "Nobody wrote questions: the teacher made them from documents that were not trained on. Write some of your own to be sure.",
        records=records, failed=failed, losses=[(entry["step"], entry["loss"]) for entry in log],
        models={"base": run.config.train.base, "tuned": f"{run.config.train.base} + {run.config.train.objective} (LoRA)"},
    )  # fmt: skip
    write_report(run.space.report, data)
    return run.space.report


class Bare(NamedTuple):
    """A model, a folder and questions, without a project."""

    model: str
    documents: Path
    questions: Path
    k: str
    settings: list[str]


def evaluate_model(bare: Bare, json_out: Path | None, say: Say) -> None:
    """Score any model on any folder, in a temporary run."""
    import tempfile

    from . import grounding
    from .evaluate.cases import Books
    from .evaluate.run import Contestant, Plan, evaluate
    from .llm.local import Local
    from .llm.open import resolve

    wanted = [part.strip() for part in bare.k.split(",")]
    unknown = [w for w in wanted if not (w.isdigit() or w in ("given", "none"))]
    if unknown:
        raise ConfigError(f'--k {bare.k}: "{unknown[0]}" is neither a number, nor "given", nor "none".')
    ks = [int(w) for w in wanted if w.isdigit() and int(w)]
    settings = [
        *bare.settings, f"evaluate.questions={json.dumps(str(bare.questions.resolve()))}", f"evaluate.k={ks}",
        f"evaluate.without={str('0' in wanted or 'none' in wanted).lower()}", f"evaluate.given={str('given' in wanted).lower()}",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = Run(config.load(bare.documents, settings), Workspace(Path(folder)), say)
        pipeline.run_stages(run, "ingest", "index")
        if (Path(bare.model) / "run.json").is_file():
            other = open_run(Path(bare.model), None, [], say)
            model, taught = tuned(other), other.space.described()["format"]
        else:
            model, taught = Local(resolve(bare.model), name=bare.model), run.config.train.format
        books = Books(documents=list(run.documents.values()), chunks=list(run.chunks.values()), search=run.search, seen=None)
        plan = Plan(
            options=run.config.evaluate, seed=run.config.seed, questions=run.questions, books=books,
            models=[Contestant(Path(bare.model).name, model, grounding.FORMATS[taught])],
        )  # fmt: skip
        with run.space.writing("evaluate", "bare", {}, {}, run.config.seed) as out:
            asyncio.run(evaluate(plan, out))
        scores = json.loads((run.space.folder("evaluate") / "scores.json").read_bytes())
        if json_out:
            write_atomic(json_out, json.dumps(scores, indent=1).encode())
            shutil.copy(run.space.data("evaluate"), json_out.with_suffix(".rows.jsonl"))
        say(score_table(scores))


def status(run: Run, as_json: bool) -> None:
    """Each stage as done, stale (which setting changed) or missing."""
    found = pipeline.states(run)
    if as_json:
        run.say(json.dumps([{"stage": s.name, "state": s.state, "why": s.why, "counts": (s.record or {}).get("counts")} for s in found], indent=1))
        return
    for s in found:
        detail = s.why if s.state == "stale" else f"{s.record['counts']['kept']} kept, {s.record['seconds']} s" if s.record else ""
        run.say(f"{FOLDERS[s.name]:12s} {s.state:8s} {detail}")


def trace(run: Run, identity: str, as_json: bool) -> None:
    """An id both ways. Raises InputError for an id that nothing in the run has."""
    if run.space.record("chunk") is None:
        raise InputError(f"{run.space.root} has no chunks yet, so no id can be followed. Run `groundling run` on its project first.")
    found = _trace(run, identity)
    if not any(found.values()):
        raise InputError(f'Nothing in {run.space.root} has the id "{identity}". Ids stand in the data.jsonl files and in sources of answers.')
    if as_json:
        run.say(json.dumps(found, ensure_ascii=False, indent=1))
        return
    for kind, items in found.items():
        for item in items:
            run.say(f"{kind:12s} " + "  ".join(f"{k}={str(v)[:90]!r}" for k, v in item.items()))


def _trace(run: Run, identity: str) -> dict[str, list[dict[str, Any]]]:
    from .evaluate.scoring import Row
    from .records import Example

    chunks = [c for c in run.chunks.values() if identity in (c.id, c.document)]
    examples = list(run.space.read("curate", Example)) if run.space.data("curate").exists() else []
    own = [e for e in examples if e.id == identity]
    rows = list(run.space.read("evaluate", Row)) if run.space.data("evaluate").exists() else []
    asked = [r for r in rows if r.id == identity]
    units = {c.id for c in chunks} | {e.unit for e in own} | {p.id for r in asked for p in r.passages}
    chunks = [c for c in run.chunks.values() if c.id in units]
    if not asked and not own:
        own = [e for e in examples if e.unit in units]
        asked = [r for r in rows if any(r.passages[n].id in units for n in r.citations)]
    documents = [run.documents[d] for d in dict.fromkeys(c.document for c in chunks)]
    return {
        "document": [{"id": d.id, "path": d.path, "title": d.title} for d in documents],
        "chunk": [{"id": c.id, "path": c.path, "span": f"{c.start}-{c.end}", "title": c.title, "text": c.text} for c in chunks],
        "example": [{"id": e.id, "split": e.split, "support": e.support, "question": e.question, "answer": e.answer} for e in own],
        "answer": [{"id": r.id, "model": r.model, "setting": r.setting, "question": r.question, "answer": r.answer} for r in asked],
    }


def predict(run: Run, text: str, as_json: bool) -> None:
    """One answer with its sources."""
    from rich.console import Console

    from .serve.chat import show
    from .serve.service import ask

    told = asyncio.run(ask(service(run), text))
    if as_json:
        import msgspec

        run.say(msgspec.json.encode({"answer": told.answer, "sources": told.sources}).decode())
        return
    show(told.answer, told.sources, Console(), told.finish)


def init(folder: Path) -> str:
    """Write groundling.yaml, every setting at its default with what it means. Raises ConfigError where there is one already."""
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder. Make it, put documents there, and run init again.")
    target = folder / "groundling.yaml"
    if target.exists():
        raise ConfigError(f"{target} exists already. Edit it, or delete it first.")
    write_atomic(target, commented(config.Config).encode())
    return f"{target} written. Next: groundling doctor {folder}, then groundling run {folder}"


def commented(model: type[config.Section], indent: int = 0) -> str:
    """A section as YAML, each field with its default and its description as a comment."""
    lines = []
    for name, field in model.model_fields.items():
        pad, default = "  " * indent, field.get_default(call_default_factory=True)
        if isinstance(default, config.Section):
            lines += ["", f"{pad}{name}:  # {(type(default).__doc__ or '').strip()}", commented(type(default), indent + 1).rstrip("\n")]
            continue
        value = json.dumps(default, ensure_ascii=False)
        comment = f"  # {field.description}" if field.description else ""
        lines.append(f"{pad}{name}: {value}{comment}")
    return "\n".join(lines) + "\n"


def doctor(path: Path | None, as_json: bool) -> bool:
    """Check machine and project. Returns whether all is well enough to run."""
    from .doctor import checks

    found = checks(path)
    if as_json:
        print(json.dumps([c._asdict() for c in found], indent=1))
    else:
        for check in found:
            print(f"{'ok ' if check.ok else 'NO ' if check.needed else '-  '} {check.what}: {check.says}")
    return all(c.ok for c in found if c.needed)
