"""The fake teacher: a real HTTP server on loopback that speaks the OpenAI chat API without a model, for rehearsals, tests and benchmarks.

    async with fake.serving(fake.Script(latency=0.05, capacity=32)) as url:      # in this process: "http://127.0.0.1:PORT/v1"
    with fake.running("--latency", "0.05", "--capacity", "32") as url:           # in a process of its own, with the command's options

`GET {url}/stats` tells what was served, `POST {url}/reset` forgets it. Nothing here imports the stages; nothing is loaded before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .process import running
    from .script import Script
    from .server import serving

__all__ = ["Script", "running", "serving"]


def __getattr__(name: str) -> Any:
    """The three public names, imported when first used: the command line reads this package for its help."""
    import importlib

    places = {"Script": "script", "running": "process", "serving": "server"}
    if name not in places:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{places[name]}"), name)
