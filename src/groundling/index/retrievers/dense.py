"""Nearness in meaning: questions and passages as vectors of an embedding model of your own (index.model), compared by cosine.

Mean pooling over an encoder's last layer, with the prefixes of the E5 family (arXiv 2212.03533; index.query_prefix, index.passage_prefix). The
search is exact: every vector is looked at. Unlike bm25 it always finds something, so a question about nothing in the documents gets passages too.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...config import Index
from ...errors import ConfigError, InputError, ModelError
from ...llm.local import device, need_torch
from ...llm.weights import identity
from ...records import Chunk, Hit
from ...workspace import write_json

if TYPE_CHECKING:
    import numpy
    import torch

    from ...answer import Search

RECORD, VECTORS = "index.json", "vectors.npy"
VERSION = 1  # raised when the same model would give other vectors
BATCH = 32
RESERVED = 2  # positions that RoBERTa's kind of encoder counts but cannot use


def check(options: Index) -> None:
    """Raise ConfigError where no model is named, MachineError where the extra is missing."""
    if not options.model:
        raise ConfigError('index.retriever = "dense" needs index.model: the path or hub name of an embedding model, such as intfloat/e5-small-v2.')
    need_torch("dense")


class Embedder:
    """Texts to vectors of length 1."""

    def __init__(self, options: Index) -> None:
        check(options)
        self.place, self.options = options.model, options
        self.fingerprint = identity(self.place)
        self._lock = threading.Lock()  # a tokenizer keeps its padding as state: one call at a time

    @cached_property
    def _loaded(self) -> tuple[Any, torch.nn.Module]:
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(self.place), AutoModel.from_pretrained(self.place).float().to(device()).eval()
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ModelError(f"The embedding model {self.place} (index.model) could not be loaded: {str(error).splitlines()[0]}") from error

    @cached_property
    def limit(self) -> int:
        """The longest text in tokens."""
        tokenizer, network = self._loaded
        positions = getattr(network.config, "max_position_embeddings", None)
        return min(tokenizer.model_max_length, positions - RESERVED if positions else 1 << 30)

    def passages(self, chunks: Sequence[Chunk]) -> tuple[numpy.ndarray, int]:
        """A row for each chunk, and how many chunks were longer than `limit`: of those, only the start counts."""
        texts = [f"{self.options.passage_prefix}{c.title}\n{c.text}" if c.title else self.options.passage_prefix + c.text for c in chunks]
        found, lengths = self._rows(texts)
        return found, sum(n > self.limit for n in lengths)

    def texts(self, texts: Sequence[str]) -> numpy.ndarray:
        """A row for each of several texts that are compared with each other: the E5 family wants the query's prefix before all of them."""
        return self._rows([self.options.query_prefix + text for text in texts])[0]

    def _rows(self, texts: list[str]) -> tuple[numpy.ndarray, list[int]]:
        """A row for each text, and how many tokens each has."""
        import numpy

        lengths = [len(ids) for ids in self._loaded[0](texts, verbose=False)["input_ids"]]
        found = None
        order = sorted(range(len(texts)), key=lambda n: (lengths[n], n))  # like lengths together: little padding
        for at in range(0, len(order), BATCH):
            rows = self._vectors([texts[n] for n in order[at : at + BATCH]])
            found = numpy.zeros((len(texts), rows.shape[1]), "float32") if found is None else found
            found[order[at : at + BATCH]] = rows
        assert found is not None, "the stages ask for no empty list"
        return found, lengths

    def query(self, text: str) -> numpy.ndarray:
        return self._vectors([self.options.query_prefix + text])[0]

    def _vectors(self, texts: list[str]) -> numpy.ndarray:
        import torch

        tokenizer, network = self._loaded
        with self._lock:
            tokens = tokenizer(texts, padding=True, truncation=True, max_length=self.limit, return_tensors="pt").to(device())
        with torch.inference_mode():
            states = network(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1).float()
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()

    def record(self) -> dict[str, Any]:
        """What made the vectors: another model, or other prefixes, would make others."""
        prefixes = [self.options.query_prefix, self.options.passage_prefix]
        return {"retriever": "dense", "version": VERSION, "model": self.fingerprint, "prefixes": prefixes}


def build(chunks: Sequence[Chunk], folder: Path, options: Index) -> dict[str, Any]:
    """Write a vector for each chunk's title and text into `folder`, `index.json` last; notes how many chunks were too long for the model."""
    import numpy

    embedder = Embedder(options)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    vectors, cut = embedder.passages(chunks)
    numpy.save(folder / VECTORS, vectors, allow_pickle=False)
    write_json(folder / RECORD, embedder.record() | {"chunks": [chunk.id for chunk in chunks]})
    why = f"{cut} of {len(chunks)} chunks are longer than the {embedder.limit} tokens of index.model: found by their start only (lower chunk.size)"
    return {"cut": {"chunks": cut, "why": why}} if cut else {}


def open(chunks: Sequence[Chunk], folder: Path, options: Index) -> Search:
    """The search over an index that `build` wrote: (query, k) → k hits, best first, equal ones in the order of the chunks; none for an empty query.

    Raises InputError where the folder holds no whole index, or one of other chunks or of another model.
    """
    import numpy

    embedder = Embedder(options)
    try:
        record = msgspec.json.decode((folder / RECORD).read_bytes(), type=dict)
        vectors = numpy.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise InputError(f"{folder} holds no whole index ({' '.join(str(error).split())}). Make it again: groundling index.") from error
    if record != embedder.record() | {"chunks": [chunk.id for chunk in chunks]} or len(vectors) != len(chunks):
        raise InputError(f"The index in {folder} was made of other chunks, or by another model. Make it again: groundling index.")

    def search(query: str, k: int) -> list[Hit]:
        if not query.strip() or k < 1:
            return []
        scores = vectors @ embedder.query(query)
        return [Hit(chunk=chunks[n], score=float(scores[n])) for n in numpy.argsort(-scores, kind="stable")[:k]]

    return search
