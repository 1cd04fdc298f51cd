from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundling.chunk.splitters.recursive import split
from groundling.errors import ConfigError

BITS = [
    "# Head",
    "## Part",
    "word",
    "Some words here.",
    "“Said so!” ",
    "。",
    "日本語の文章です。",
    "| a | b |",
    " ",
    "\n",
    "\n\n",
    "\t",
    "x" * 70,
    "é\u0301",
]
TEXTS = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(BITS), max_size=80).map("".join),
    st.lists(st.sampled_from(BITS), max_size=60).map(" ".join),
)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.integers(1, 120), st.data())
def test_spans_keep_every_promise(text, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    spans = split(text, size, overlap)
    covered = set()
    for start, end in spans:
        assert 0 < end - start <= size
        assert text[start:end] == text[start:end].strip()
        covered.update(range(start, end))
    assert all(n in covered for n, c in enumerate(text) if not c.isspace())
    for (a, b), (c, d) in pairwise(spans):
        assert a < c and b < d, "ordered, each with something new"
        assert b - c <= overlap


def test_short_text_is_one_span_and_nothing_is_none():
    assert split("  One thing.\n", 100, 10) == [(2, 12)]
    assert split(" \n ", 100, 10) == [] == split("", 100, 10)


def cut(text: str, size: int, overlap: int = 0) -> list[str]:
    return [text[a:b] for a, b in split(text, size, overlap)]


def test_the_best_place_wins():
    assert cut("# A\nfirst words\n\nmore\n# B\nsecond words", 34) == ["# A\nfirst words\n\nmore", "# B\nsecond words"]
    assert cut("One two three.\nFour.\n\nFive six. Seven eight", 34) == ["One two three.\nFour.", "Five six. Seven eight"]
    assert cut("Line number one is. A\nline number two", 30) == ["Line number one is. A", "line number two"]
    assert cut("One two three. Four five six seven", 24) == ["One two three.", "Four five six seven"]
    assert cut("これは文です。次の文が続きます。", 12) == ["これは文です。", "次の文が続きます。"]
    assert cut("abcdefghij", 4) == ["abcd", "efgh", "ij"]


def test_a_heading_stays_with_its_text():
    text = "Some words of a first part that is long.\n\n## Second part\n\nWords of the second part, long too."
    assert cut(text, 60)[1].startswith("## Second part\n\nWords")


def test_tables_break_at_row_ends():
    rows = [f"| row {n} | value {n} |" for n in range(40)]
    for piece in cut("\n".join(rows), 100):
        assert all(line in rows for line in piece.split("\n"))


def test_overlap_begins_with_a_sentence_or_word_and_does_not_cross_a_heading():
    text = "Alpha beta gamma delta epsilon. Zeta eta theta. Iota kappa lambda mu nu xi omicron."
    pieces = cut(text, 50, 20)
    assert pieces[0].endswith("Zeta eta theta.") and pieces[1].startswith("Zeta eta theta. Iota")
    words = {f"word{n}" for n in range(200)}
    assert all(piece.split()[0] in words for piece in cut(" ".join(sorted(words)), 60, 25))
    assert cut("First part, with words.\n# New\nSecond part", 30, 15) == ["First part, with words.", "# New\nSecond part"]


@pytest.mark.parametrize(("size", "overlap"), [(100, 100), (100, 200), (100, -1), (0, 0)])
def test_overlap_must_be_smaller_than_size(size, overlap):
    with pytest.raises(ConfigError, match=f"chunk.overlap = {overlap} .*chunk.size = {size}"):
        split("text", size, overlap)


@pytest.mark.parametrize("text", ["x" * 2_000_000, " " * 2_000_000 + "x", "a b " * 500_000, "\n" * 1_000_000 + "# h\n" * 10_000])
def test_large_and_strange_texts_end_soon(text):
    start = time.monotonic()
    split(text, 1000, 100)
    assert time.monotonic() - start < 10
