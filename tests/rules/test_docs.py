"""Pages made from the program are not stale, and what the README names is there."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_of_commands_is_what_the_commands_say() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "command_line.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_file_that_the_readme_links_is_there() -> None:
    named = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert named and all((ROOT / name).is_file() for name in named)


def test_every_command_that_the_readme_shows_is_one() -> None:
    from groundling.cli import app

    known = {(c.name or c.callback.__name__).rstrip("_") for c in app.registered_commands}
    shown = set(re.findall(r"\bgroundling ([a-z-]+)", (ROOT / "README.md").read_text("utf-8")))
    assert shown <= known, shown - known
