"""Words in common, weighed by how rare they are (BM25, Lucene's form). No model, no network; exact on names and codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...config import Index
from ...errors import InputError
from ...records import Chunk, Hit
from ...workspace import write_json
from ..words import VERSION, terms

if TYPE_CHECKING:
    from ...answer import Search

RECORD = "index.json"


def build(chunks: Sequence[Chunk], folder: Path, options: Index) -> None:
    """Write the index of titles and texts into `folder`: arrays as .npy, words as JSON, `index.json` last."""
    import bm25s

    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    # Own numbers for the words, by first appearance: bm25s takes them from a set, whose order differs from run to run.
    words: dict[str, int] = {}
    numbers = [[words.setdefault(term, len(words)) for term in terms(f"{chunk.title}\n{chunk.text}")] for chunk in chunks]
    if words:
        model = bm25s.BM25(method="lucene", backend="numpy")
        model.index((numbers, words), create_empty_token=False, show_progress=False)
        model.save(folder, show_progress=False)
    write_json(folder / RECORD, {"retriever": "bm25", "terms": VERSION, "words": len(words), "chunks": [chunk.id for chunk in chunks]})


def open(chunks: Sequence[Chunk], folder: Path, options: Index) -> Search:
    """The search over an index that `build` wrote: (query, k) → up to k hits, best first, equal ones in the order of the chunks.

    Raises InputError where the folder holds no whole index, or one of other chunks.
    """
    record = _record(folder)
    if record.get("terms") != VERSION or record.get("chunks") != [chunk.id for chunk in chunks]:
        raise InputError(f"The index in {folder} was made of other chunks. Make it again: groundling index.")
    if not record["words"]:
        return lambda query, k: []
    import bm25s
    import numpy

    try:
        model = bm25s.BM25.load(folder, mmap=True, load_corpus=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"The index in {folder} is damaged ({error}). Make it again: groundling index.") from error

    data, documents, starts = (numpy.asarray(model.scores[name]) for name in ("data", "indices", "indptr"))

    def search(query: str, k: int) -> list[Hit]:
        known = [number for term in dict.fromkeys(terms(query)) if (number := model.vocab_dict.get(term)) is not None]
        if not known or k < 1:
            return []
        # What bm25s' get_scores_from_ids sums, in the same order, without looking into memory maps and repeated documents again for each term.
        scores = numpy.zeros(len(chunks), dtype=data.dtype)
        for n in known:
            start, end = starts[n], starts[n + 1]
            scores[documents[start:end]] += data[start:end]
        found = numpy.flatnonzero(scores > 0)
        if len(found) > 4 * k:  # only what can be among the best is sorted
            found = found[scores[found] >= numpy.partition(scores, -k)[-k]]
        best = found[numpy.argsort(-scores[found], kind="stable")][:k]
        return [Hit(chunk=chunks[n], score=float(scores[n])) for n in best]

    return search


def _record(folder: Path) -> dict:
    path = folder / RECORD
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{folder} holds no index ({path.name}: {error}). Make it: groundling index.") from error
