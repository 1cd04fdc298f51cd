"""Preferences as token ids: a prompt and two replies that share it, through the model's own chat template. Nothing is cut."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..config import Train
from ..grounding import FORMATS, conversation
from ..llm.branches import Branches, branches
from ..llm.local import accepts_documents, load_tokenizer
from ..llm.weights import Weights
from ..records import Pair, Record
from ..workspace import Output
from .tokens import TOO_LONG


class PairRow(Record):
    """One pair as tokens. Only the two replies are scored: the prompt, with the header of the reply, is what both are given."""

    id: str
    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    margin: float | None = None

    @property
    def ids(self) -> list[int]:
        """All tokens that a network reads where it reads the prompt once."""
        return self.prompt + self.chosen + self.rejected

    @property
    def trained(self) -> int:
        return len(self.chosen) + len(self.rejected)

    @property
    def longest(self) -> int:
        """The length of the longer conversation."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))

    def branches(self) -> Branches:
        return Branches(self.prompt, [self.chosen, self.rejected])


def pair_row(pair: Pair, fmt_name: str, tokenizer: Any, documents_role: bool) -> PairRow:
    """One pair through the chat template. Raises ModelError where the template does not keep the prompt as it was."""
    given = branches(tokenizer, conversation(FORMATS[fmt_name], pair, documents_role), [pair.chosen, pair.rejected])
    return PairRow(id=pair.id, prompt=given.prompt, chosen=given.replies[0], rejected=given.replies[1], margin=pair.margin)


def rows_of(pairs: Iterable[Pair], base: Weights, options: Train, out: Output) -> list[PairRow]:
    """All pairs as rows; those of which one side is over `options.max_length` tokens, and those with two like sides, are dropped and counted."""
    tokenizer = load_tokenizer(base.outermost)
    role = accepts_documents(tokenizer)
    rows = []
    for pair in pairs:
        row = pair_row(pair, options.format, tokenizer, role)
        if row.longest > options.max_length:
            out.drop(TOO_LONG, {"id": pair.id, "tokens": row.longest})
        elif row.chosen == row.rejected:
            out.drop("both replies are the same", {"id": pair.id})
        else:
            rows.append(row)
    return rows
