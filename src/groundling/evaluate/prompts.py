"""The three ways in which the base model is asked. The best of them is what the trained model is compared with.

A base model asked only in a format that it was never taught is a straw man. So a trial on some questions decides between the format's own
prompt, a plain instruction that any chat model understands, and the format's own with two worked examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..answer import Prompt
from ..grounding import ABSTAIN, FORMATS, Format, Message, numbered
from ..records import Example, Passage
from ..sections import GROUNDED

PLAIN = """Read the numbered passages and answer the question from them alone.

Reply in exactly this form, on two lines:
##begin_quote##the sentence that holds the answer, copied word for word##end_quote## [number of its passage]
<ANSWER>: the answer, as short as possible

If no passage holds the answer, reply with this one line:
<ANSWER>: {abstain}"""

PLAIN_LABELS = """Which of these labels fits the text best? Reply with the label alone, word for word.

{labels}

Text:
{text}"""
SHOTS = 8  # worked examples of labels, at most: one for each


class Candidate(NamedTuple):
    """One way to ask: the prompt, and the format that reads its replies."""

    name: str
    format: Format
    prompt: Prompt


def own(fmt: Format, documents_role: bool = False) -> Prompt:
    """The format's own messages."""
    return lambda question, passages: fmt.prompt(question, passages, documents_role)


def plain(question: str, passages: Sequence[Passage]) -> list[Message]:
    """One user message that any chat model understands. Its replies are read as the format `raft`."""
    shown = f"Passages:\n\n{numbered(passages)}" if passages else "Passages: none."
    return [{"role": "user", "content": f"{PLAIN.format(abstain=ABSTAIN['en'])}\n\n{shown}\n\nQuestion: {question}"}]


def plain_labels(text: str, labels: Sequence[Passage]) -> list[Message]:
    """One user message that any chat model understands, with all labels."""
    listed = "\n".join(f"{p.title}: {p.text}" if p.text else p.title for p in labels)
    return [{"role": "user", "content": PLAIN_LABELS.format(labels=listed, text=text)}]


def worked_labels(examples: Sequence[Example]) -> list[Example]:
    """The shortest training example of each label, of SHOTS labels at most, the shortest of all first."""
    found: dict[str, Example] = {}
    for e in sorted((e for e in examples if e.split == "train"), key=lambda e: (len(e.question), e.id)):
        found.setdefault(e.answer, e)
    return list(found.values())[:SHOTS]


def few_shot_labels(fmt: Format, examples: Sequence[Example]) -> Prompt:
    """The format's own messages, with worked texts and their labels between the list of labels and the text."""
    before = "".join(f"Text: {e.question}\n\nLabel: {e.answer}\n\n" for e in examples)

    def prompt(text: str, labels: Sequence[Passage]) -> list[Message]:
        *first, last = fmt.prompt(text, labels)
        listed, mark, rest = last["content"].partition(f"Text: {text}\n\nLabel:")
        return [*first, {**last, "content": f"{listed}{before}{mark}{rest}"}]

    return prompt


def worked(examples: Sequence[Example]) -> list[Example]:
    """The shortest cited and the shortest abstaining training example, in this order, where there are such. None from within a conversation."""
    train = [e for e in examples if e.split == "train" and not e.history]
    chosen = []
    for support in ("cited", "abstain"):
        of_kind = [e for e in train if e.support == support]
        chosen += sorted(of_kind, key=lambda e: (len(e.question) + sum(len(p.title) + len(p.text) for p in e.passages), e.id))[:1]
    return chosen


def few_shot(fmt: Format, examples: Sequence[Example], documents_role: bool = False) -> Prompt:
    """The format's own messages after worked examples. The system message is said once."""
    before: list[Message] = []
    for example in examples:
        before += [m for m in fmt.prompt(example.question, example.passages, documents_role) if m["role"] != "system"]
        before += [{"role": "assistant", "content": turn} for turn in fmt.target(example)]

    def prompt(question: str, passages: Sequence[Passage]) -> list[Message]:
        messages = fmt.prompt(question, passages, documents_role)
        system = [m for m in messages if m["role"] == "system"]
        return [*system, *before, *(m for m in messages if m["role"] != "system")]

    return prompt


def candidates(fmt: Format, examples: Sequence[Example], documents_role: bool = False) -> list[Candidate]:
    """The ways to ask, in the order in which ties are broken. Without training examples there are no worked ones."""
    found = [Candidate("own", fmt, own(fmt, documents_role))]
    if fmt.name == "labels":
        found.append(Candidate("plain", fmt, plain_labels))
        labelled = worked_labels(examples)
        return [*found, Candidate("few-shot", fmt, few_shot_labels(fmt, labelled))] if labelled else found
    if fmt.name in GROUNDED:
        found.append(Candidate("plain", FORMATS["raft"], plain))
    shots = worked(examples)
    return [*found, Candidate("few-shot", fmt, few_shot(fmt, shots, documents_role))] if shots else found
