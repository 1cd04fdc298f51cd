"""Those that groundling is measured beside: each in a process and a virtual environment of its own, made from PyPI at the first run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

CACHE = Path("~/.cache/groundling/bench").expanduser()


class Missing(Exception):
    """A peer that could not be installed. The text is the reason that pip or Python gave."""


def environment(cache: Path, package: str, *beside: str) -> tuple[str, str]:
    """The Python of a peer's own environment, made where it is missing, and the version installed there. `beside` is installed with the package.

    An empty package is this project's own environment. Raises Missing; the next run tries again.
    """
    if not package:
        return sys.executable, ""
    python, made = cache / package / "bin" / "python", cache / package / ".installed"
    if not made.exists():
        print(f"  installing {package} …", file=sys.stderr, flush=True)
        _done([sys.executable, "-m", "venv", cache / package])
        _done([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *beside, package])
        made.touch()
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return str(python), _done([python, "-c", code]).strip()


def _done(command: list[Any]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Missing(last_words(getattr(error, "stderr", "") or str(error))) from error


def last_words(told: str) -> str:
    """Of what a failed command wrote the line that says why, fit for a table."""
    lines = [line.strip() for line in told.splitlines() if line.strip()] or ["no reason given"]
    named = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return (named or lines)[-1].replace(str(Path.home()), "~").replace("|", "/")[:300]


def figures(command: list[Any], seconds: float, **surroundings: str) -> dict[str, Any]:
    """The figures that a peer's process prints as a line of JSON. Of one that gives none, `failed` says why."""
    # Peers may look for proxies, telemetry and model lists; they get none of it from here.
    variables = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith("PYTHON")} | surroundings
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=variables)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {seconds:g} s"}
    found = re.findall(r"^\{.*\}$", done.stdout, re.M)
    if done.returncode or not found:
        return {"failed": f"failed: {last_words(done.stderr or 'no figures')}"}
    return json.loads(found[-1])
