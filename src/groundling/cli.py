"""The command line: one short command per stage and a few around them. No logic here; heavy modules load inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from . import ending
from .commands import agenting, exchange, inspecting, jobs, searching
from .errors import ConfigError
from .llm.fake.command import fake_teacher

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="From a folder of documents to a small language model that answers from them, cites them, and says when they do not hold the answer.",
)  # fmt: skip

PathArgument = Annotated[Path, typer.Argument(help="a folder of documents, a folder with a groundling.yaml, a config file, or a run folder")]
RunArgument = Annotated[Path, typer.Argument(help="a run folder")]
OutOption = Annotated[Optional[Path], typer.Option("--out", help="the run's folder (else runs/NAME)")]  # noqa: UP045
SetOption = Annotated[list[str], typer.Option("--set", help="override a setting: section.key=value")]
RedoOption = Annotated[bool, typer.Option("--redo", help="run it again although it is done")]
LimitOption = Annotated[int, typer.Option(min=0, help="make examples from only so many chunks (synthesize.limit); 0: as the config says")]
JsonOption = Annotated[bool, typer.Option("--json", help="print JSON")]
KOption = Annotated[Optional[int], typer.Option(min=1, help="passages retrieved (else serve.k)")]  # noqa: UP045


def say(text: str) -> None:
    print(text, flush=True)


def _open(path: Path, out: Path | None = None, settings: list[str] | None = None, limit: int = 0) -> Any:
    from .panel import watch
    from .runs import open_run

    opened = open_run(path, out, [*(settings or []), *([f"synthesize.limit={limit}"] if limit else [])], say)
    opened.watch = watch
    return opened


@app.command()
def run(
    path: PathArgument,
    out: OutOption = None,
    first: Annotated[str, typer.Option("--from", help="the first stage to run")] = "ingest",
    last: Annotated[str, typer.Option("--to", help="the last stage to run")] = "evaluate",
    redo: Annotated[list[str], typer.Option(help="run this stage again although it is done")] = [],  # noqa: B006
    settings: SetOption = [],  # noqa: B006
    show: Annotated[bool, typer.Option("--show", help="print the effective config and stop")] = False,
    limit: LimitOption = 0,
    only: Annotated[str, typer.Option("--round", help="run this round alone; else all rounds of the config, in order")] = "",
) -> None:
    """Everything, from documents to a model with a report. The same command again goes on where it stopped."""
    from .commands import rounding, running

    opened = _open(path, out, settings, limit)
    if show:
        say(rounding.effective(opened, only))
        return
    if opened.config.rounds or only:
        return rounding.run_rounds(opened, rounding.Wanted(only, first, last, redo))
    running.run_all(opened, first, last, redo)


def _stage(name: str, help_text: str) -> None:
    def command(path: PathArgument, out: OutOption = None, settings: SetOption = [], redo: RedoOption = False) -> None:  # noqa: B006
        from .commands.running import run_stage

        run_stage(_open(path, out, settings), name, redo)

    command.__doc__ = help_text
    app.command(name)(command)


_stage("ingest", "Files to documents.")
_stage("chunk", "Documents to chunks.")
_stage("index", "Chunks to a search index.")


@app.command()
def synthesize(path: PathArgument, out: OutOption = None, settings: SetOption = [], redo: RedoOption = False, limit: LimitOption = 0) -> None:  # noqa: B006
    """Chunks to training examples."""
    from .pipeline import run_stages

    run_stages(_open(path, out, settings, limit), "synthesize", "synthesize", ["synthesize"] if redo else [])


_stage("curate", "Examples to kept examples.")
_stage("train", "Examples to a model.")


@app.command()
def evaluate(
    path: Annotated[str, typer.Argument(help="a project or run folder; or a model (`nano`, a folder) with --documents and --questions")],
    documents: Annotated[Optional[Path], typer.Option(help="a folder of documents to evaluate any model on")] = None,  # noqa: UP045
    questions: Annotated[Optional[Path], typer.Option(help="a .jsonl file of questions")] = None,  # noqa: UP045
    k: Annotated[Optional[str], typer.Option(help="settings, for example 0,given,3 (0: without passages); else given,3")] = None,  # noqa: UP045
    json_out: Annotated[Optional[Path], typer.Option("--json", help="write the scores here")] = None,  # noqa: UP045
    out: OutOption = None,
    settings: SetOption = [],  # noqa: B006
) -> None:
    """Score a run's model against its base; or any model on any folder."""
    from .commands import asking, running

    if documents is not None:
        if questions is None:
            raise ConfigError("--documents needs --questions FILE.jsonl, so that there is something to ask.")
        asking.evaluate_model(asking.Bare(path, documents, questions, k or "given,3", settings), json_out, say)
    else:
        if questions is not None or k is not None:
            raise ConfigError("--questions and --k go with --documents. For a run, use --set evaluate.questions=FILE and --set evaluate.k=[1,3].")
        if path == "nano":
            raise ConfigError("A model by itself is scored on a folder: add --documents DIR and --questions FILE.jsonl.")
        opened = _open(Path(path), out, settings)
        running.pipeline.run_stages(opened, "evaluate", "evaluate", redo=["evaluate"] if opened.space.record("evaluate") else [])
        running.after_evaluate(opened, json_out)


