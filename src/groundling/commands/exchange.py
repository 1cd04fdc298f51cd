"""The arguments of `export`, `import` and `compare`; what they do stands in files of their own, which load only when they are run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

SOURCE = "a run folder, its project, or a folder that `groundling import` wrote"
TO = (
    "its model as adapter, merged, gguf, ollama or vllm; or its data as jsonl, parquet, alpaca, sharegpt, openai, trl, trl-preference, raft, "
    "llama-factory or axolotl; see `groundling list packages` and `groundling list exports`"
)


def export(
    path: Annotated[Path, typer.Argument(help=SOURCE)],
    target: Annotated[str, typer.Option("--to", help=TO)],
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", help="the folder for it (else 8-exports/TARGET in the run's); an earlier export in it is replaced"),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="data: the prompt format; else the one that the run's model is taught")] = "",
    split: Annotated[str, typer.Option("--split", help="data: train or held_out; else both, each in a file of its own")] = "",
    licence: Annotated[str, typer.Option("--licence", help="the licence that the card states, as the hub names it: cc-by-4.0")] = "",
    precision: Annotated[str, typer.Option("--precision", help="model: fp32, bf16 or fp16; else as it computes here, so nothing is rounded")] = "",
    llama_cpp: Annotated[
        str, typer.Option("--llama-cpp", help="gguf: the folder of llama.cpp; else $GROUNDLING_LLAMA_CPP and PATH are looked at")
    ] = "",
    push: Annotated[str, typer.Option("--push", help="model: also upload it to the Hugging Face hub, as OWNER/NAME (private where it is new)")] = "",
    watts: Annotated[float, typer.Option("--watts", min=0, help="model: what its machine drew, for the card; else an assumption, named as such")] = 0,
    carbon: Annotated[float, typer.Option("--carbon", min=0, help="model: grams of CO2 a kWh, for the card; else the world's mean")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """A run's trained model, or its curated examples, for other tools, with a card."""
    from . import exporting

    model = exporting.is_model(target)
    out = out or exporting.place(path, target)
    if model:
        from ..export.job import Wish
        from . import delivering

        wanted = delivering.Wanted(target, out, Wish(precision, llama_cpp, licence, watts, carbon), push)
        delivering.check(wanted, format, split)
        return delivering.deliver(path, wanted, _say, as_json)
    exporting.no_model_options(target, {"--precision": precision, "--llama-cpp": llama_cpp, "--push": push, "--watts": watts, "--carbon": carbon})
    exporting.export(path, exporting.Wanted(target, out, format, split, licence), _say, as_json)


def import_(
    files: Annotated[list[Path], typer.Argument(help="files of records: JSON, JSON lines, CSV, TSV or Parquet")],
    out: Annotated[Path, typer.Option("--out", help="the folder for the records, and for what failed")],
    shape: Annotated[str, typer.Option("--from", help="what the records are, see `groundling list imports`; else told by their fields")] = "",
    max_failed: Annotated[float, typer.Option(min=0, max=1, help="stop where a larger share of the records is bad")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Data sets of other tools as our records. Bad ones are told one by one, with file and line."""
    from .importing import Wanted, bring

    bring(Wanted(files, out, shape, max_failed), _say, as_json)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="run folders, two or more; each is tested against the first")],
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """The trained models of several runs at the same settings, with intervals and paired tests."""
    from .comparing import compare as do

    do(runs, as_json, _say)


def _say(text: str) -> None:
    print(text, flush=True)
