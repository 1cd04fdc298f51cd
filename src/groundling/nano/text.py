"""Ordinary language for nano: the prose that comes with Python itself (its reference topics and the docstrings of its library).

It is under the PSF licence. Only paragraphs of sentences are used, unwrapped, without code.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Paragraph(NamedTuple):
    title: str
    text: str


def _prose(block: str) -> str | None:
    """One paragraph as a single line, or None where it is code, a table, a heading or too short."""
    text = re.sub(r"\s+", " ", block).strip()
    letters = sum(c.isalpha() or c == " " for c in text)
    if not 80 <= len(text) <= 900 or letters < 0.86 * len(text) or not text[0].isupper() or text[-1] not in ".:":
        return None
    if re.search(r">>>|::=|\bself\.|[{}]|__\w+__.*__\w+__", text):
        return None
    return re.sub(r"[*_`]{1,2}(\w[^*`]*?)[*`_]{1,2}", r"\1", text)


def _docstrings(path: Path) -> list[tuple[str, str]]:
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError, RecursionError):
        return []  # test fixtures of Python itself hold broken files on purpose
    nodes = [n for n in ast.walk(tree) if isinstance(n, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    return [(getattr(n, "name", path.stem), d) for n in nodes if (d := ast.get_docstring(n))]


@cache
def paragraphs() -> list[Paragraph]:
    """Every usable paragraph, in a fixed order for a given Python version; exact repeats are left out."""
    import pydoc_data.topics

    sources = [(f"{key} topic", text) for key, text in sorted(pydoc_data.topics.topics.items())]
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.rglob("*.py")):
        if not {"site-packages", "test", "tests", "lib2to3", "idle_test"} & set(path.parts):
            sources += _docstrings(path)
    found: dict[str, Paragraph] = {}
    for title, text in sources:
        for block in re.split(r"\n\s*\n", text):
            if prose := _prose(block):
                found.setdefault(prose, Paragraph(title.replace("_", " "), prose))
    return list(found.values())


@cache
def plain_sentences() -> list[str]:
    """Single sentences of moderate length, to be mixed into invented passages as other matter."""
    from ..llm.rules.facts import sentences

    return [s for p in paragraphs() for s in sentences(p.text) if 30 <= len(s) <= 160 and s.endswith(".")]
