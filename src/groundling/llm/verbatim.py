"""Quotes that cannot be invented: between the quote marks a local model may only write what stands in the passages.

While a quote is open, tokens that would leave every passage are ruled out. A quote starts where a sentence, a line or a table cell starts, ends
where one ends, and is followed by the number of a passage that really holds it. All else of the reply is free, but for its end: not straight
after a quote, not before an answer that was begun, not in the middle of a word that the answer takes from a passage. This works on the bytes
of tokens, so it needs a byte-level tokenizer (Llama 3, Qwen, GPT, nano); with others quotes are only checked afterwards.
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
_END = re.compile(r"[.!?;。！？…][\"”»’)\]*_`]*$")  # a sentence's end, with the marks that may follow it
_LONGEST_TOKEN = 32  # bytes
_LONGEST_SENTENCE = 400  # bytes; text without marks may be quoted up to any word's end from here on


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
        self.answer, self.passages = rule.answer, rule.texts
        self.said, self.quoted = b"", False  # what was written since the last quote, and whether there was one

    def push(self, piece: bytes | None) -> None:
        """Take in the token that was just written."""
        if self.places is None:
            self.said += piece or b""
            self.tail = (self.tail + (piece or b""))[-len(self.begin) - _LONGEST_TOKEN :]
            if self.tail.endswith(self.begin):
                self.places = self.starts
            return
        piece = piece or b""
        moved = [p._replace(at=p.at + len(piece)) for p in self.alternatives() if p.text[p.at : p.at + len(piece)] == piece]
        if not moved or any(p.closing and p.at == len(p.text) for p in moved):
            self.places, self.tail, self.said, self.quoted = None, b"", b"", True
        else:
            self.places = moved

    def alternatives(self) -> list[_Place]:
        """The places, and at each end of a word the way out of the quote."""
        found = list(self.places or [])
        quoted = {self.known.plain(p.text[: p.at]) for p in found if not p.closing and p.at and _ends(p, self.known)} - {b""}
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

    def half(self) -> bool:
        """Whether what was written last is only a part of a character."""
        return _half(self.said)

    def may_end(self) -> bool:
        """Whether the reply, which has no open quote, may end here."""
        if not self.answer or self.half():
            return not self.half()
        said = self.known.plain(self.said).decode(errors="replace")
        if self.answer not in said:
            return not self.quoted or bool(said.strip())
        answer = said.rpartition(self.answer)[2].strip()
        return bool(answer) and not self._within_a_word(answer)

    def _within_a_word(self, answer: str) -> bool:
        """Whether the answer stands in the passages, and a word goes on after it wherever it does."""
        following = [t[m.end() : m.end() + 1] for t in self.passages for m in re.finditer(re.escape(answer), t)]
        return bool(following) and _in_word(answer[-1]) and all(c and _in_word(c) for c in following)


def _in_word(character: str) -> bool:
    """A letter or digit of a script that writes spaces between words."""
    return character.isalnum() and not "\u3040" <= character <= "\u9fff"


def _half(text: bytes) -> bool:
    """Whether a text ends within a character of several bytes."""
    for n in range(1, min(4, len(text)) + 1):
        byte = text[-n]
        if byte < 0x80:
            return False
        if byte >= 0xC0:
            return n < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return False


def _ends(place: _Place, known: Table) -> bool:
    """Whether a sentence, a line or a cell ends here; in very long ones, whether a word does."""
    before, after = (known.plain(part).decode(errors="replace") for part in (place.text[: place.at], place.text[place.at :]))
    if not after or after[0] == "\n" or after.startswith(" |"):
        return not _half(place.text[: place.at])
    if _END.search(before) and (after[0].isspace() or before[-1] in "。！？"):
        return True
    return place.at > _LONGEST_SENTENCE and not _half(place.text[: place.at]) and not (_in_word(before[-1:]) and _in_word(after[0]))


class KeepVerbatim:
    """A logits processor over a batch. Each row has its own passages; rows without any are left alone. `end` is the token that ends a reply."""

    def __init__(self, known: Table, prompt_length: int, rows: Sequence[Rule | None], end: int) -> None:
        self.known, self.seen, self.end = known, prompt_length, end
        self.rows = [_Row(row, known) if row else None for row in rows]
        self.inner = [n for n, piece in enumerate(known.pieces) if piece and 0x80 <= piece[0] < 0xC0]  # begin within a character
        self.outer = [n for n, piece in enumerate(known.pieces) if not piece or not 0x80 <= piece[0] < 0xC0]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        new = input_ids[:, self.seen :].tolist()
        self.seen = input_ids.shape[1]
        for n, row in enumerate(self.rows):
            if row is None:
                continue
            for token in new[n]:
                row.push(self.known.pieces[token] if token < len(self.known.pieces) else None)
            self._bind(row, scores[n])
        return scores

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone: the others have ended."""
        self.rows = [self.rows[n] for n in rows]

    def _bind(self, row: _Row, scores: torch.Tensor) -> None:
        """Rule out, in place, what the row may not be followed by."""
        import torch

        if row.places is not None:
            if allowed := row.allowed():
                at = torch.tensor(sorted(allowed), device=scores.device)
                kept = scores[at].clone()
                scores[:] = float("-inf")
                scores[at] = kept
            return
        scores[self.outer if row.half() else self.inner] = float("-inf")
        if not row.may_end():
            scores[self.end] = float("-inf")
