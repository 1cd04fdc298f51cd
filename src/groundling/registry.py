"""A plug-in is found by its file name: `raft.py` in `synthesize/recipes/` is the recipe `raft`. No list is edited."""

from __future__ import annotations

import difflib
import importlib
import re
from importlib import resources
from types import ModuleType

from .errors import ConfigError

FOLDERS = {
    "loader": "ingest.loaders",
    "splitter": "chunk.splitters",
    "retriever": "index.retrievers",
    "recipe": "synthesize.recipes",
    "filter": "curate.filters",
    "objective": "train.objectives",
    "metric": "evaluate.metrics",
    "export": "export.targets",
    "package": "export.packages",
    "import": "imports.shapes",
}


def names(kind: str) -> list[str]:
    """The plug-ins of a kind, sorted. Nothing is imported but their package."""
    files = resources.files(f"{__package__}.{FOLDERS[kind]}").iterdir()
    return sorted(f.name[:-3] for f in files if f.name.endswith(".py") and not f.name.startswith("_"))


def nearest(word: str, known: list[str]) -> str:
    """` Did you mean "x"?` for a misspelt word, or the known ones where nothing is near."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f' Did you mean "{close[0]}"?' if close else f" Known: {', '.join(known)}."


def load(kind: str, name: str) -> ModuleType:
    """Import one plug-in. Raises ConfigError with the nearest name where there is none of that name."""
    known = names(kind)
    if name not in known:
        raise ConfigError(f'There is no {kind} "{name}".{nearest(name, known)}')
    return importlib.import_module(f"{__package__}.{FOLDERS[kind]}.{name}")


def summary(kind: str, name: str) -> str:
    """The first paragraph of a plug-in's docstring."""
    return (load(kind, name).__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def explained(kind: str, name: str) -> list[str]:
    """What `groundling list` prints of a plug-in: the summary; of a recipe, which says `Makes:`, `Costs:` and `Use when:`, two lines.

    A filter's docstring begins with its two lines: what it drops, then `For:` what, and its options.
    """
    if kind == "filter":
        return (load(kind, name).__doc__ or "").strip().split("\n\n")[0].splitlines()
    paragraphs = (load(kind, name).__doc__ or "").split("\n\n")
    found = (re.search(r"(Makes: .*?)\s+(Costs: .*?Use when: .*)", " ".join(p.split())) for p in paragraphs)
    lines = next((m for m in found if m), None)
    return [lines[1], lines[2]] if lines and kind == "recipe" else [summary(kind, name)]
