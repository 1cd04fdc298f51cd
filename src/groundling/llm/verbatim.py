"""Quotes that cannot be invented: between the quote marks a local model may only write what stands in the passages.

While a quote is open, tokens that would leave every passage are ruled out. A quote starts where a sentence, a line or a table cell starts, ends
at the end of a word, and is followed by the number of a passage that really holds it. All else of the reply is free. This works on the
bytes of tokens, so it needs a byte-level tokenizer (Llama 3, Qwen, GPT, nano); with others quotes are only checked afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch

    from .base import Verbatim as Rule

_START = re.compile(r"(?:^|(?<=[.!?:;] )|(?<=[。！？\n])|(?<=\| ))(?:[-*•] |\d{1,2}[.)] )?(?=\S)", re.MULTILINE)
_LONGEST_TOKEN = 32  # bytes


class Table(NamedTuple):
    """The bytes of each token id (None for control tokens), and the way back.

    Some tokenizers (nano's) rewrite a text before cutting it and drop a `joiner` again when decoding; `normal` is that rewriting.
    """

    pieces: list[bytes | None]
    ids: dict[bytes, int]
    joiner: bytes = b""
    normal: Callable[[str], str] = str

    def plain(self, written: bytes) -> bytes:
        """Written bytes as they decode."""
        return written.replace(self.joiner, b"") if self.joiner else written


def _byte_of() -> dict[str, int]:
    """The printable characters that byte-level BPE writes for the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + n): b for n, b in enumerate(rest)}


def table(tokenizer: Any) -> Table | None:
    """The bytes of a tokenizer's tokens, or None where it is not byte-level."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or "ByteLevel" not in str(backend.decoder):
        return None
    byte_of, special = _byte_of(), set(tokenizer.all_special_ids)
    added = {n: str(t) for n, t in tokenizer.added_tokens_decoder.items()}
    pieces: list[bytes | None] = [None] * len(tokenizer)
    for token, n in tokenizer.get_vocab().items():
        if n in added:
            pieces[n] = None if n in special or tokenizer.added_tokens_decoder[n].special else added[n].encode()
        elif all(c in byte_of for c in token):
            pieces[n] = bytes(byte_of[c] for c in token)
    ids = {piece: n for n, piece in reversed(list(enumerate(pieces))) if piece}
    joiner = _joiner(json.loads(backend.to_str()).get("decoder"))
    return Table(pieces, ids, joiner.encode(), backend.normalizer.normalize_str) if joiner else Table(pieces, ids)


def _joiner(decoder: dict[str, Any] | None) -> str:
    """What a decoder deletes from the text, or nothing."""
    steps = (decoder or {}).get("decoders", [])
    return next((s["pattern"]["String"] for s in steps if s["type"] == "Replace" and not s["content"] and "String" in s["pattern"]), "")


class _Place(NamedTuple):
    """A place in a text that the reply may go on from; `closing` where the text is the end mark with a passage's number."""

    text: bytes
    at: int
    closing: bool


class _Row:
    """Where one reply stands: outside a quote (`places` is None), or at the places that its open quote may still be at."""

    def __init__(self, rule: Rule, known: Table) -> None:
        self.known, self.begin, self.end = known, rule.begin.encode(), rule.end.encode()
        self.texts = [t.encode() for t in rule.texts]
        # Before and after a list's mark: both are where a quote may start. A text is written as it is cut after the opening mark.
        starts = {t[at:] for t in rule.texts for m in _START.finditer(t) for at in m.span()}
        self.starts = [_Place(known.normal(rule.begin + rest).removeprefix(rule.begin).encode(), 0, False) for rest in sorted(starts)]
        self.tail = b""
        self.places: list[_Place] | None = None

    def push(self, piece: bytes | None) -> None:
        """Take in the token that was just written."""
        if self.places is None:
            self.tail = (self.tail + (piece or b""))[-len(self.begin) - _LONGEST_TOKEN :]
            if self.tail.endswith(self.begin):
                self.places = self.starts
            return
        piece = piece or b""
        moved = [p._replace(at=p.at + len(piece)) for p in self.alternatives() if p.text[p.at : p.at + len(piece)] == piece]
        if not moved or any(p.closing and p.at == len(p.text) for p in moved):
            self.places, self.tail = None, b""
        else:
            self.places = moved

    def alternatives(self) -> list[_Place]:
        """The places, and at each end of a word the way out of the quote."""
        found = list(self.places or [])
        quoted = {self.known.plain(p.text[: p.at]) for p in found if not p.closing and p.at and _ends(p)} - {b""}
        for quote in sorted(quoted):
            for number, text in enumerate(self.texts):
                if quote in text:
                    found.append(_Place(self.end + f" [{number}]".encode(), 0, True))
        return found

    def allowed(self) -> set[int]:
        """The tokens that stay within the alternatives."""
        ids, found = self.known.ids, set[int]()
        for rest in {p.text[p.at : p.at + _LONGEST_TOKEN] for p in self.alternatives()}:
            found.update(ids[rest[:n]] for n in range(1, len(rest) + 1) if rest[:n] in ids)
        return found


def _ends(place: _Place) -> bool:
    """Whether a word ends here: the next byte is no ASCII letter or digit, and no character is cut in two."""
    following = place.text[place.at : place.at + 1]
    return not following or not (following.isalnum() or 0x80 <= following[0] < 0xC0)


class KeepVerbatim:
    """A logits processor over a batch. Each row has its own passages; rows without any are left alone."""

    def __init__(self, known: Table, prompt_length: int, rows: Sequence[Rule | None]) -> None:
        self.known, self.seen = known, prompt_length
        self.rows = [_Row(row, known) if row else None for row in rows]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        new = input_ids[:, self.seen :].tolist()
        self.seen = input_ids.shape[1]
        for n, row in enumerate(self.rows):
            if row is None:
                continue
            for token in new[n]:
                row.push(self.known.pieces[token] if token < len(self.known.pieces) else None)
            if row.places is not None and (allowed := row.allowed()):
                at = torch.tensor(sorted(allowed), device=scores.device)
                kept = scores[n, at].clone()
                scores[n] = float("-inf")
                scores[n, at] = kept
        return scores
