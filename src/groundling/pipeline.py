"""THE MAP: the stages in their order, what each reads and writes, and when it has to run again.

    ingest → chunk → index → synthesize → curate → train → evaluate → (serve)

Only this module knows all stages; it hands each what it needs as a value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from . import grounding, memory, provided, registry
from .asked import examples_behind, held_out_of, questions_of, something_to_ask, trained_on, training
from .curating import embedding, filtering, filters
from .errors import ConfigError, InputError, StaleError
from .interrupts import WAITING, stoppable, until_stopped
from .records import Document, Example, Pair
from .runs import Run, reads, write_config
from .seats import seats, teaching
from .seeds import digest
from .stale import State, stale
from .told import no_pairs, nothing_made, something_kept, summary, thin
from .verify import ready, verify
from .workspace import Output, content, fingerprint


class Stage(NamedTuple):
    """A stage: the stages whose output it reads, what it does, and whether doing it again costs hours or money."""

    name: str
    reads: tuple[str, ...]
    work: Callable[[Run, Output], None]
    dear: bool = False


def _reads_documents(run: Run) -> bool:
    """Whether the recipe makes its examples from documents. Where not, the stages before it have nothing to do."""
    return getattr(registry.load("recipe", run.config.synthesize.recipe), "DOCUMENTS", True)


def _ingest(run: Run, out: Output) -> None:
    from .ingest import ingest

    if not _reads_documents(run):
        return
    known = run.space.read("ingest", Document) if run.space.record("ingest") else ()
    ingest(run.project.documents, run.config.ingest, out, known)


def _chunk(run: Run, out: Output) -> None:
    from .chunk import chunk

    if not _reads_documents(run):
        return
    chunk(run.documents.values(), run.config.chunk, out)
    if not out.kept:
        raise InputError(f"No chunk of at least {run.config.chunk.minimum} characters came out of the documents. Lower chunk.minimum.")


def _index(run: Run, out: Output) -> None:
    from .index import build

    if not _reads_documents(run):
        return out.note(chunks=0)
    out.note(chunks=len(run.chunks), **build(list(run.chunks.values()), run.index_options, out.folder))


def _synthesize(run: Run, out: Output) -> None:
    from .synthesize import Bench, asks_teacher, options_of, synthesize, units_of
    from .synthesize.view import watched

    options, settings = run.config.synthesize, settings_of(run, STAGES[NAMES.index("synthesize")])
    for line in thin(run):
        run.say(line)
    with teaching(run) as models:
        bench = Bench(recipe=options.recipe, drop=out.drop, fail=out.fail, **seats(run, models, settings))
        units = units_of(options.recipe, bench.chunks, bench, options_of(registry.load("recipe", options.recipe), options.options))
        bench, view = watched(bench, options, out, len(units))
        with run.watch(view), stoppable(getattr(models.teacher, "stopping", WAITING)) as stop:
            asyncio.run(until_stopped(synthesize(options, bench, units, out), stop))
    if not out.kept and _kind(run) is Pair:
        raise InputError(no_pairs(options.student, out.counts()))
    if not out.kept:
        raise InputError(nothing_made(options.recipe, options.teacher if asks_teacher(options) else "", out.counts()))


def _kind(run: Run) -> type[Example] | type[Pair]:
    from .synthesize import makes

    return makes(run.config.synthesize.recipe)


def _curate(run: Run, out: Output) -> None:
    from .curate import curate

    curate(run.space.read("synthesize", _kind(run)), run.config.curate, filtering(run), out)
    something_kept(run, out)


def _train(run: Run, out: Output) -> None:
    if run.hosted:
        from .train.provider import train_there

        there = provided.place(run)
        return train_there(run.space.read("curate", _kind(run)), training(run, out), run.config.seed, there, out, run.watch)
    from .train import train
    from .train.dial import settled

    options, told = settled(training(run, out), run.base())
    for line in told:
        run.say(line)
    train(run.space.read("curate", _kind(run)), options, run.base(), run.config.seed, out, run.watch)


def _evaluate(run: Run, out: Output) -> None:
    from .evaluate.cases import Books
    from .evaluate.run import BASE, TUNED, Contestant, Plan, evaluate
    from .llm.journal import Journal
    from .llm.open import drained

    examples = examples_behind(run)
    held = held_out_of(run, examples)
    questions = run.questions or ([] if held else questions_of(run, examples))
    fmt = grounding.FORMATS[run.config.train.format]
    journal = Journal(run.space.journal)
    models = [Contestant(label, model, fmt, trial) for label, model, trial in provided.entrants(run, journal, (BASE, TUNED))]
    plan = Plan(
        options=run.config.evaluate, seed=run.config.seed, questions=questions,
        books=Books(documents=list(run.documents.values()), chunks=list(run.chunks.values()), search=run.search, seen=trained_on(run, examples)),
        models=models, examples=[e for e in examples if e.split == "train"], held_out=held,
        progress=lambda label, done, total: run.say(f"  {label}: {done} of {total}") if done == total else None,
    )  # fmt: skip
    asyncio.run(drained(evaluate(plan, out), [one.model for one in models]))
    out.note(written_by="file" if run.questions else "held-out examples" if held else "teacher", asked=provided.asked(run, models))
    journal.close()


STAGES: list[Stage] = [
    Stage("ingest", (), _ingest),
    Stage("chunk", ("ingest",), _chunk),
    Stage("index", ("chunk",), _index),
    Stage("synthesize", ("chunk", "index"), _synthesize),
    Stage("curate", ("synthesize",), _curate),
    Stage("train", ("curate",), _train, dear=True),
    Stage("evaluate", ("ingest", "chunk", "index", "curate", "train"), _evaluate),
]
NAMES = [stage.name for stage in STAGES]
# Raised by whoever changes what a stage makes of the same inputs and settings: what an older version made is stale then.
VERSIONS = {"ingest": 1, "chunk": 1, "index": 1, "synthesize": 3, "curate": 3, "train": 1, "evaluate": 1}


def settings_of(run: Run, stage: Stage) -> dict[str, Any]:
    """The settings that shape a stage's output: its own section, and what else it reads of the config."""
    own = getattr(run.config, stage.name).identity()
    if stage.name in ("ingest", "chunk", "index") and not _reads_documents(run):
        own = {"documents": "none are read"}
    if stage.name in ("synthesize", "curate", "evaluate"):
        own["held_out"] = run.config.held_out
    if stage.name == "synthesize":
        from .synthesize import makes, options_of

        own["options"] = options_of(registry.load("recipe", own["recipe"]), own["options"]).model_dump(mode="json")
        for role in ("teacher", "student", "judge"):
            own[role] = run.judge(own[role]).fingerprint if own[role] else ""
        if makes(own["recipe"]) is Pair or hasattr(registry.load("recipe", own["recipe"]), "FITS_FORMAT"):
            own["format"] = grounding.fingerprint(run.config.train.format)
    if stage.name == "curate":
        own["filters"] = filters(run)
    if stage.name == "train":
        from .train.options import options_of as objective_options

        own["format_fingerprint"] = grounding.fingerprint(run.config.train.format)
        own["options"] = objective_options(registry.load("objective", own["objective"]), own["options"]).model_dump(mode="json")
    return own | {"version": VERSIONS[stage.name]}


