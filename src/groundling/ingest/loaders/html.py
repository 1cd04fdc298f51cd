"""Web pages as Markdown: headings, lists and tables are kept, navigation and page furniture are not.

An own walk: on the pages of examples/handbook, trafilatura 2.3 left out main headings, dates and table captions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..base import Loaded, Unreadable, clean, one_line, pretty, table
from ..decode import decode, read_bytes

EXTENSIONS = (".html", ".htm", ".xhtml")
CHARSET = re.compile(rb"""<(?:meta|\?xml)[^>]+?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
DEAD = ("script", "style", "noscript", "template", "svg", "iframe", "object", "button", "input", "select", "textarea",
        "head", "nav", "footer")  # fmt: skip
# Furniture by id, class or role: whole words only, so that "menu" does not take "menu-of-the-canteen" away.
NOISE = frozenset(
    "nav navbar navigation menu main-menu mw-head mw-panel mw-navigation mw-editsection breadcrumb breadcrumbs toc sidebar cookie "
    "cookies cookie-bar cookie-banner "
    "cookie-notice cookie-consent footer site-footer site-header skip-link sitesub contentinfo banner search".split()
)
BLOCK = frozenset(
    "address article aside blockquote body center dd details dialog div dl dt fieldset figcaption figure form header hgroup hr html legend "
    "main ol p section summary ul".split()
)
INNER = frozenset("table pre h1 h2 h3 h4 h5 h6 tr td th tbody thead tfoot caption li".split())
SAFE = frozenset({"html", "body", "main", "article"})


def load(path: Path) -> Iterator[Loaded]:
    """One document. Raises Unreadable for an empty file, binary data, or a page nested beyond reason."""
    from bs4 import BeautifulSoup

    data = read_bytes(path)
    found = CHARSET.search(data[:4096])
    soup = BeautifulSoup(clean(decode(data, path.name, found[1].decode("ascii") if found else None)), "lxml")
    named = one_line(soup.title.get_text()) if soup.title else ""
    first = soup.find("h1")
    heading = one_line(first.get_text()) if first else ""
    # "Fire safety - Company Wiki": the heading says the same without the site's name.
    title = heading if heading and (heading in named or not named) else named
    try:
        text = _markdown(_main(soup)) or _markdown(soup)
    except RecursionError:
        sentence = f"{path.name} nests its elements too deeply to be read. Save it again from a browser."
        raise Unreadable("nested too deeply", sentence) from None
    yield Loaded(title or pretty(path), clean(text))


def _main(soup: Any) -> Any:
    """The page without its furniture; only its main part where one is marked and holds most of the text."""
    import copy

    page = copy.copy(soup)
    for element in page.find_all(True):
        if element.name in SAFE:
            continue
        marks = {str(element.get("id", "")).lower(), str(element.get("role", "")).lower(), *(c.lower() for c in element.get("class", []))}
        top = element.name == "header" and not element.find_parent(["main", "article", "section"]) and not element.find("h1")
        if element.name in DEAD or top or marks & NOISE:
            element.extract()  # not decompose(): what lies inside is still to be visited, and that must stay possible
    whole = len(page.get_text())
    for main in page.select("main, [role=main], article, #content, #main"):
        if len(main.get_text()) > 0.6 * whole:
            return main
    return page


def _markdown(root: Any) -> str:
    blocks: list[str] = []
    _walk(root, blocks, 0)
    return "\n\n".join(b for b in blocks if b.strip()) + "\n" if any(b.strip() for b in blocks) else ""


