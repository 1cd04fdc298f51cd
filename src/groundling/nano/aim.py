"""Showing nano where to look: a second loss that names, for each answer, the sentence that one head should have in view when it chooses.

Of forty tokens of an answer one carries the choice of the sentence, and the cross-entropy of that token hardly tells a small network how to
choose: left alone, choosing comes tens of millions of tokens after copying. The training text is our own, so the right sentence's place is
known, and attention can be taught directly (as in pointer networks, arXiv 1506.03134, and supervised attention, arXiv 1608.04207).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM


# What each watched head is taught: the tokens of a question to find themselves in the sentence that answers; the place where the answer is
# chosen to see the question's telling words, and to see the sentence; the words of a sentence to see its first one, where a quote begins; for
# copying, each word to see the one before it, and a quote's word the one that follows it in the passage; and the end of every sentence to see all
# of its words, so that it can stand for them.
MATCH, RECALL, CHOOSE, ORIGIN, PREVIOUS, COPY, GATHER = range(7)
_COMMON = 3  # a token that stands more often in the passages tells nothing


class Aim(NamedTuple):
    """At token `at`, the head of `kind` should look at the tokens from `start` to `end` (not included)."""

    kind: int
    at: int
    start: int
    end: int


class Marks(NamedTuple):
    """Token ids: the marks around a quote, the one that opens an answer (at once, where it abstains), the tokenizer's joiner, the word that
    opens a question, the small words and marks that tell nothing in it, the marks that end a sentence, and
    the tokens that may follow one (a space, a line break or a turn's end opens them)."""

    begin: int
    end: int
    answer: int
    joiner: int
    question: int
    small: frozenset[int] = frozenset()
    stops: frozenset[int] = frozenset()
    opens: frozenset[int] = frozenset()


def aims(ids: list[int], answer: list[bool], marks: Marks) -> list[Aim]:
    """The aims of a conversation. An abstention's is the first token; a quote's the same tokens further up."""
    text = "".join(map(chr, ids))  # so that a run of tokens is found as a substring
    found = [Aim(GATHER, end, start, end) for start, end in _sentences(ids, answer, marks)]
    for at in range(1, len(ids)):
        if not answer[at] or answer[at - 1]:
            continue
        if ids[at] == marks.answer:
            found.append(Aim(CHOOSE, at - 1, 0, 1))
        if ids[at] != marks.begin:
            continue
        close = ids.index(marks.end, at)
        first = at + 2 if ids[at + 1] == marks.joiner else at + 1  # it stands before a letter
        place = text.find(text[first:close], 0, at) if close > first else -1
        if place < 0:
            continue
        span = (place, place + close - first)
        found += [Aim(CHOOSE, at - 1, *span), Aim(CHOOSE, first - 1, *span)]
        shared = [n for n in range(span[0] + 1, span[1]) if text[n] in text[: span[0]] or n == span[1] - 1]
        found += [Aim(ORIGIN, n, span[0], span[0] + 1) for n in shared]
        found += [Aim(PREVIOUS, n, n - 1, n) for n in range(span[0] + 1, span[1])]
        found += [Aim(COPY, first + n, span[0] + n + 1, span[0] + n + 2) for n in range(close - first - 1)]
        asked = text.rfind(chr(marks.question), 0, at)
        if asked > place:
            seen, other = _telling(ids, text, span, range(asked + 1, at - 1), marks.small)
            found += [Aim(MATCH, n, *span) for n in sorted(seen + other)]
            if telling := seen or other:
                found += [Aim(RECALL, n, telling[0], telling[-1] + 1) for n in (at - 1, first - 1)]
    return found


def _sentences(ids: list[int], answer: list[bool], marks: Marks) -> Iterator[tuple[int, int]]:
    """Where each sentence or line before the first answer begins, and its last token."""
    start = 0
    for n in range(answer.index(True) - 1 if True in answer else 0):
        if ids[n] in marks.stops and ids[n + 1] in marks.opens:
            if n - start > 3:
                yield start, n
            start = n + 1


def _telling(ids: list[int], text: str, span: tuple[int, int], question: range, small: frozenset[int]) -> tuple[list[int], list[int]]:
    """The places of a question's telling tokens: those that the sentence has too, and those that no passage has (other words for the same)."""
    seen, other = [], []
    for n in question:
        if ids[n] in small:
            continue
        count = text.count(text[n], 0, question.start)
        if count == 0:
            other.append(n)
        elif count <= _COMMON and text[n] in text[span[0] : span[1]]:
            seen.append(n)
    return seen, other


class Sight:
    """Watches one head of one layer during a forward pass, and says how far it was from the aims."""

    def __init__(self, network: LlamaForCausalLM, layer: int, head: int, spread: bool = False) -> None:
        self.spread = spread
        self.attention = network.model.layers[layer].self_attn
        self.size = network.config.hidden_size // network.config.num_attention_heads
        self.rows = slice(head * self.size, (head + 1) * self.size)
        self.seen: tuple[Any, Any] = (None, None)
        self.attention.register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, module: Any, arguments: Any, named: dict[str, Any]) -> None:
        self.seen = named["hidden_states"], named["position_embeddings"]

    def loss(self, aims: torch.Tensor) -> torch.Tensor:
        """Mean of -log of the attention that lies within the aims ([n, 5]: row, kind, at, start, end).

        With `spread`, of the cross-entropy with looking at all tokens of the aim alike, less its own entropy.
        """
        import torch

        hidden, (cos, sin) = self.seen
        row, _, at, start, end = aims.unbind(1)
        queries = _turned(hidden[row, at] @ self.attention.q_proj.weight[self.rows].T, cos[0, at], sin[0, at])
        keys = _turned(hidden @ self.attention.k_proj.weight[self.rows].T, cos, sin)
        scores = torch.einsum("nd,nld->nl", queries, keys[row]).float() * self.size**-0.5
        places = torch.arange(scores.shape[1], device=scores.device)
        scores = scores.masked_fill(places > at[:, None], float("-inf"))
        within = (places >= start[:, None]) & (places < end[:, None])
        if self.spread:
            even = scores.masked_fill(~within, 0).sum(1) / (end - start)
            return (scores.logsumexp(1) - even - (end - start).log()).mean()
        return (scores.logsumexp(1) - scores.masked_fill(~within, float("-inf")).logsumexp(1)).mean()


class Sights:
    """One watched head for each kind of aim, each in the layer after the one that it builds upon; heads as `pretrain.fresh` prepares them."""

    def __init__(self, network: LlamaForCausalLM) -> None:
        last = network.config.num_hidden_layers - 1
        places = {
            MATCH: (last - 2, 0), RECALL: (last - 1, 2), CHOOSE: (last, 0), ORIGIN: (last - 2, 2), PREVIOUS: (last - 3, 2), COPY: (last, 1),
            GATHER: (last - 2, 3),
        }  # fmt: skip
        self.sights = {kind: Sight(network, max(0, layer), head, kind == GATHER) for kind, (layer, head) in places.items()}

    def losses(self, aims: torch.Tensor) -> list[torch.Tensor]:
        """The loss of each kind; zero where a batch has no such aim."""
        found = []
        for kind, sight in self.sights.items():
            mine = aims[aims[:, 1] == kind]
            found.append(sight.loss(mine) if len(mine) else aims.new_zeros((), dtype=sight.attention.q_proj.weight.dtype))
        return found


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions."""
    import torch

    half = x.shape[-1] // 2
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin
