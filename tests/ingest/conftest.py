"""Real files, written by hand: a PDF needs no more than objects and a table of where they stand."""

from __future__ import annotations

from pathlib import Path

import pytest

from groundling import config
from groundling.ingest import ingest
from groundling.records import Document
from groundling.workspace import Output, read_lines

Words = tuple[float, float, float, str]  # left, bottom, font size, text


def write_pdf(path: Path, pages: list[list[Words]], title: str = "") -> None:
    """A PDF 1.4 file of A4 pages with Helvetica text at given places."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
               "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"]  # fmt: skip
    for n, page in enumerate(pages):
        stream = "\n".join(f"BT /F1 {size} Tf 1 0 0 1 {x} {y} Tm ({text}) Tj ET" for x, y, size, text in page)
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * n} 0 R /Resources << /Font << /F1 3 0 R >> >> >>")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects.append(f"<< /Title ({title}) >>")
    body, places = b"%PDF-1.4\n", []
    for n, value in enumerate(objects, 1):
        places.append(len(body))
        body += f"{n} 0 obj\n{value}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R /Info {len(objects)} 0 R >>\n"
    path.write_bytes(body + f"{trailer}startxref\n{len(body)}\n%%EOF\n".encode("latin-1"))


class Result:
    def __init__(self, out: Output) -> None:
        out.close()
        self.counts, self.folder = out.counts(), out.folder
        self.documents = list(read_lines(out.folder / "data.jsonl", Document))
        self.by_path = {d.path: d for d in self.documents}

    def lines(self, name: str) -> str:
        return (self.folder / f"{name}.jsonl").read_text("utf-8")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    return folder


@pytest.fixture
def read(root: Path, tmp_path: Path):
    """Run the stage over `root`; options as keywords."""

    def run(**options: object) -> Result:
        out = Output(tmp_path / "run" / "1-documents")
        try:
            ingest(root, config.Ingest(**{"max_failed": 1.0, **options}), out)
        except BaseException:
            out.abandon()
            raise
        return Result(out)

    return run
