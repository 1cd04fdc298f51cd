"""Examples as token ids, with the mask of what is trained: the assistant's turns and nothing else. Nothing is cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..config import Train
from ..errors import ModelError
from ..grounding import FORMATS, conversation
from ..llm.local import accepts_documents, load_tokenizer
from ..llm.weights import Weights
from ..records import Example, Record
from ..workspace import Output

TOO_LONG = "longer than train.max_length"


class Row(Record):
    """One example as tokens. `spans` are the half-open ranges of `ids` that are trained."""

    id: str
    ids: list[int]
    spans: list[tuple[int, int]]

    @property
    def trained(self) -> int:
        return sum(end - start for start, end in self.spans)

    def labels(self) -> list[int]:
        """The ids where they are trained, -100 elsewhere."""
        found = [-100] * len(self.ids)
        for start, end in self.spans:
            found[start:end] = self.ids[start:end]
        return found


class Rows(list[Any]):
    """The rows that are trained on; those that are only measured on are beside them, so that no objective trains on them by mistake."""

    held_out: Sequence[Any] = ()


def row_of(example: Example, fmt_name: str, tokenizer: Any, documents_role: bool) -> Row:
    """One example through the model's own chat template.

    Raises ModelError where the template renders a conversation so that its beginning is not a prefix of the whole: then it cannot be told
    which tokens are the answer's.
    """
    fmt = FORMATS[fmt_name]
    messages = conversation(fmt, example, documents_role)
    ids: list[int] = []
    spans = []
    for turn in fmt.target(example):
        before = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        messages = [*messages, {"role": "assistant", "content": turn}]
        after = tokenizer.apply_chat_template(messages, return_dict=False)
        if after[: len(before)] != before or before[: len(ids)] != ids:
            raise ModelError(
                "The chat template of the base model renders the prompt differently once an answer follows it, so the answer's tokens "
                "cannot be told apart. Use another base, or a template whose prompt is a prefix of the whole."
            )
        spans.append((len(before), len(after)))
        ids = after
    return Row(id=example.id, ids=ids, spans=spans)


def rows_of(examples: Iterable[Example], base: Weights, options: Train, out: Output) -> list[Row]:
    """All examples as rows; those over `options.max_length` tokens are dropped and counted."""
    tokenizer = load_tokenizer(base.outermost)
    role = accepts_documents(tokenizer)
    rows = []
    for example in examples:
        row = row_of(example, options.format, tokenizer, role)
        if len(row.ids) > options.max_length:
            out.drop(TOO_LONG, {"id": example.id, "tokens": len(row.ids)})
        else:
            rows.append(row)
    return rows
