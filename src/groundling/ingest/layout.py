"""From characters with their places on a page to paragraphs, headings, list items and tables as Markdown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from .base import table

SOFT = "\u00ad"  # a hyphen that only stands there because the line ends
GAP = "\t"  # between the cells of a row
TIGHT = 1.3  # lines of one cell or paragraph follow each other within so many font heights
EDGE = 3  # a running head or foot stands within so many lines of the page's edge
BULLET = re.compile(r"(?:[-–—•·▪◦‣*\uf0b7]|\(?\d{1,3}[.)]|\d+(?:\.\d+)+|\(?[a-z][.)])\s")
PAGE_NUMBER = re.compile(
    r"\W*(?:(?:page|pg|p|seite|s|blatt|sivu|sida|side|lk|p[aá]gina|стр|страница)\b\.?\s*)?\d+(?:\s*(?:/|of|von|de|av|из)\s*\d+)?(?:\s*ページ)?\W*",
    re.IGNORECASE,
)
CJK = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")


class Mark(NamedTuple):
    """One character and its box, in points from the page's lower left corner."""

    char: str
    left: float
    bottom: float
    right: float
    top: float


class Cell(NamedTuple):
    """A stretch of a line without a wide gap, from `left` to `right`, in points."""

    text: str
    left: float
    right: float


class Line(NamedTuple):
    """A line of text and its box; `height` is that of its font, in points. A row of a table has several cells."""

    text: str
    left: float
    bottom: float
    right: float
    height: float
    cells: tuple[Cell, ...] = ()


def lines(marks: Iterable[Mark]) -> list[Line]:
    """Characters in reading order as lines: a new one begins where the base line changes or the text jumps back to the left."""
    found: list[Line] = []
    row: list[Mark] = []
    space = False
    for mark in marks:
        if mark.char.isspace():
            space = bool(row)
            continue
        height = max(mark.top - mark.bottom, 1.0)
        if row and (abs(mark.bottom - row[0].bottom) > 0.5 * height or mark.left < row[-1].right - 1.5 * height):
            found.append(_line(row))
            row, space = [], False
        if space:
            wide = mark.left - row[-1].right > 1.3 * height and not BULLET.fullmatch("".join(m.char for m in row).strip() + " ")
            row.append(row[-1]._replace(char=GAP if wide else " "))
            space = False
        row.append(mark)
    return [*found, _line(row)] if row else found


def _line(row: list[Mark]) -> Line:
    heights = Counter(round(mark.top - mark.bottom, 1) for mark in row)
    cells, start = [], 0
    for n in [*(n for n, mark in enumerate(row) if mark.char == GAP), len(row)]:
        cells.append(Cell(_text(row[start:n]), row[start].left, row[n - 1].right))
        start = n + 1
    height = max(heights.most_common(1)[0][0], 1.0)
    return Line("  ".join(cell.text for cell in cells), row[0].left, row[0].bottom, row[-1].right, height, tuple(cells))


def _text(row: list[Mark]) -> str:
    """pdfium gives letters beyond U+FFFF as two halves."""
    return "".join(mark.char for mark in row).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def without_running(pages: list[list[Line]]) -> list[list[Line]]:
    """Pages without the lines that stand at the edge of most pages (running heads, feet, page numbers)."""
    if len(pages) < 2:
        return pages
    # With two pages a repeated line proves little: only the outermost ones are looked at.
    edge = EDGE if len(pages) > 2 else 1
    edges = [_edges(page, edge) for page in pages]
    counts = Counter(shape for shapes in edges for shape in set(shapes.values()))
    running = {shape for shape, n in counts.items() if n > max(1, 0.5 * len(pages))}
    return [[line for n, line in enumerate(page) if shapes.get(n) not in running] for page, shapes in zip(pages, edges, strict=True)]


def _edges(page: list[Line], edge: int) -> dict[int, str]:
    """Index of each line at an edge → what must repeat for it to be a running one: its height on the page and its text.

    Numbers may differ in the outermost line and in page numbers. Elsewhere they may not, or "Part 1", "Part 2" would go as well;
    and the head of a table that goes on from page to page stays.
    """
    found = {}
    for n in {*range(min(edge, len(page))), *range(max(0, len(page) - edge), len(page))}:
        text = page[n].text
        numbers = re.findall(r"\d+", text)
        table_row = len(numbers) > (6 if re.search(r"[^\W\d_]{2}", text) else 2)
        free = n in (0, len(page) - 1) or PAGE_NUMBER.fullmatch(text.strip())
        if len(page[n].cells) < 2 or n in (0, len(page) - 1):
            found[n] = f"{page[n].bottom:.0f} " + (re.sub(r"\d+", "#", text) if free and not table_row else text)
    return found