def sources_of(run: Run, stage: Stage, prints: dict[str, str]) -> dict[str, str]:
    """Fingerprints of what a stage reads: earlier outputs, the files on disk, the weights of a model."""
    from .llm.weights import identity

    found = {name: prints[name] for name in stage.reads}
    if stage.name == "ingest" and _reads_documents(run):
        from .ingest.census import census

        found["files"] = census(run.project.documents, run.config.ingest, run.space.root)
    if path := {"curate": run.project.secret, "evaluate": run.project.questions}.get(stage.name):
        found["questions"] = digest(path.read_text("utf-8", errors="replace"), length=16)
    if stage.name == "curate":
        found |= embedding(run)
    if stage.name == "train":
        found["base"] = provided.origin(run)
    if stage.name == "synthesize":
        found |= _files(run) | {f"examples of {name}": run.curated(name)["fingerprint"] for name in reads(run)}
    if stage.name == "index" and run.config.index.model:
        found["model"] = identity(run.index_options.model)
    return found


def _files(run: Run) -> dict[str, str]:
    """The content of each file that the recipe's options name."""
    from .synthesize import files_of

    names = files_of(run.config.synthesize.recipe, run.config.synthesize.options)
    return {name: content(run.path(name)) for name in names}


def states(run: Run) -> list[State]:
    """Every stage as done, stale or missing, in order. A stage after a stale or missing one is stale or missing too."""
    prints: dict[str, str] = {}
    found = []
    for stage in STAGES:
        if stage.name == "evaluate" and run.mute:
            found.append(State("evaluate", "none", run.mute))
            continue
        settings, sources = settings_of(run, stage), sources_of(run, stage, prints)
        prints[stage.name] = fingerprint(stage.name, settings, sources, run.config.seed)
        record = run.space.record(stage.name)
        if record is None:
            found.append(State(stage.name, "missing"))
        elif record["fingerprint"] == prints[stage.name]:
            found.append(State(stage.name, "done", record=record))
        else:
            found.append(stale(stage.name, record, settings, sources, run.config.seed))
    return found


