"""Which texts share most of their words or of their characters, found without comparing each with each (MinHash and banding: Broder 1997).

Texts are sets of runs of words and of runs of characters. What lands in one bucket is a candidate; a candidate counts only if the share of runs
in common (Jaccard) really reaches the threshold. So nothing is called alike that is not, and what is alike is missed once in a hundred times
at the threshold itself, ever less above it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from zlib import crc32

import numpy as np

from .words import normal, words

HASHES = 64
FOUND = 0.99  # the share of pairs just at the threshold that must meet in a bucket
CHECKED = 32  # most candidates looked at for one text, those in most buckets with it first: what keeps the whole near linear
CROWDED = 64  # most texts that one bucket holds
_MIX, _MIX_AGAIN, _STEP, _STEP_LONG = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35), np.uint32(0x9E3779B1), np.uint64(0x9E3779B97F4A7C15)
_draw = random.Random("minhash")
_FLIP = np.array([[_draw.getrandbits(32)] for _ in range(HASHES)], np.uint32)
_TIMES = np.array([[_draw.getrandbits(32) | 1] for _ in range(HASHES)], np.uint32)


def _mixed(values: np.ndarray) -> np.ndarray:
    """MurmurHash3's last step: every bit of the result hangs on every bit of the value."""
    values = (values ^ (values >> np.uint32(16))) * _MIX
    values = (values ^ (values >> np.uint32(13))) * _MIX_AGAIN
    return values ^ (values >> np.uint32(16))


def runs(units: np.ndarray, size: int) -> np.ndarray:
    """A number for each run of `size` neighbours, sorted, once each. A shorter text is one run."""
    if not len(units):
        return units
    size = min(size, len(units))
    found = np.zeros(len(units) - size + 1, np.uint32)
    for at in range(size):
        found = found * _STEP + units[at : len(units) - size + 1 + at]
    return np.unique(_mixed(found))


def of_words(text: str, size: int) -> np.ndarray:
    return runs(np.array([crc32(word.encode("utf-8", "surrogatepass")) for word in words(text)], np.uint32), size)


def of_characters(text: str, size: int) -> np.ndarray:
    return runs(np.frombuffer(normal(text).encode("utf-32-le", "surrogatepass"), np.uint32), size)


def share(one: np.ndarray, other: np.ndarray) -> float:
    """Runs in common by all runs of the two (Jaccard); 0 where either has none."""
    if not len(one) or not len(other):
        return 0.0
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)


def rows_of(threshold: float) -> int:
    """How many hashes make a band: the most for which a pair at the threshold still meets in one of the bands, FOUND of the time."""
    fit = [r for r in range(1, 17) if 1 - (1 - threshold**r) ** (HASHES // r) >= FOUND]
    return max(fit, default=1)


def _signature(found: np.ndarray) -> np.ndarray:
    """The least of the runs' numbers under each hash. Long texts go in parts, so that memory does not."""
    least = np.full(HASHES, 0xFFFFFFFF, np.uint32)
    for at in range(0, len(found), 4096):
        least = np.minimum(least, _mixed((found[at : at + 4096] ^ _FLIP) * _TIMES).min(axis=1))
    return least


class Alike:
    """Texts by their place in a list. `add` those that stay, ask for others whether one of those is `near`.

    Only texts whose `kin` is equal are compared. `words` and `characters` are the lengths of runs; 0 leaves that view out. Two texts are near
    where they are in either view.
    """

    def __init__(self, texts: Sequence[str], kin: Sequence[Hashable], threshold: float, words: int = 2, characters: int = 4) -> None:
        self._texts, self._kin, self._threshold = texts, kin, threshold
        self._views = [(make, size) for make, size in ((of_words, words), (of_characters, characters)) if size]
        self._kept: dict[int, list[int]] = {}  # bucket to the texts added
        self._known: dict[int, list[np.ndarray]] = {}  # runs of those that are compared
        families: dict[Hashable, int] = {}
        family = np.array([families.setdefault(k, len(families)) for k in kin], np.uint64)
        self._buckets = self._numbered([self._bands(make, size, family) for make, size in self._views])

    def _bands(self, make, size: int, family: np.ndarray) -> np.ndarray:
        """For each text the keys of its buckets in one view; texts without a run get keys of their own."""
        rows = rows_of(self._threshold)
        bands = HASHES // rows
        keys = np.zeros((len(self._texts), bands), np.uint64)
        for n, text in enumerate(self._texts):
            found = make(text, size)
            keys[n] = n
            if len(found):
                least = _signature(found)[: bands * rows].reshape(bands, rows).astype(np.uint64)
                key = np.full(bands, family[n] + np.uint64(1), np.uint64)
                for row in range(rows):
                    key = (key ^ least[:, row]) * _STEP_LONG
                    key ^= key >> np.uint64(29)
                keys[n] = key
        return keys

    @staticmethod
    def _numbered(views: list[np.ndarray]) -> np.ndarray:
        """Buckets as small numbers, one row for each text; -1 for a bucket with a single text, which is most of them."""
        columns, start = [], 0
        for column in (view[:, band] for view in views for band in range(view.shape[1])):
            _, number, count = np.unique(column, return_inverse=True, return_counts=True)
            columns.append(np.where(count[number] > 1, number + start, -1).astype(np.int64))
            start += len(count)
        return np.stack(columns, axis=1) if columns else np.zeros((0, 0), np.int64)

    def _runs(self, n: int) -> list[np.ndarray]:
        if n not in self._known:
            self._known[n] = [make(self._texts[n], size) for make, size in self._views]
        return self._known[n]

    def _mine(self, n: int) -> list[int]:
        return [b for b in self._buckets[n].tolist() if b >= 0] if len(self._buckets) else []

    def add(self, n: int) -> None:
        for bucket in self._mine(n):
            held = self._kept.setdefault(bucket, [])
            if len(held) < CROWDED:
                held.append(n)

    def near(self, n: int) -> int | None:
        """An added text that is near text n, None where there is none."""
        met = Counter(other for bucket in self._mine(n) for other in self._kept.get(bucket, ()))
        for other, _ in met.most_common(CHECKED):
            if self._kin[other] == self._kin[n] and any(share(a, b) >= self._threshold for a, b in zip(self._runs(n), self._runs(other))):
                self._known.pop(n, None)
                return other
        return None
