"""`python -m groundling.llm.fake`: as `groundling fake-teacher`."""

from __future__ import annotations

import sys

import typer

from ...errors import GroundlingError
from .command import fake_teacher

if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(fake_teacher)
    try:
        app()
    except GroundlingError as error:
        print(f"fake-teacher: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
