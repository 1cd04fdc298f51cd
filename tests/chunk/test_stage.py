from __future__ import annotations

import pytest
from pydantic import ValidationError

from groundling import config
from groundling.chunk import chunk, headings
from groundling.errors import ConfigError, InputError
from groundling.records import Chunk, Document
from groundling.workspace import Output, read_lines

TEXT = (
    "# Manual\n\nWhat it is for, in some words.\n\n## Care\n\n"
    + "Clean it twice. " * 8
    + "\n\n### Winter\n\n"
    + "Leave it alone. " * 8
    + "\n\n## End\n\nok"
)


def document(name: str, text: str, pages: list[int] | None = None) -> Document:
    return Document(id=name, path=f"{name}.md", title="Manual", text=text, pages=pages or [])


@pytest.fixture
def run(tmp_path):
    def run(documents: list[Document], **options: int):
        out = Output(tmp_path / "2-chunks")
        try:
            chunk(documents, config.Chunk(**{"size": 160, "overlap": 0, **options}), out)
        except BaseException:
            out.abandon()
            raise
        out.close()
        return list(read_lines(out.folder / "data.jsonl", Chunk)), out

    return run


def test_chunks_are_spans_with_the_headings_above_them(run):
    chunks, _ = run([document("a", TEXT)])
    assert [c.title for c in chunks] == ["Manual", "Manual > Care", "Manual > Care > Winter"]
    assert all(TEXT[c.start : c.end] == c.text and c.document == "a" and c.path == "a.md" and c.page is None for c in chunks)


def test_headings_in_code_are_none():
    assert headings("# A\n```\n# no\n```\n## B `x`\n# [C](y) #\n#no\n####### no")[1] == [("A",), ("A", "B x"), ("C",)]


def test_ids_tell_repeats_and_documents_apart_and_do_not_depend_on_place(run):
    sentence = "The same words stand here again and again, over and over. "
    chunks, out = run([document("a", "\n\n".join([sentence] * 3)), document("b", sentence)], size=60)
    assert len({c.id for c in chunks}) == 4 == out.kept and len({c.text for c in chunks}) == 1
    moved, _ = run([document("a", "Something new comes first in this text.\n\n" + sentence)], size=60)
    assert moved[1].id == chunks[0].id and len(moved[1].id) == 12


def test_pages(run):
    text = "\n\n".join(f"Page number {n}. " * 4 for n in (1, 2, 3))
    starts = [text.index(f"Page number {n}") for n in (1, 2, 3)]
    chunks, _ = run([document("a", text, starts)], size=70)
    assert [(c.page, c.text[12]) for c in chunks] == [(1, "1"), (2, "2"), (3, "3")]


def test_short_ones_are_dropped_and_counted(run):
    _, out = run([document("a", TEXT), document("b", "tiny  bit")])
    assert out.counts() == {"in": 4, "kept": 3, "dropped": {"shorter than minimum": 1}, "failed": {}}
    assert '"text":"tiny  bit"' in (out.folder / "dropped.jsonl").read_text()


def test_nothing_left_is_a_sentence(run):
    with pytest.raises(InputError, match=r"None of the 2 documents.*chunk.minimum = 20"):
        run([document("a", "tiny"), document("b", "")])


def test_settings_that_do_not_fit(run):
    with pytest.raises(ValidationError, match="must be smaller than chunk.size = 160"):
        run([document("a", TEXT)], overlap=160)
    with pytest.raises(ConfigError, match=r'no splitter "recursiv".*Did you mean "recursive"'):
        run([document("a", TEXT)], splitter="recursiv")
