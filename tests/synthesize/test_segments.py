"""Segments of documents: under their headings, of the length of an answer, and none of those that the published filters leave out."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.records import Document
from groundling.synthesize import segments as module
from groundling.synthesize.recipes.backtranslation import Options
from groundling.synthesize.segments import Piece, repetitive, segments


def prose(length: int, key: int = 0) -> str:
    """Sentences of drawn words, none alike, of so many characters and a full stop at most."""
    r, text = random.Random(key), ""
    while len(text) < length:
        words = ["".join(r.choice("bdfgklmnprst") + r.choice("aeiou") for _ in range(r.randint(1, 4))) for _ in range(r.randint(6, 12))]
        text += " ".join(words).capitalize() + ". "
    return text[:length].strip()


def document(text: str) -> Document:
    return Document(id="d", path="d.md", title="Handbook", text=text)


def found(text: str, **options) -> list[Piece]:
    return list(segments(document(text), Options(**options)))


def kept(text: str, **options) -> list[tuple[str, int]]:
    return [(p.heading, len(p.text)) for p in found(text, **options) if not p.reason]


def test_a_heading_has_its_sub_headings_below_it_while_they_fit() -> None:
    a, b, c = prose(400, 1), prose(500, 50), prose(900, 90)
    text = f"# Book\n\n## Kettles\n\n{a}\n\n### Cleaning kettles\n\n{b}\n\n## Pans\n\n{c}"
    assert [(p.heading, p.text) for p in found(text)] == [("Book", text.removeprefix("# Book\n\n"))], "all of it is one"
    parts = found(text, longest=1500)
    assert [p.heading for p in parts] == ["Kettles", "Pans"] and parts[0].text == f"{a}\n\n### Cleaning kettles\n\n{b}" and parts[1].text == c
    assert [(p.heading, p.reason) for p in found(text, longest=800)] == [
        ("Kettles", module.SHORT), ("Cleaning kettles", module.SHORT), ("Pans", module.LONG)
    ]  # fmt: skip


def test_the_published_lengths_are_the_defaults_and_their_ends_belong_to_them() -> None:
    assert (Options().shortest, Options().longest) == (600, 3000)
    for length, reason in ((599, module.SHORT), (600, ""), (3000, ""), (3001, module.LONG)):
        text = prose(length + 40)[:length].rstrip()
        text += "x" * (length - len(text))
        assert [p.reason for p in found(f"# One\n\n{text}")] == [reason], length


@pytest.mark.parametrize(
    ("heading", "reason"),
    [
        ("Advertisement", module.NAVIGATION),
        ("Our Forum rules", module.NAVIGATION),
        ("Quick links", module.NAVIGATION),
        ("Get the FREE newsletter", module.NAVIGATION),
        ("CONTACT US NOW", module.CAPITALS),
        ("***", module.EMPTY),
        ("", module.EMPTY),
        ("FAQ", ""),
        ("2024", ""),
        ("休暇の申請", ""),
    ],
)
def test_headings_of_navigation_in_capitals_and_empty_ones_are_left_out_with_all_below_them(heading: str, reason: str) -> None:
    text = f"# {heading}\n\n{prose(700)}\n\n## Below\n\n{prose(700, 99)}\n\n# Other\n\n{prose(700, 200)}"
    pieces = found(text)
    assert [(p.heading, p.reason) for p in pieces] == [(heading.replace("*", ""), reason), ("Other", "")]
    assert "Below" in pieces[0].text


def test_a_heading_of_navigation_within_another_s_text_is_cut_out_of_it() -> None:
    text = f"# Book\n\n{prose(650)}\n\n## Pans\n\n{prose(700, 1)}\n\n### Advertisement\n\n{prose(40, 2)}\n\n## Pots\n\n{prose(700, 3)}"
    assert len(text) < 3000
    assert [(p.heading, p.reason) for p in found(text)] == [("Book", ""), ("Pans", ""), ("Advertisement", module.NAVIGATION), ("Pots", "")]


def test_repetitive_sentences_and_shouting_are_left_out() -> None:
    once = prose(700)
    assert [p.reason for p in found(f"# A\n\n{once}")] == [""]
    again = f"{once.rpartition('. ')[0]}. {once.split('. ')[2]}."
    assert [p.reason for p in found(f"# A\n\n{again}")] == [module.REPEATED]
    assert [p.reason for p in found(f"# A\n\n{once.upper()}")] == [module.SHOUTED]
    assert not repetitive("Yes, it is. Yes, it is.", 0.8, 3), "short sentences may come again"
    assert not repetitive("The Katla 200 weighs 12 kg in all. The Katla 250 weighs 15 kg in all.", 0.8, 3), "what differs is what is said"
    assert repetitive("申請は二週間前までに出します。そして申請は二週間前までに出します。", 0.7, 3)


def test_a_document_without_headings_is_parted_between_its_paragraphs() -> None:
    paragraphs = [prose(500, n * 40) for n in range(8)]
    pieces = found("\n\n".join(paragraphs))
    assert [p.reason for p in pieces] == ["", ""] and all(p.heading == "Handbook" and len(p.text) <= 3000 for p in pieces)
    assert "\n\n".join(p.text for p in pieces) == "\n\n".join(paragraphs), "nothing is cut or lost"


def test_a_line_in_a_block_of_code_is_no_heading() -> None:
    text = f"# Setup\n\n{prose(600)}\n\n```\n# a comment\nmake\n```\n\n{prose(100, 70)}"
    assert [p.heading for p in found(text)] == ["Setup"]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 900)), max_size=12), st.integers(50, 400), st.integers(400, 1500))
def test_nothing_vanishes_and_nothing_comes_twice(parts: list[tuple[int, int]], shortest: int, longest: int) -> None:
    words, text = [], ""
    for n, (level, length) in enumerate(parts):
        words.append([f"w{n}x{i}" for i in range(length // 8)])
        text += (f"{'#' * level} Head {n}\n\n" if level else "") + " ".join(words[-1]) + "\n\n"
    pieces = found(text, shortest=shortest, longest=longest)
    told = Counter(w for p in pieces for w in p.text.split() if w.startswith("w"))
    assert told == Counter(w for part in words for w in part), "each word is in exactly one piece"
    assert all(shortest <= len(p.text) <= longest for p in pieces if not p.reason)
