"""A chunk as the documents of the world show it: plain text, Markdown or HTML. Chunks are Markdown wherever their files had headings or tables."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from itertools import groupby
from typing import Literal, get_args

Form = Literal["plain", "markdown", "html"]
FORMS: tuple[Form, ...] = get_args(Form)
_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"[-*•]\s+(.*)")
_RULE = re.compile(r"[\s|:-]*-[\s|:-]*")
_BOLD = re.compile(r"\*\*(.+?)\*\*")
_CODE = re.compile(r"`([^`\n]+)`")


def content(text: str, form: Form) -> str:
    """The text in that form. What is said stays the same, word for word; only the marks around the words change."""
    if form == "markdown":
        return text
    blocks = groupby((line.strip() for line in text.splitlines()), key=_sort)
    return "\n".join(filter(None, (_html(sort, lines) if form == "html" else _plain(sort, lines) for sort, lines in blocks)))


def _sort(line: str) -> str:
    if not line:
        return "empty"
    if line.count("|") > 1:
        return "table"
    return "heading" if _HEADING.fullmatch(line) else "list" if _ITEM.fullmatch(line) else "text"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _plain(sort: str, lines: Iterable[str]) -> str:
    if sort == "table":
        return "\n".join("; ".join(_bare(cell) for cell in _cells(line)) for line in lines if not _RULE.fullmatch(line))
    if sort == "heading":
        return "\n".join(_bare(_HEADING.fullmatch(line)[2]) for line in lines)
    return "" if sort == "empty" else "\n".join(_bare(line) for line in lines)


def _bare(line: str) -> str:
    return _CODE.sub(r"\1", _BOLD.sub(r"\1", line))


def _html(sort: str, lines: Iterable[str]) -> str:
    if sort == "table":
        rows = ["".join(f"<td>{_marked(cell)}</td>" for cell in _cells(line)) for line in lines if not _RULE.fullmatch(line)]
        return "<table>\n" + "\n".join(f"<tr>{row}</tr>" for row in rows) + "\n</table>" if rows else ""
    if sort == "heading":
        found = [_HEADING.fullmatch(line) for line in lines]
        return "\n".join(f"<h{len(f[1])}>{_marked(f[2])}</h{len(f[1])}>" for f in found)
    if sort == "list":
        return "<ul>\n" + "\n".join(f"<li>{_marked(_ITEM.fullmatch(line)[1])}</li>" for line in lines) + "\n</ul>"
    return "" if sort == "empty" else "\n".join(f"<p>{_marked(line)}</p>" for line in lines)


def _marked(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", _BOLD.sub(r"<b>\1</b>", html.escape(text, quote=False)))
