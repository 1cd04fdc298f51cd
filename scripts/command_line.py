"""Write docs/command-line.md from what the commands say of themselves; `--check` only compares (a test calls it so)."""

from __future__ import annotations

import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "command-line.md"


def page() -> str:
    """Every command's help."""
    import os

    os.environ["COLUMNS"] = "120"
    from typer.testing import CliRunner

    from groundling.cli import app

    runner = CliRunner()
    names = [c.name or c.callback.__name__.rstrip("_") for c in app.registered_commands]
    for group in app.registered_groups:
        names += [group.name, *(f"{group.name} {c.name or c.callback.__name__}" for c in group.typer_instance.registered_commands)]
    parts = ["# The command line\n", "Made by `python scripts/command_line.py` from the program itself.\n"]
    for name in [None, *names]:
        words = name.split() if name else []
        said = runner.invoke(app, [*words, "--help"], prog_name="groundling").output.rstrip()
        parts.append(f"## groundling {name or ''}".rstrip() + f"\n\n```\n{said.strip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(0 if PAGE.read_text("utf-8") == page() else f"{PAGE} is stale: run python scripts/command_line.py")
    PAGE.write_text(page(), "utf-8")