def _walk(node: Any, blocks: list[str], depth: int) -> None:
    """Append the blocks below a node. Inline text gathers until a block begins."""
    inline: list[str] = []

    def flush() -> None:
        text = _squeeze("".join(inline))
        if text:
            blocks.append(text)
        inline.clear()

    for child in node.children:
        name = child.name
        if name is None:
            inline.append(_string(child))
        elif name in ("script", "style", "head", "noscript", "template"):
            continue
        elif name == "br":
            inline.append("\v")
        elif name in BLOCK or name in INNER:
            flush()
            _block(child, blocks, depth)
        elif child.find([*BLOCK, "table", "pre", "li", "h1", "h2", "h3", "h4", "h5", "h6"]):
            flush()  # a block inside <a> or <span>
            _walk(child, blocks, depth)
        else:
            inline.append(_inline(child))
    flush()


def _block(node: Any, blocks: list[str], depth: int) -> None:
    if node.name[0] == "h" and node.name[1:].isdigit():
        heading = one_line(_inline(node))
        if heading:
            blocks.append(f"{'#' * int(node.name[1])} {heading}")
    elif node.name == "pre":
        blocks.append("```\n" + node.get_text().strip("\n") + "\n```")
    elif node.name in ("ul", "ol"):
        lines = _list(node, depth)
        if lines:
            blocks.append("\n".join(lines))
    elif node.name == "table" and not node.find(["table", "h1", "h2", "h3", "ul", "ol"]):
        _table(node, blocks)
    else:  # layout tables are walked through like any box
        _walk(node, blocks, depth)


def _list(node: Any, depth: int) -> list[str]:
    """Lines of a list; numbers of an ordered list are kept, inner lists are indented."""
    lines: list[str] = []
    ordered, number = node.name == "ol", int(node["start"]) if str(node.get("start", "")).isdigit() else 1
    for item in node.children:
        if item.name is None:
            continue
        if item.name in ("ul", "ol"):
            lines += _list(item, depth + 1)
            continue
        inner: list[str] = []
        _walk(item, inner, depth + 1)
        mark = f"{number}. " if ordered else "- "
        number += 1
        body = "\n".join(inner).split("\n") if inner else []
        lines += [("  " * depth + mark + line) if n == 0 else _indent(line, depth) for n, line in enumerate(body)]
    return lines


def _indent(line: str, depth: int) -> str:
    """A further line of a list item; lines of inner lists come indented already."""
    return line if line.startswith("  " * (depth + 1)) else "  " * (depth + 1) + line


def _table(node: Any, blocks: list[str]) -> None:
    if node.caption:
        blocks.append(one_line(_inline(node.caption)))
    rows: list[list[str]] = []
    below: dict[int, tuple[int, str]] = {}  # column → rows still to fill, text: what spans rows is said in each of them
    for tr in node.find_all("tr"):
        row: list[str] = []
        for cell in tr.find_all(["td", "th"]):
            _fill(row, below)
            text, height = one_line(_inline(cell)), _span(cell, "rowspan")
            if height > 1:
                below[len(row)] = (height - 1, text)
            row += [text, *[""] * (_span(cell, "colspan") - 1)]
        _fill(row, below)
        rows.append(row)
    blocks.append(table(rows))


def _fill(row: list[str], below: dict[int, tuple[int, str]]) -> None:
    while len(row) in below:
        left, text = below.pop(len(row))
        if left > 1:
            below[len(row)] = (left - 1, text)
        row.append(text)


def _span(cell: Any, name: str) -> int:
    value = str(cell.get(name, "1"))
    return min(int(value), 100) if value.isdigit() and value != "0" else 1


def _string(node: Any) -> str:
    """A text node; comments and declarations are none."""
    from bs4 import NavigableString

    return str(node) if type(node) is NavigableString else ""


def _inline(node: Any) -> str:
    parts = []
    for child in node.descendants:
        if child.name is None:
            parts.append(_string(child))
        elif child.name == "br":
            parts.append("\v")
        elif child.name in ("p", "div", "li"):
            parts.append(" ")
    return "".join(parts)


def _squeeze(text: str) -> str:
    """Source line breaks are spaces; only <br> (held as \\v) breaks a line."""
    return "\n".join(one_line(line) for line in text.split("\v")).strip()
