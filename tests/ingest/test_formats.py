from __future__ import annotations

import re
import sys
import zipfile

import pytest

from groundling.errors import MachineError

from .conftest import write_pdf

PAGE = """<!DOCTYPE html><html><head><title>Drills &amp; alarms - Example Wiki</title><style>p{x}</style></head><body>
<header><nav><a href="/">Home link</a></nav></header><div id="cookie-bar">We use cookies</div>
<main><h1>Drills &amp; alarms</h1><div class="toc"><a href="#a">Contents link</a></div>
<p>Goal:
 below 3&nbsp;min<br>Second <b>line</b><!-- a note --></p><h2>Steps <span class="mw-editsection">[edit]</span></h2>
<ol><li>Leave.<ul><li>No lift</li></ul></li><li><p>Count <a href="#">people</a></p></li></ol>
<table><caption>Places</caption><tr><th>Place</th><th>Size</th><th>Type</th></tr><tr><td rowspan="2">Store</td><td>9 l</td><td>a|b</td></tr>
<tr><td colspan="2">none</td></tr></table><pre>x = 1
  y</pre><script>bad()</script></main><footer>Footer words</footer></body></html>"""
EXPECTED = """# Drills & alarms

Goal: below 3 min
Second line

## Steps

1. Leave.
  - No lift
2. Count people

Places

| Place | Size | Type |
|---|---|---|
| Store | 9 l | a\\|b |
| Store | none |  |

```
x = 1
  y
```
"""


def test_html(root, read):
    (root / "a.html").write_text(PAGE)
    document = read().documents[0]
    assert (document.title, document.text) == ("Drills & alarms", EXPECTED)


def test_html_without_structure_keeps_all_text(root, read):
    (root / "a_b.htm").write_text("<div>One<div>Two <i>x</i></div>Three <table><tr><td><h2>Box</h2><p>In it</p></td></tr></table>")
    document = read().documents[0]
    assert (document.title, document.text) == ("A b", "One\n\nTwo x\n\nThree\n\n## Box\n\nIn it\n")


@pytest.mark.parametrize("encoding", ["shift_jis", "windows-1251", "iso-8859-1", "utf-8"])
def test_html_honours_the_declared_encoding(root, read, encoding):
    words = {"shift_jis": "保証", "windows-1251": "Да", "iso-8859-1": "Ää", "utf-8": "保証 Ä"}[encoding]
    (root / "a.html").write_bytes(f'<meta charset="{encoding}"><title>T</title><p>{words}</p>'.encode(encoding))
    assert read().documents[0].text == words + "\n"


def test_html_nested_beyond_reason_fails_or_reads(root, read):
    (root / "a.html").write_text("<div>" * 5000 + "deep" + "</div>" * 5000)
    (root / "b.html").write_text("<p>good")
    counts = read().counts
    assert counts["in"] == 2 and set(counts["failed"]) <= {"nested too deeply", "no text"}


