"""nano before its training: a network whose first heads begin as finders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import model

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import LlamaForCausalLM

_SAME = 5.0  # attention's logit between equal tokens, at the start
_CARRIED = 0.027  # how much of what a head looks at it passes on, at the start
NEAR_LAYER, NEAR_HEAD = 1, 1  # begins by looking at words that mean nearly the same


def fresh(width: int = 256, layers: int = 5, heads: int = 4, seed: int = 0, meaning: np.ndarray | None = None) -> LlamaForCausalLM:
    """An untrained network (after mimetic initialisation, arXiv 2305.09828).

    A reader finds by matching; from random weights a small network needs millions of tokens to stumble upon that. In every layer heads 0 and 1
    look at tokens equal to their own, through the slowly turning half of the rotary pairs, so at any distance; heads 0 to 2 pass on what they see.
    With `meaning` ([vocabulary, n], rows of length one or zero) the first n dimensions of a token say what it means and the others which it is, and
    one head looks at words that mean nearly the same.
    """
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    size = width // heads
    network = LlamaForCausalLM(model.config(width, layers, heads))
    words = network.model.embed_tokens.weight
    known = 0 if meaning is None or not meaning.any() else meaning.shape[1]
    bases = torch.zeros(2 * size, width)
    bases[:, known:] = torch.linalg.qr(torch.randn(width - known, width - known)).Q[: 2 * size]
    same = list(bases.split(size))
    slow = torch.arange(size) % (size // 2) >= size // 4
    with torch.no_grad():
        if known:
            vectors = torch.as_tensor(meaning)
            words[:, :known] = vectors * words[:, known:].norm(dim=1, keepdim=True)
        turned = words / words.square().mean(dim=1, keepdim=True).sqrt()
        for number, layer in enumerate(network.model.layers):
            attention = layer.self_attn
            for head, basis in enumerate((*same, same[0])):
                rows = slice(head * size, (head + 1) * size)
                attention.v_proj.weight[rows] = basis * 0.25
                attention.o_proj.weight[:, rows] = basis.T * (_CARRIED / 0.25)
                if head == 2:
                    continue
                look = basis[slow]
                if known and (number, head) == (NEAR_LAYER, NEAR_HEAD):
                    look = torch.zeros_like(look)
                    look[:, :known] = torch.linalg.svd(vectors, full_matrices=False).Vh[: len(look)]
                for matrix in (attention.q_proj.weight, attention.k_proj.weight):
                    matrix[rows.start : rows.stop][slow] = look * _sharp(turned, look, size)
    return network


def _sharp(words: torch.Tensor, look: torch.Tensor, size: int) -> float:
    """The factor of query and key with which equal words have the logit `_SAME`."""
    seen = (words @ look.T).square().sum(dim=1)
    return float((_SAME * size**0.5 / seen[seen > 0].mean()) ** 0.5)
