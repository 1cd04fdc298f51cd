"""`groundling fake-teacher` and `python -m groundling.llm.fake`: the options, and the server until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def fake_teacher(
    port: Annotated[int, typer.Option(min=0, max=65535, help="port on 127.0.0.1; 0 chooses a free one")] = 8090,
    script: Annotated[Optional[Path], typer.Option(help="a YAML file with faults and their rates")] = None,  # noqa: UP045
    latency: Annotated[Optional[float], typer.Option(help="seconds to a reply")] = None,  # noqa: UP045
    capacity: Annotated[Optional[int], typer.Option(help="calls at once; more get 429")] = None,  # noqa: UP045
    reply: Annotated[Optional[str], typer.Option(help="`sensible`, or `fixed`: always the same, for benchmarks")] = None,  # noqa: UP045
    log: Annotated[Optional[str], typer.Option(help="a file that gets a line of JSON for each call")] = None,  # noqa: UP045
    settings: Annotated[list[str], typer.Option("--set", help="any setting of a script: wire.hang=0.01")] = [],  # noqa: B006
) -> None:
    """A scripted endpoint to rehearse with: OpenAI-compatible, on this machine, without a model."""
    from .process import play
    from .script import load

    play(load(script, {"latency": latency, "capacity": capacity, "reply": reply, "log": log}, settings), port)