def test_docx_in_document_order(root, read):
    import docx

    document = docx.Document()
    document.add_heading("Price list", 0)
    document.add_paragraph("Valid from January.")
    document.add_heading("Scales", 1)
    table = document.add_table(rows=3, cols=3)
    for n, cell in enumerate(("Product", "Order", "Price", "Katto", "HNK|200", "€640", "", "x", "y")):
        table.cell(n // 3, n % 3).text = cell
    table.cell(1, 0).merge(table.cell(2, 0))
    document.add_paragraph("First", style="List Bullet")
    document.add_paragraph("Second", style="List Bullet")
    document.add_paragraph("The end.")
    document.save(root / "list.docx")
    document = read().documents[0]
    assert document.title == "Price list"
    assert document.text == (
        "# Price list\n\nValid from January.\n\n# Scales\n\n| Product | Order | Price |\n|---|---|---|\n| Katto | HNK\\|200 | €640 |\n"
        "| Katto | x | y |\n\n- First\n- Second\n\nThe end.\n"
    )


def test_docx_keeps_inserted_text_and_content_controls(root, read):
    import docx
    from docx.oxml import parse_xml

    space = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    document = docx.Document()
    inserted = '<w:ins w:id="1" w:author="x"><w:r><w:t>inserted</w:t></w:r></w:ins>'
    inserted += '<w:del w:id="2" w:author="x"><w:r><w:delText>gone</w:delText></w:r></w:del>'
    document.element.body.insert(0, parse_xml(f"<w:p {space}>{inserted}</w:p>"))
    control = "<w:sdt><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt>"
    document.element.body.insert(1, parse_xml(control.replace("<w:sdt>", f"<w:sdt {space}>")))
    document.save(root / "a.docx")
    assert read().documents[0].text == "inserted\n\nin a control\n"


def test_bad_docx(root, read):
    (root / "empty.docx").write_bytes(b"")
    (root / "noise.docx").write_bytes(b"PK\x03\x04" + bytes(range(256)) * 20)
    (root / "old.docx").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with zipfile.ZipFile(root / "zip.docx", "w") as archive:
        archive.writestr("hello.txt", "no Word document")
    import docx

    document = docx.Document()
    document.add_paragraph("text " * 5000)
    document.save(root / "cut.docx")
    (root / "cut.docx").write_bytes((root / "cut.docx").read_bytes()[:-2000])
    (root / "good.txt").write_text("good")
    assert read().counts["failed"] == {"empty file": 1, "corrupt Word file": 3, "old or encrypted Word file": 1}


def report(n: int, of: int) -> list[tuple[float, float, float, str]]:
    """One page with running head and foot, a heading, a wrapped paragraph with a hyphen, a table and a list."""
    return [
        (60, 810, 9, "Data sheet 200-DS | issue 9"),
        (60, 760, 18, f"Part {n}"),
        (60, 730, 11, f"This is paragraph number {n} of the report, and its first line is long enough to be meas-"),
        (60, 716, 11, "ured as a full line of the page. It goes on with a second sentence that ends here"),
        (60, 702, 11, "and stops."),
        (60, 670, 11, "Property"), (200, 670, 11, "Value"), (300, 670, 11, "Remark"),
        (60, 652, 11, "Weight"), (200, 652, 11, "6.8 kg"),
        (60, 634, 11, "Battery"), (200, 634, 11, f"{n} years"), (300, 634, 11, "typical"),
        (60, 600, 11, f"1. first item of {n}"), (60, 586, 11, f"2. second item of {n}"),
        (60, 30, 9, f"Example Oy, Street 9, Page {n} of {of}"),
    ]  # fmt: skip


@pytest.mark.parametrize("of", [2, 4])
def test_pdf_pages_heads_paragraphs_tables(root, read, of):
    write_pdf(root / "r.pdf", [report(n, of) for n in range(1, of + 1)], title="The report")
    document = read().documents[0]
    expected = [
        f"# Part {n}\n\nThis is paragraph number {n} of the report, and its first line is long enough to be measured as a full line "
        "of the page. It goes on with a second sentence that ends here and stops.\n\n| Property | Value | Remark |\n|---|---|---|\n"
        f"| Weight | 6.8 kg |  |\n| Battery | {n} years | typical |\n\n1. first item of {n}\n2. second item of {n}"
        for n in range(1, of + 1)
    ]
    assert document.text == "\n\n".join(expected)
    assert document.title == "The report"
    assert [document.text[p:].split("\n")[0] for p in document.pages] == [f"# Part {n}" for n in range(1, of + 1)]


def test_pdf_page_without_text_between_others(root, read):
    write_pdf(root / "r.pdf", [[(60, 700, 11, "One page.")], [], [(60, 700, 11, "Third page.")]])
    document = read().documents[0]
    assert (document.text, document.pages, document.title) == ("One page.\n\nThird page.", [0, 9, 11], "R")


def test_a_column_that_is_empty_in_the_head_does_not_shift(root, read):
    rows = [(200, 700, 11, "Basic"), (300, 700, 11, "Duty"), (60, 680, 11, "Alarms by"), (200, 680, 11, "e-mail"), (300, 680, 11, "phone")]
    write_pdf(root / "r.pdf", [rows])
    assert read().documents[0].text == "|  | Basic | Duty |\n|---|---|---|\n| Alarms by | e-mail | phone |"


def test_bad_pdfs(root, read):
    from pypdf import PdfReader, PdfWriter

    write_pdf(root / "good.pdf", [[(60, 700, 11, "Good text.")]])
    writer = PdfWriter(clone_from=PdfReader(root / "good.pdf"))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(root / "locked.pdf")
    write_pdf(root / "none.pdf", [])
    write_pdf(root / "scan.pdf", [[], []])
    (root / "empty.pdf").write_bytes(b"")
    (root / "cut.pdf").write_bytes(b"%PDF-1.4\n1 0 obj\n<< /Type /Cata")
    result = read()
    assert [d.path for d in result.documents] == ["good.pdf"]
    assert result.counts["failed"] == {
        "encrypted PDF": 1, "PDF without pages": 1, "PDF without text (needs OCR)": 1, "empty file": 1, "corrupt PDF": 1,
    }  # fmt: skip
    assert "ocrmypdf" in result.lines("failed") and "has a password" in result.lines("failed")


@pytest.mark.parametrize(("package", "name", "line"), [("pypdfium2", "a.pdf", '"groundling[pdf]"'), ("docx", "a.docx", "python-docx")])
def test_a_missing_package_is_a_sentence_with_its_pip_line(root, read, monkeypatch, package, name, line):
    (root / name).write_bytes(b"%PDF")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MachineError, match=re.escape(f"pip install {line}")):
        read()
