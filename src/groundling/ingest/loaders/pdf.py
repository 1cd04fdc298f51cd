"""The text layer of PDF files as Markdown, page by page; running heads, feet and page numbers are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import MachineError
from ..base import Loaded, Unreadable, clean, one_line, pretty
from ..layout import SOFT, Line, Mark, body_height, lines, markdown, without_running

EXTENSIONS = (".pdf",)
PASSWORD = 4  # FPDF_ERR_PASSWORD


def load(path: Path) -> Iterator[Loaded]:
    """One document, with `pages`. Raises Unreadable where there is no text to be had, MachineError where pypdfium2 is not installed."""
    title, raw = _read(path)
    if not any(raw):
        raise Unreadable(
            "PDF without text (needs OCR)",
            f"{path.name} holds pictures of pages but no text (pages: {len(raw)}). Run OCR on it first, for example: ocrmypdf in.pdf out.pdf",
        )
    body = body_height(raw)
    text, pages = "", []
    for page in without_running(raw):
        block = clean(markdown(page, body))
        if block and text:
            text += "\n\n"
        pages.append(len(text))
        text += block
    heading = re.match(r"# (.+)", text)
    yield Loaded(title or (heading[1] if heading else "") or pretty(path), text, tuple(pages))


def _read(path: Path) -> tuple[str, list[list[Line]]]:
    """(title of the file's metadata, lines of each page)."""
    try:
        import pypdfium2
    except ImportError as error:
        raise MachineError(f'{path.name} needs the package pypdfium2. Install it: pip install "groundling[pdf]".') from error
    with path.open("rb") as handle:  # permission errors come as they are
        if not handle.read(1):
            raise Unreadable("empty file", f"{path.name} holds no bytes. Copy it again, or delete it.")
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise _refused(path, error.err_code) from error
    try:
        return _title(document), [_page(document, number) for number in range(len(document))]
    except pypdfium2.PdfiumError as error:
        raise Unreadable("corrupt PDF", f"{path.name} has a page that cannot be read ({error}). Export it again.") from error
    finally:
        document.close()


def _refused(path: Path, code: int | None) -> Unreadable:
    """Why pdfium did not open a file. Its code may be the one of an earlier file, and none says "no pages": so look inside, too."""
    data = path.read_bytes()
    if code == PASSWORD and b"/Encrypt" in data:
        return Unreadable("encrypted PDF", f"{path.name} has a password. Save it without one.")
    if b"/Pages" in data and b"%%EOF" in data and re.search(rb"/Count 0\b", data) and not re.search(rb"/Type\s*/Page\b", data):
        return Unreadable("PDF without pages", f"{path.name} is a PDF without a page. Export it again.")
    return Unreadable("corrupt PDF", f"{path.name} is damaged or no PDF. Download or export it again.")


def _page(document: Any, number: int) -> list[Line]:
    page = document[number]
    layer = page.get_textpage()
    try:
        return lines(_marks(layer))
    finally:
        layer.close()
        page.close()


def _marks(layer: Any) -> Iterator[Mark]:
    """The page's characters. Loose boxes: as high as the font, whatever the letter."""
    from pypdfium2 import raw

    for n in range(layer.count_chars()):
        code = raw.FPDFText_GetUnicode(layer.raw, n)
        if code in (0x02, 0xFFFE):  # pdfium's marks for a hyphen at the end of a line
            code = ord(SOFT)
        if (code > 31 and code != 0xFFFF) or code in (9, 10, 13):
            yield Mark(chr(code), *layer.get_charbox(n, loose=True))


def _title(document: Any) -> str:
    """The metadata's title, unless it is what a program puts there by itself ("Microsoft Word - x.doc", "untitled", a file name)."""
    title = one_line(clean(document.get_metadata_value("Title")))
    made = re.match(r"(?i)\(?(?:microsoft |untitled|anonymous|document\d*$|.*\.\w{2,4}$|slide 1$)", title)
    return "" if made or len(title) < 3 else title
