"""A chunk with its neighbours: what recipes over several passages are given. The neighbours are looked for when their turn comes, not before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from ..errors import ConfigError
from ..records import Chunk
from ..seeds import digest
from .shelf import alike, hits

By = Literal["search", "document"]
NEAR = 0.8  # of two neighbours that share so much only one is taken
_QUERY = 300  # characters of a chunk that are searched with: more words find nothing better and take longer


class Cluster(NamedTuple):
    """A chunk and the wish for neighbours: `size` chunks in all, itself included; first those `beside` it in its document, else what search finds.

    `id` is the chunk's own for a cluster of one, and a name of its own for larger ones: finished units are remembered by it.
    """

    anchor: Chunk
    size: int = 1
    beside: tuple[Chunk, ...] = ()

    @property
    def id(self) -> str:
        return self.anchor.id if self.size == 1 else digest("cluster", self.anchor.id, self.size)

    @property
    def document(self) -> str:
        return self.anchor.document

    @property
    def path(self) -> str:
        return self.anchor.path

    @property
    def title(self) -> str:
        return self.anchor.title


def clusters(chunks: Sequence[Chunk], size: int, by: By) -> Iterator[Cluster]:
    """A cluster around each chunk, in the order of the chunks. Nothing is searched for yet."""
    documents: dict[str, list[Chunk]] = defaultdict(list)
    if by == "document":
        for c in chunks:
            documents[c.document].append(c)
    whole = {name: tuple(found) for name, found in documents.items()}  # one for all the chunks of a document
    return (Cluster(c, size, whole.get(c.document, ())) for c in chunks)


def neighbours(cluster: Cluster, bench: Any) -> Iterator[Chunk]:
    """Chunks that may stand beside the anchor, the nearest first: of its document or found by search, then drawn at random.

    All are of the anchor's side of the split; none overlaps the anchor or one before it, and none repeats them.
    """
    seen = [cluster.anchor]
    for c in _candidates(cluster, bench):
        if bench.split_of(c.document) == bench.split_of(cluster.document) and not any(_same(c, s) for s in seen):
            seen.append(c)
            yield c


def _candidates(cluster: Cluster, bench: Any) -> Iterator[Chunk]:
    anchor = cluster.anchor
    yield from sorted(cluster.beside, key=lambda c: (abs(c.start - anchor.start), c.start))
    words = f"{anchor.title} {anchor.text}"[:_QUERY]
    yield from hits(bench.search(words, cluster.size * 5 + 10))
    yield from bench.shelf.drawn(bench.rng(anchor.id, "neighbours"), anchor)


def _same(a: Chunk, b: Chunk) -> bool:
    overlap = a.document == b.document and a.start < b.end and b.start < a.end
    return a.id == b.id or overlap or alike(a.text, b.text, NEAR)


def gather(cluster: Cluster, bench: Any, fits: Callable[[Chunk], bool] = lambda chunk: True) -> list[Chunk]:
    """The anchor and its nearest neighbours that fit: `size` in all, or as many as there are."""
    found = [cluster.anchor]
    if cluster.size > 1:
        for c in neighbours(cluster, bench):
            if fits(c):
                found.append(c)
            if len(found) == cluster.size:
                break
    return found


def enough(chunks: Sequence[Chunk], bench: Any, size: int, options: str) -> None:
    """Raise ConfigError where neither side of the split has as many chunks as a cluster takes."""
    sides = [bench.split_of(c.document) for c in chunks]
    most = max(sides.count("train"), sides.count("held_out"))
    if most < size:
        raise ConfigError(
            f"A cluster takes {size} chunks, but the documents gave only {len(chunks)}, of which {most} are on the same side of the split. "
            f"{options}, lower chunk.size so that there are more chunks, or add documents."
        )
