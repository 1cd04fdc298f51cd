"""Word documents as Markdown: headings, paragraphs, lists and tables in the order of the document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import MachineError
from ..base import Loaded, Unreadable, clean, one_line, pretty, table

EXTENSIONS = (".docx",)
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


def load(path: Path) -> Iterator[Loaded]:
    """One document. Raises Unreadable for a file that is no Word document, MachineError where python-docx is not installed."""
    document = _open(path)
    levels = _levels(document)
    blocks: list[str] = []
    for element in _elements(document.element.body):
        block = table(_rows(element)) if element.tag == f"{W}tbl" else _paragraph(element, levels)
        if not block.strip():
            continue
        # items of a list stand on neighbouring lines
        if blocks and block.startswith("- ") and blocks[-1].rsplit("\n", 1)[-1].startswith("- "):
            blocks[-1] += f"\n{block}"
        else:
            blocks.append(block)
    text = clean("\n\n".join(blocks))
    heading = re.search(r"^#+ (.+)$", text, re.MULTILINE)
    title = one_line(document.core_properties.title or "")
    # "Word Document" and the like are what templates leave behind
    named = (heading[1] if heading else "") or ("" if title == "Word Document" else title)
    yield Loaded(named or pretty(path), text + "\n" if text else "")


def _open(path: Path) -> Any:
    try:
        import docx
        from docx.opc.exceptions import OpcError
        from lxml.etree import XMLSyntaxError
    except ImportError as error:
        raise MachineError(f"{path.name} needs the package python-docx. Install it: pip install python-docx.") from error
    from zipfile import BadZipFile, is_zipfile
    from zlib import error as ZlibError

    with path.open("rb") as handle:  # permission errors come as they are
        start = handle.read(8)
    if not start:
        raise Unreadable("empty file", f"{path.name} holds no bytes. Copy it again, or delete it.")
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable("old or encrypted Word file", f"{path.name} is an old .doc or has a password. Save it as .docx without one.")
    if is_zipfile(path):
        try:
            return docx.Document(str(path))
        except (OpcError, BadZipFile, ZlibError, XMLSyntaxError, KeyError, ValueError, EOFError):
            pass  # every way in which a damaged archive shows itself; the sentence below is for all
    raise Unreadable("corrupt Word file", f"{path.name} is damaged or no Word document. Open it in Word and save it again.")


def _elements(body: Any) -> Iterator[Any]:
    """Paragraphs and tables in order, those inside content controls too."""
    for child in body.iterchildren():
        if child.tag in (f"{W}p", f"{W}tbl"):
            yield child
        elif child.tag == f"{W}sdt":
            for content in child.iterchildren(f"{W}sdtContent"):
                yield from _elements(content)


def _levels(document: Any) -> dict[str, str]:
    """Style id → Markdown mark. By name and by outline level, as names are translated in some templates."""
    marks = {}
    for style in document.styles:
        name, outline = (style.name or "").lower(), style.element.find(f".//{W}outlineLvl")
        level = int(outline.get(f"{W}val")) + 1 if outline is not None else 0
        if match := re.fullmatch(r"heading (\d)", name):
            level = int(match[1])
        if name == "title":
            level = 1
        if 0 < level < 10:
            marks[style.style_id] = "#" * min(level, 6) + " "
        elif name.startswith("list") and "paragraph" not in name:
            marks[style.style_id] = "- "
    return marks


def _paragraph(element: Any, levels: dict[str, str]) -> str:
    text = _text(element)
    properties = element.find(f"{W}pPr")
    style = properties.find(f"{W}pStyle") if properties is not None else None
    mark = levels.get(style.get(f"{W}val"), "") if style is not None else ""
    if not mark and properties is not None and properties.find(f"{W}numPr") is not None:
        mark = "- "
    return mark + (one_line(text) if mark.startswith("#") else text.strip()) if text.strip() else ""


def _text(element: Any) -> str:
    """All text of an element: links, accepted insertions and text boxes too (python-docx's own `.text` leaves out the last two)."""
    parts: list[str] = []
    for node in element.iter(f"{W}t", f"{W}tab", f"{W}br", f"{W}cr", f"{W}noBreakHyphen"):
        if any(parent.tag in (FALLBACK, f"{W}tabs") for parent in node.iterancestors()):
            continue
        parts.append({f"{W}t": node.text or "", f"{W}tab": "\t", f"{W}noBreakHyphen": "-"}.get(node.tag, "\n"))
    return "".join(parts)


def _rows(element: Any) -> list[list[str]]:
    """A table's cells. What is merged downwards is said in each row, what is merged sideways once."""
    rows: list[list[str]] = []
    for tr in element.iter(f"{W}tr"):
        if next(tr.iterancestors(f"{W}tbl")) is not element:
            continue  # a table inside a cell: its text belongs to the cell
        row: list[str] = []
        for tc in tr.iter(f"{W}tc"):
            if next(tc.iterancestors(f"{W}tr")) is not tr:
                continue
            merge, span = tc.find(f"{W}tcPr/{W}vMerge"), tc.find(f"{W}tcPr/{W}gridSpan")
            text = " ".join(_text(p) for p in tc.iter(f"{W}p"))
            if merge is not None and merge.get(f"{W}val") != "restart" and rows and len(rows[-1]) > len(row):
                text = rows[-1][len(row)]
            row += [text, *[""] * (int(span.get(f"{W}val")) - 1 if span is not None else 0)]
        rows.append(row)
    return rows
