"""Splits at headings, else blank lines, line ends, sentence ends, spaces, and only then inside a word.

Each chunk is filled as far as it goes: among the places where it may end, the last one of the best kind wins, if it lies far enough in.
Neighbours share up to `overlap` characters, from the start of a sentence or a word; never across a heading, as what stands above a
heading belongs to another subject.
"""

from __future__ import annotations

import re

from ...errors import ConfigError

HEADING = re.compile(r"\n(?=#{1,6}[ \t]+\S)")
# Kinds of places, best first, each with the share of the size that a chunk must have reached. A match ends where the chunk ends.
PLACES: tuple[tuple[re.Pattern[str], float], ...] = (
    (HEADING, 0.4),
    (re.compile(r"\n(?=[ \t]*\n)"), 0.4),
    (re.compile(r"\n"), 0.5),
    (re.compile(r"[.!?…][\"'”’»)\]]*\s|[。！？][」』）”]*"), 0.4),
    (re.compile(r"\s"), 0.3),
)
STARTS = (HEADING, re.compile(r"\n|[.!?…][\"'”’»)\]]*\s|[。！？][」』）”]*"), re.compile(r"\s|(?<=[、，；：])"))
HEADING_LINE = re.compile(r"#{1,6}[ \t]")
SOLID = re.compile(r"\S")


def split(text: str, size: int, overlap: int) -> list[tuple[int, int]]:
    """Spans [start, end) in characters, in order, none longer than `size`, none with white space at its ends.

    Every character that is not white space lies in one span or in two neighbours, which share at most `overlap` characters.
    Raises ConfigError unless 0 ≤ overlap < size.
    """
    if size < 1 or not 0 <= overlap < size:
        raise ConfigError(
            f"chunk.overlap = {overlap} does not fit chunk.size = {size}: it must be smaller, or a chunk would hold nothing new. "
            "Try a tenth of the size."
        )
    spans: list[tuple[int, int]] = []
    start = fresh = _solid(text, 0)  # `fresh`: the first character that no span holds yet
    while fresh < len(text):
        end, heading = _end(text, start, fresh, size)
        stop = _trimmed(text, start, end)
        spans.append((start, stop))
        fresh = _solid(text, stop)
        start = fresh if heading else _start(text, start, stop, fresh, size, overlap)
    return spans


def _solid(text: str, at: int) -> int:
    """The first character from `at` on that is not white space."""
    match = SOLID.search(text, at)
    return match.start() if match else len(text)


def _trimmed(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1].isspace():
        end -= 1
    return end


def _end(text: str, start: int, fresh: int, size: int) -> tuple[int, bool]:
    """(where the chunk that begins at `start` ends, whether a heading follows). It holds at least the character at `fresh`."""
    high = start + size
    if high >= len(text):
        return len(text), False
    for pattern, share in PLACES:
        low = max(start + int(size * share), fresh + 1)
        # some characters beyond, for what a pattern must see; white space at the very end costs no room
        found = [m.end() for m in pattern.finditer(text, low - 1, min(len(text), high + 8))]
        for end in reversed(found):
            if not low <= end <= high + text[end - 1].isspace():
                continue
            if pattern is HEADING or not _below_heading(text, start, end):
                return end, pattern is HEADING
    return high, bool(HEADING.match(text, high - 1))


def _below_heading(text: str, start: int, end: int) -> bool:
    """Whether a cut would leave a heading as the last line of the chunk, apart from its text."""
    stop = _trimmed(text, start, end)
    line = max(text.rfind("\n", start, stop) + 1, start)
    return line > start and text[end - 1] == "\n" and bool(HEADING_LINE.match(text, line))


def _start(text: str, start: int, stop: int, fresh: int, size: int, overlap: int) -> int:
    """Where the next chunk begins: after `start`, and so near to `fresh` that it holds something new."""
    low = max(stop - overlap, start + 1, fresh - size + 1)
    if low >= stop:
        return fresh
    for pattern in STARTS:
        for match in pattern.finditer(text, low - 1, stop):
            begin = _solid(text, match.end())
            if low <= begin < stop:
                return begin
    return _solid(text, low)
