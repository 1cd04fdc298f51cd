"""Markdown, kept as it is. Front matter is taken off; its title, else the first heading, else the file's name is the title."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from ..base import Loaded, clean, one_line, pretty
from ..decode import read_text

EXTENSIONS = (".md", ".markdown")
FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
FENCE = re.compile(r"^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$|^(\S[^\n]*)\n(?:=+|-{3,})[ \t]*$", re.MULTILINE)


def load(path: Path) -> Iterator[Loaded]:
    """One document. Raises Unreadable for an empty file or binary data."""
    front, text = _front(clean(read_text(path)))
    heading = HEADING.search(FENCE.sub("", text[:20_000]))  # a "# comment" in a code block is no heading
    title = front or (re.sub(r"[*`]|!?\[([^\]]*)\]\([^)]*\)", r"\1", heading[1] or heading[2]) if heading else "")
    yield Loaded(one_line(title) or pretty(path), text)


def _front(text: str) -> tuple[str, str]:
    """(title, text without front matter). A rule of three dashes that opens no mapping is text."""
    match = FRONT.match(text)
    if not match:
        return "", text
    try:
        data = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, KeyError, IndexError, AttributeError, RecursionError):  # values that are not what they say
        return "", text
    if not isinstance(data, dict):
        return "", text
    return str(data.get("title") or ""), text[match.end() :].lstrip("\n")