def run_stages(run: Run, first: str = NAMES[0], last: str = NAMES[-1], redo: Iterable[str] = ()) -> None:
    """Run what is missing or stale between `first` and `last`, in order; what is done stays.

    Raises StaleError before throwing away a finished stage that cost hours, unless it is named in `redo`.
    """
    for name in (first, last, *redo):
        if name not in NAMES:
            raise ConfigError(f'There is no stage "{name}". Stages: {", ".join(NAMES)}.')
    wanted = NAMES[NAMES.index(first) : NAMES.index(last) + 1]
    if not wanted:
        raise ConfigError(f"--from {first} comes after --to {last}. The stages in order: {', '.join(NAMES)}.")
    if "evaluate" in wanted and run.mute:
        wanted.remove("evaluate")
        run.say(f"evaluate: left out, as {run.mute}")
    verify(run, wanted)
    with run.space.lock():
        found = {state.name: state for state in states(run)}
        for stage in STAGES:
            _refuse_stale_input(stage, wanted, found)
            if stage.name in wanted and stage.dear and found[stage.name].state == "stale" and stage.name not in redo:
                raise StaleError(
                    f"{stage.name} is finished but stale ({found[stage.name].brief}). Running it again throws the trained model away"
                    f"{', and is paid for again' if run.hosted else ''}. If that is meant, add --redo {stage.name}; to keep it, use another --out."
                )
        ready(run, {name for name in wanted if found[name].state != "done" or name in redo})
        write_config(run)
        for stage in (s for s in STAGES if s.name in wanted):
            _refuse_missing(run, stage)
            if stage.name == "train" and "evaluate" in wanted:
                something_to_ask(run)
            if found[stage.name].state == "done" and stage.name not in redo:
                run.say(f"{stage.name}: done before")
            else:
                _run_one(run, stage, anew=stage.dear and stage.name in redo)


def _refuse_stale_input(stage: Stage, wanted: list[str], found: dict[str, State]) -> None:
    for name in stage.reads if stage.name in wanted else ():
        if name not in wanted and found[name].state == "stale":
            raise StaleError(f"{stage.name} would read the output of {name}, which is stale ({found[name].brief}). Start earlier: --from {name}.")


def _refuse_missing(run: Run, stage: Stage) -> None:
    for name in stage.reads:
        if run.space.record(name) is None:
            raise InputError(f"{stage.name} needs the output of {name}, which is not there yet. `groundling run` makes all that is missing.")


def _run_one(run: Run, stage: Stage, anew: bool = False) -> None:
    settings = settings_of(run, stage)
    prints = {name: run.space.record(name)["fingerprint"] for name in stage.reads}
    sources = sources_of(run, stage, prints)
    mark = fingerprint(stage.name, settings, sources, run.config.seed)
    if anew:  # or its last checkpoint would be gone on from; only now, when all that it needs is there
        run.space.clear(stage.name)
    run.say(f"{stage.name} …")
    with run.space.writing(stage.name, mark, settings, sources, run.config.seed, resumes=stage.dear) as out:
        stage.work(run, out)
        out.note(peak_memory_mb=round(memory.peak()))
    for value in ("documents", "chunks", "search"):
        run.__dict__.pop(value, None)
    run.say(summary(stage.name, run.space.record(stage.name)))
