"""What is inside: an example as the tokens that training sees, and what the built-in base model is."""

from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InputError

if TYPE_CHECKING:
    from ..runs import Run

inspect = typer.Typer(help="Look inside: an example as the tokens that training sees.", no_args_is_help=True)
SHOWN = "bold green"


@inspect.callback()
def _inspect() -> None:
    pass  # or typer would take the only command for all there is, and `tokens` for a path


@inspect.command()
def tokens(
    path: Annotated[Path, typer.Argument(help="a project or run folder")],
    id: Annotated[Optional[str], typer.Argument(help="the id of a curated example; else the first that is trained on")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Option("--out", help="the run's folder (else runs/NAME)")] = None,  # noqa: UP045
    settings: Annotated[list[str], typer.Option("--set", help="override a setting: section.key=value")] = [],  # noqa: B006
) -> None:
    """An example with its trained tokens coloured; in brackets where the output is no terminal."""
    from rich.console import Console

    from ..runs import open_run

    show(open_run(path, out, settings, lambda text: None), id, Console(highlight=False, soft_wrap=True))


def show(run: Run, identity: str | None, console: Any) -> None:
    """Print one example. Raises InputError where there is none, or none of that id."""
    from rich.text import Text

    from ..llm.local import load_tokenizer, need_torch

    need_torch()
    record, row, dropped = _row(run, identity)
    if row is None:
        console.print(Text(f"{record.id} is left out of training: {dropped}."))
        return
    tokenizer, found = load_tokenizer(run.base().outermost), Text()
    plain, end = not console.is_terminal, 0
    for first, last in spans_of(row):
        found.append(tokenizer.decode(row.ids[end:first]))
        said = tokenizer.decode(row.ids[first:last])
        found.append(f"[[{said}]]" if plain else said, None if plain else SHOWN)
        end = last
    found.append(tokenizer.decode(row.ids[end:]))
    legend = "in [[brackets]]" if plain else "coloured"
    side = "" if record.split == "train" else ", held out: measured, not trained on"
    console.print(Text(f"{record.id}{side}: {len(row.ids)} tokens, {row.trained} of them trained ({row.trained / len(row.ids):.1%}), {legend}"))
    console.print(found)


def _row(run: Run, identity: str | None) -> tuple[Any, Any, str]:
    """A curated record, its row, and why it has none."""
    from .. import registry
    from ..records import Example
    from ..train.tokens import rows_of

    if run.space.record("curate") is None:
        raise InputError(f"{run.space.root} has no curated examples yet. Run `groundling run` on its project first, with --to curate.")
    objective = registry.load("objective", run.config.train.objective)
    records = list(run.space.read("curate", getattr(objective, "READS", Example)))
    chosen = [r for r in records if (r.id == identity if identity else r.split == "train")]
    if not chosen:
        raise InputError(
            f'There is no curated example "{identity}". Their ids stand in {run.space.data("curate")}.'
            if identity
            else f"No curated example in {run.space.root} is trained on: all are held out, or there is none."
        )
    left = Left()
    rows = getattr(objective, "rows_of", rows_of)(chosen[:1], run.base(), run.config.train, left)
    return chosen[0], (rows[0] if rows else None), left.why


class Left:
    """Takes the place of an output: why the example is left out."""

    why = ""

    def drop(self, reason: str, what: Any) -> None:
        self.why = f"{reason} ({what})"


def spans_of(row: Any) -> list[tuple[int, int]]:
    """The trained ranges of a row's ids; of a pair or of labels, the replies behind their common prompt."""
    if hasattr(row, "spans"):
        return list(row.spans)
    given = row.branches()
    ends = list(accumulate(map(len, given.replies), initial=len(given.prompt)))
    return list(pairwise(ends))


def nano() -> None:
    """The model card of the built-in base model."""
    from importlib import resources

    print((resources.files("groundling.nano") / "weights" / "README.md").read_text("utf-8"), flush=True)