@app.command()
def status(path: PathArgument, out: OutOption = None, settings: SetOption = [], as_json: JsonOption = False) -> None:  # noqa: B006
    """What is done, stale (which setting changed) or missing."""
    from .commands import looking, rounding

    opened = _open(path, out, settings)
    (rounding if opened.config.rounds else looking).status(opened, as_json)


@app.command()
def preview(
    recipe: Annotated[str, typer.Argument(help="see `groundling list recipes`")],
    path: PathArgument = Path("."),
    count: Annotated[int, typer.Option("-n", min=1, help="rows to make")] = 5,
    out: OutOption = None,
    settings: SetOption = [],  # noqa: B006
    as_json: JsonOption = False,
) -> None:
    """A few real rows, with what every check said and what they cost. The replies are kept for the run."""
    from .commands import preview

    opened, options = preview.opened(lambda given: _open(path, out, given), settings, recipe)
    preview.preview(opened, recipe, count, as_json, options)


@app.command()
def plan(
    path: PathArgument,
    pilot: Annotated[int, typer.Option(min=0, help="chunks really asked about, to measure; 0: nothing is asked, all is estimated")] = 20,
    out: OutOption = None,
    settings: SetOption = [],  # noqa: B006
    limit: LimitOption = 0,
    as_json: JsonOption = False,
) -> None:
    """What synthesize will take before it is paid: calls, tokens, money and time, with intervals, from a pilot."""
    from .commands import plan

    plan.plan(_open(path, out, settings, limit), pilot, as_json)


@app.command()
def report(path: PathArgument, out: OutOption = None) -> None:
    """Write report.html anew and say where it is."""
    from .commands import reporting

    say(str(reporting.write_report(_open(path, out))))


@app.command()
def trace(
    path: RunArgument,
    id: Annotated[str, typer.Argument(help="the id of a document, chunk, example or question; or a document's path, as chat shows it")],
    as_json: JsonOption = False,
) -> None:
    """Follow an id both ways: what it was made from, and what was made from it."""
    from .commands import looking

    looking.trace(_open(path), id, as_json)


@app.command()
def chat(path: PathArgument, out: OutOption = None, k: KOption = None) -> None:
    """Ask a run's model in the terminal."""
    import asyncio

    from .runs import service
    from .serve.chat import chat as talk

    asyncio.run(talk(service(_open(path, out), k=k)))


@app.command()
def serve(
    path: PathArgument,
    out: OutOption = None,
    host: Annotated[Optional[str], typer.Option(help="address to listen on")] = None,  # noqa: UP045
    port: Annotated[Optional[int], typer.Option(min=0, max=65535, help="port to listen on")] = None,  # noqa: UP045
    k: KOption = None,
) -> None:
    """Serve a run's model: an OpenAI-compatible API and a chat page."""
    from .runs import service
    from .serve.server import run as listen

    listen(service(_open(path, out), host=host, port=port, k=k))


@app.command()
def predict(
    path: PathArgument,
    text: Annotated[Optional[str], typer.Argument(help="a question; for a classifier, the text to be labelled")] = None,  # noqa: UP045
    file: Annotated[Optional[Path], typer.Option(help="many of them: a .txt with one on each line, or a table with a field `text`")] = None,  # noqa: UP045
    k: KOption = None,
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """An answer to a question, or the label of a text with how likely each label is."""
    from .commands import predicting

    predicting.predict(_open(path, out), text, file, as_json, k)


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="the folder of documents")] = Path(".")) -> None:
    """Write a commented groundling.yaml with every setting at its default."""
    from .commands import starting

    say(starting.init(folder))


@app.command()
def doctor(
    path: Annotated[Optional[Path], typer.Argument(help="a project to check as well")] = None,  # noqa: UP045
    ask: Annotated[bool, typer.Option("--ask", help="also send the teacher's endpoint one call of one token, which it may charge for")] = False,
    settings: SetOption = [],  # noqa: B006
    as_json: JsonOption = False,
) -> None:
    """Check the machine, and a project's config, before anything is spent."""
    from .commands import starting

    if not starting.doctor(path, as_json, ask, settings):
        raise typer.Exit(2)


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="recipes, loaders, splitters, retrievers, filters, objectives, metrics, exports, packages or imports")],
) -> None:
    """The plug-ins of a kind, with what each does."""
    from . import registry

    known = {f"{k}s": k for k in registry.FOLDERS}
    if kind not in known:
        raise ConfigError(f'There is no list "{kind}".{registry.nearest(kind, sorted(known))}')
    for name in registry.names(known[kind]):
        for n, line in enumerate(registry.explained(known[kind], name)):
            say(f"{'' if n else name:20s} {line}")


app.add_typer(inspecting.inspect, name="inspect")
app.command()(searching.search)
for _name, _command in {"compare": exchange.compare, "agent": agenting.agent, "export": exchange.export, "import": exchange.import_}.items():
    app.command(_name)(_command)
app.command()(jobs.jobs)
app.command("fake-teacher")(fake_teacher)
app.command()(inspecting.nano)


def main() -> None:
    """The entry point."""
    ending.leave(ending.code_of(app))
