"""Label scoring: the right label becomes likelier than the others as the whole reply, which is just how a label is chosen later.

Each label of an example (format `labels`: its passages' titles) is scored as the reply to the prompt: the sum of the log-probabilities of its tokens,
end token included, so that a label that begins like another is not ahead of it. The loss is the cross-entropy over these scores: no probability is
spent on replies that are no label, and at inference (`Local.scores`) none can come out. One pass reads the prompt once for all labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...config import Train
from ...grounding import FORMATS, conversation
from ...llm.branches import Branches, branches, totals
from ...llm.local import accepts_documents, load_tokenizer
from ...llm.weights import Weights
from ...panel import Watch
from ...records import Example, Record
from ...workspace import Output
from ..options import Needs
from ..scoring import Job, Measured, Step, optimise
from ..tokens import TOO_LONG

if TYPE_CHECKING:
    import torch

FORMAT = "labels"
NEEDS = Needs(together=True, still=True, turns=False, format=FORMAT)


class LabelRow(Record):
    """One example as tokens: a prompt, every label as a reply to it, and which of them is right."""

    id: str
    prompt: list[int]
    labels: list[list[int]]
    answer: int

    @property
    def ids(self) -> list[int]:
        """All tokens that a network reads where it reads the prompt once."""
        return self.prompt + [token for label in self.labels for token in label]

    @property
    def trained(self) -> int:
        return sum(map(len, self.labels))

    @property
    def longest(self) -> int:
        """The length of the conversation that ends with the longest label."""
        return len(self.prompt) + max(map(len, self.labels))

    def branches(self) -> Branches:
        return Branches(self.prompt, self.labels)


def unfit(example: Example) -> str:
    """Why nothing can be learnt from an example; "" where something can."""
    titles = [passage.title for passage in example.passages]
    if len(titles) < 2:
        return "fewer than two labels to choose from"
    if len(set(titles)) < len(titles):
        return "a label comes twice"
    return "" if example.answer in titles else "its answer is none of its labels"


def label_row(example: Example, tokenizer: Any, documents_role: bool) -> LabelRow:
    """One fit example through the chat template."""
    titles = [passage.title for passage in example.passages]
    given = branches(tokenizer, conversation(FORMATS[FORMAT], example, documents_role), titles)
    return LabelRow(id=example.id, prompt=given.prompt, labels=given.replies, answer=titles.index(example.answer))


def rows_of(examples: Iterable[Example], base: Weights, options: Train, out: Output) -> list[LabelRow]:
    """All examples as rows. Those that are unfit, or over `options.max_length` tokens with their longest label, are dropped and counted."""
    tokenizer = load_tokenizer(base.outermost)
    role = accepts_documents(tokenizer)
    rows = []
    for example in examples:
        if reason := unfit(example):
            out.drop(reason, {"id": example.id, "answer": example.answer})
            continue
        row = label_row(example, tokenizer, role)
        if row.longest > options.max_length:
            out.drop(TOO_LONG, {"id": example.id, "tokens": row.longest})
        else:
            rows.append(row)
    return rows


def answers(rows: Sequence[LabelRow]) -> dict[str, Any]:
    """What a batch needs beside its tokens: how many labels each row has, and the number of the right one."""
    import torch

    return {"labels_of": torch.tensor([len(row.labels) for row in rows]), "answer": torch.tensor([row.answer for row in rows])}


def cross_entropies(scores: torch.Tensor, sizes: torch.Tensor, answer: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each row the cross-entropy over its labels' scores, and whether the right one is the highest. Rows may have other numbers of labels."""
    import torch

    rows = scores.split(sizes.tolist())
    losses = [-row.log_softmax(0)[right] for row, right in zip(rows, answer, strict=True)]
    return torch.stack(losses), torch.stack([row.argmax() == right for row, right in zip(rows, answer, strict=True)])


def loss(now: Step) -> Measured:
    """The loss of a batch at a step."""
    sizes = now.batch["labels_of"]
    scores = totals(now.values, now.batch["owner"], int(sizes.sum()))
    losses, right = cross_entropies(scores, sizes, now.batch["answer"])
    return Measured(losses.mean(), {"right": right.float().mean()})


def run(rows: Sequence[LabelRow], base: Weights, options: Train, seed: int, folder: Path, watch: Watch) -> list[dict[str, float]]:
    """Train, or go on from the last whole checkpoint; the weights and the tokenizer are saved into `folder`. Returns the log of losses."""
    return optimise(Job(rows, base, options, seed, folder, watch), loss, answers)