def body_height(pages: list[list[Line]]) -> float:
    """The font height of most of the text, in points."""
    heights: Counter[float] = Counter()
    for page in pages:
        for line in page:
            heights[line.height] += len(line.text)
    return heights.most_common(1)[0][0] if heights else 1.0


def markdown(page: list[Line], body: float) -> str:
    """A page's lines as Markdown blocks; `body` is the height of ordinary text, in points."""
    blocks: list[str] = []
    before: Line | None = None
    rows: list[Line] = []
    right = max((line.right for line in page), default=0.0)
    for n, line in enumerate(page):
        if _in_table(page, n):
            rows.append(line)
            continue
        if rows:
            blocks.append(_table(rows))
            rows, before = [], None
        if before is not None and _continues(before, line, right):
            blocks[-1] = _join(blocks[-1], line.text)
        elif before is not None and _same_list(before, line):
            blocks[-1] += f"\n{line.text}"
        else:
            blocks.append(_heading(line, body) + line.text)
        before = line
    return "\n\n".join([*blocks, _table(rows)] if rows else blocks).replace(SOFT, "")


def _in_table(page: list[Line], n: int) -> bool:
    """Whether a line has cells of its own, or is a further line of a cell: short, and close to a line with cells."""
    line = page[n]
    if len(line.cells) > 1:
        return True
    width = max(one.right for one in page) - min(one.left for one in page)
    near = [one for one in page[max(0, n - 3) : n + 4] if len(one.cells) > 1 and abs(one.height - line.height) < 0.1 * line.height]
    return line.right - line.left < 0.5 * width and any(abs(one.bottom - line.bottom) < TIGHT * line.height for one in near)


def _table(rows: list[Line]) -> str:
    """Lines of a table as Markdown. Columns are what overlaps from above to below; so empty cells stay empty and none moves over."""
    if len(rows) == 1:
        return rows[0].text
    columns: list[tuple[float, float]] = []
    for cell in sorted((cell for row in rows for cell in row.cells), key=lambda cell: cell.left):
        if columns and cell.left < columns[-1][1]:
            columns[-1] = (columns[-1][0], max(columns[-1][1], cell.right))
        else:
            columns.append((cell.left, cell.right))
    filled: list[list[str]] = []
    for group in _groups(rows):
        filled.append([""] * len(columns))
        for cell in (cell for row in group for cell in row.cells):
            n = next(n for n, (left, right) in enumerate(columns) if left <= cell.left <= right)
            filled[-1][n] = _join(filled[-1][n], cell.text) if filled[-1][n] else cell.text
    return table(filled)


def _groups(rows: list[Line]) -> list[list[Line]]:
    """Lines that make one row: on the same base line or, where the rows stand further apart than lines do, close to each other."""
    steps = sorted(a.bottom - b.bottom for a, b in pairwise(row for row in rows if len(row.cells) > 1) if a.bottom > b.bottom)
    loose = bool(steps) and steps[len(steps) // 2] > TIGHT * rows[0].height
    groups: list[list[Line]] = []
    for row in rows:
        reach = (TIGHT if loose else 0.3) * row.height
        if groups and any(abs(other.bottom - row.bottom) < reach for other in groups[-1]):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _heading(line: Line, body: float) -> str:
    if line.height < 1.15 * body or len(line.text) > 150 or not re.search(r"[^\W\d_]", line.text):
        return ""
    return "# " if line.height > 1.5 * body else "## "


def _continues(before: Line, line: Line, right: float) -> bool:
    """Whether a line goes on with the paragraph of the one before; `right` is where the page's longest line ends."""
    if abs(before.height - line.height) > 0.1 * line.height or BULLET.match(line.text):
        return False
    if not 0 < before.bottom - line.bottom < 1.6 * line.height:
        return False
    full = before.right - before.left > 0.75 * (right - before.left)
    return before.text.endswith(SOFT) or full or (line.text[0].islower() and before.text[-1] not in ".:;!?。")


def _same_list(before: Line, line: Line) -> bool:
    """Neighbouring lines that are no paragraph: list items, addresses, verses, code."""
    if BULLET.match(before.text) and BULLET.match(line.text):
        return True
    return abs(before.height - line.height) < 0.1 * line.height and 0 < before.bottom - line.bottom < 1.6 * line.height


def _join(before: str, after: str) -> str:
    if before.endswith(SOFT):
        return before[:-1] + after
    if re.search(r"[^\W\d_]{2}-$", before) and after[0].islower():
        return before[:-1] + after
    return before + ("" if CJK.match(before[-1]) and CJK.match(after[0]) else " ") + after
