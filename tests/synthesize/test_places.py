"""Where passages stand: as looking at every chunk finds them, whatever their white space, and by every name of their document."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundling.answer import find
from groundling.records import Chunk, Document
from groundling.synthesize.places import Places, said, span, unbroken

WORDS = st.lists(st.sampled_from(["a", "b", "ab", "12", "kg."]), min_size=1, max_size=4)
GAPS = st.sampled_from([" ", "\n", " \n  ", "\u00a0"])


def chunk(number: int, text: str, path: str = "") -> Chunk:
    path = path or f"deep/in/{number % 3}.md"
    return Chunk(id=f"c{number}", document=f"id of {path}", path=path, title="", text=text, start=number * 1000, end=number * 1000 + len(text))


@given(st.lists(st.tuples(WORDS, GAPS), max_size=6), WORDS, GAPS)
def test_it_finds_what_looking_at_every_chunk_finds(texts: list[tuple[list[str], str]], words: list[str], gap: str) -> None:
    chunks = [chunk(n, gap.join(words)) for n, (words, gap) in enumerate(texts)]
    passage, ordered = gap.join(words), sorted(chunks, key=lambda c: (c.path, c.start))
    places = Places(chunks)
    for name in ("", "0.md", "in/1.md", "./deep/in/2.md", "id of deep/in/2.md"):
        path = "deep/in/" + name[-4:]
        plain = ((c, at) for c in ordered if (not name or c.path == path) and (at := find(passage, c.text)))
        assert places.holding(passage, name) == next(plain, None)


def test_a_name_is_a_path_before_it_is_the_end_of_one() -> None:
    places = Places([chunk(0, "x", "a/leave.md"), chunk(1, "y", "leave.md"), chunk(2, "z", "b/other.md"), chunk(3, "z", "c/other.md")])
    assert [c.path for c in places.of("leave.md")] == ["leave.md"] and not places.of("eave.md")
    assert [c.path for c in places.of(" ./other.md")] == ["b/other.md", "c/other.md"]
    assert places.meant("laeve.md") == 'Did you mean "leave.md"?' and places.meant("2024.xlsx") == ""


def test_a_passage_that_is_cut_stands_in_its_document_and_in_no_other() -> None:
    chunks = [chunk(0, "The desk opens at", "one.md"), chunk(1, "nine o'clock.", "one.md"), chunk(2, "Else.", "two.md")]
    whole = [
        Document(id="id of one.md", path="one.md", title="", text="The desk opens at\nnine o'clock."),
        Document(id="id of two.md", path="two.md", title="", text="Else."),
    ]
    places = Places(chunks, lambda: whole)
    cut = "opens at nine"
    assert places.holding(cut) is None and places.whole(cut) and places.whole(cut, "one.md") and not places.whole(cut, "two.md")
    assert not Places(chunks).whole(cut), "nothing is known of documents that are not given"


@pytest.mark.parametrize(
    ("passage", "text", "found"),
    [
        ("有給休暇は年に20日です。", "規定\n有給休暇は\n　年に20日です。以上", "有給休暇は\n　年に20日です。"),
        ("有給\n休暇は年に", "有給休暇は年に20日です。", "有給休暇は年に"),
        ("weighs 12 kg", "It weighs\r\n  12\tkg.", "weighs\r\n  12\tkg"),
        ("Katla 200 の重さは", "Katla\n200 の重\nさは", "Katla\n200 の重\nさは"),
        ("weighs 12kg", "It weighs 12 kg.", None),
        ("an other", "another", None),
    ],
)
def test_white_space_does_not_count_and_is_quoted_as_it_stands(passage: str, text: str, found: str | None) -> None:
    place = span(passage, text)
    assert (text[place[0] : place[1]] if place else None) == found
    held = Places([chunk(0, "nothing"), chunk(1, text)]).holding(passage)
    assert (held and (held[0].id, held[1])) == (found and ("c1", place))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("The hotel of the company that is\nnearest. It is paid.", ["The hotel of the company that is nearest.", "It is paid."]),
        (
            "Whoever travels for more than two nights to\nTurku is paid the hotel.",
            ["Whoever travels for more than two nights to Turku is paid the hotel."],
        ),
        ("Phone: 123\nFax: 456", ["Phone: 123", "Fax: 456"]),
        (
            "- one thing that is quite long, so that it fills a line\n- another\n2. third",
            ["- one thing that is quite long, so that it fills a line", "- another", "2. third"],
        ),
        ("# A heading that is quite long, so that it fills a line\nText.", ["# A heading that is quite long, so that it fills a line", "Text."]),
        (
            "First paragraph of the text, without a full stop at its end\n\nsecond",
            ["First paragraph of the text, without a full stop at its end", "second"],
        ),
        ("", []),
    ],
)
def test_a_sentence_does_not_end_with_its_line(text: str, sentences: list[str]) -> None:
    assert said(text) == said(text.replace("\n", "\r\n   ")) == sentences and unbroken(unbroken(text)) == unbroken(text)


def test_the_order_of_the_chunks_does_not_matter() -> None:
    chunks = [chunk(n, "the same", f"{n % 2}.md") for n in range(4)]
    assert {
        Places(some).holding("the same")[0].id for some in (chunks, chunks[::-1], [msgspec.structs.replace(c) for c in chunks[2:] + chunks[:2]])
    } == {"c0"}  # type: ignore[index]
