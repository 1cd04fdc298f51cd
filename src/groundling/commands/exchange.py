"""The arguments of `export`, `import` and `compare`; what they do stands in files of their own, which load only when they are run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SOURCE = "a run folder, its project, or a folder that `groundling import` wrote"
TO = "the target: jsonl, parquet, alpaca, sharegpt, openai, trl, trl-preference, raft, llama-factory or axolotl; see `groundling list exports`"


def export(
    path: Annotated[Path, typer.Argument(help=SOURCE)],
    target: Annotated[str, typer.Option("--to", help=TO)],
    out: Annotated[Path, typer.Option("--out", help="the folder of the data set; an earlier export in it is replaced")],
    format: Annotated[str, typer.Option("--format", help="the prompt format; else the one that the run's model is taught")] = "",
    split: Annotated[str, typer.Option("--split", help="train or held_out; else both, each in a file of its own")] = "",
    licence: Annotated[str, typer.Option("--licence", help="the licence that the card states, as the hub names it: cc-by-4.0")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """A run's curated examples as a data set for other tools, with a card."""
    from .exporting import Wanted
    from .exporting import export as do

    do(path, Wanted(target, out, format, split, licence), _say, as_json)


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
