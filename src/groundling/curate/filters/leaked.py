"""Drops what the evaluation asks: the same question, a near one, or a run of words in common with a question or an answer of it.
For: always; without it, scores measure memory. Options: near, ngram, passages.

The evaluation is the file of questions; where there is none, the held-out examples that cite; of formats that are not grounded (labels, backward,
instruct, step) the file and all held-out examples. Where held-out examples are asked, only training examples are judged. A near question that
names other numbers is another question. Runs of words are those of published decontaminations (13 words, arXiv 2005.14165); in Japanese, Chinese
and Korean twice as many characters. Passages may be shared: the documents are the same, only the questions are secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace
from pydantic import Field

from ...agent.steps import STEPS, bare
from ...choosing import is_choice
from ...options import Options as Base
from ...records import Example, Pair
from .. import Context
from ..asexample import answer_of
from ..likeness import Alike
from ..words import CJK, normal, numbers, words

READS = (Example, Pair)


class Options(Base):
    near: float = Field(0.8, ge=0, le=1)  # share of runs in common from which two questions are the same; 0: only equal ones are
    ngram: int = Field(13, ge=0)  # words in a row that must not be those of an evaluation's question or answer; 0: not looked at
    passages: bool = False  # also drop what shows the passage that answers an evaluation's question


def _evaluation(examples: Sequence[Example], context: Context) -> tuple[list[str], list[str], list[str]]:
    """The evaluation's questions, answers and passages."""
    asked = context.questions
    held: list[Example] = []
    if context.held_out or not asked:
        held = [e for e in examples if e.split == "held_out" and (e.support == "cited" or context.held_out or is_choice(e))]
    shown = [passage.text for e in held for n, passage in enumerate(e.passages) if n == e.oracle] + [q.passage for q in asked if q.passage]
    return [e.question for e in held] + [q.question for q in asked], [e.answer for e in held] + [a for q in asked for a in q.answers], shown


class _Runs:
    """Runs of words of the evaluation's texts."""

    def __init__(self, texts: Iterable[str], size: int) -> None:
        self._found: dict[int, set[int]] = {}
        for text in texts if size else ():
            window = 2 * size if 2 * len(CJK.findall(text)) > len(words(text)) else size
            self._found.setdefault(window, set()).update(self._of(text, window))

    @staticmethod
    def _of(text: str, window: int) -> set[int]:
        found = words(text)
        return {hash(tuple(found[n : n + window])) for n in range(len(found) - window + 1)}

    def meet(self, text: str) -> bool:
        return any(not known.isdisjoint(self._of(text, window)) for window, known in self._found.items())


def _near(examples: Sequence[Example], asked: list[str], threshold: float) -> list[bool]:
    """For each example, whether its question is nearly one of those asked."""
    texts = asked + [e.question for e in examples]
    alike = Alike(texts, [numbers(text) for text in texts], threshold)
    for n in range(len(asked)):
        alike.add(n)
    return [alike.near(n) is not None for n in range(len(asked), len(texts))]


def _bare(e: Example) -> Example:
    """An agent's step as the question that it works on and what it says of its own: its prompt shows passages, which may be shared."""
    if e.kind not in STEPS or e.support != "memory":
        return e
    question, answer = bare(e.question, e.answer)
    return replace(e, question=question, answer=answer)


def sift(examples: Sequence[Example], context: Context, options: Options) -> list[str | None]:
    """For each example the reason it is dropped, or None."""
    examples = [_bare(e) for e in examples]
    asked, answers, shown = _evaluation(examples, context)
    exact, runs = {normal(q) for q in asked} - {""}, _Runs([*asked, *answers], options.ngram)
    secret = {normal(p) for p in shown} - {""} if options.passages else set()
    near = _near(examples, asked, options.near) if options.near else [False] * len(examples)
    shows: dict[str, bool] = {}  # by passage: each stands in many examples

    def shows_secret(text: str) -> bool:
        if text not in shows:
            plain = normal(text)
            shows[text] = any(p in plain for p in secret)
        return shows[text]

    def reason(e: Example, alike: bool) -> str | None:
        if e.split == "held_out" and (context.held_out or not context.questions):
            return None
        texts = [t for turn in e.history for t in (turn.question, turn.answer)] + [e.question, e.answer]
        if not exact.isdisjoint(normal(text) for text in texts[::2]):
            return "asked in the evaluation"
        if alike:
            return "nearly asked in the evaluation"
        if any(runs.meet(text) for text in texts):
            return "words of the evaluation"
        return "passage of the evaluation" if secret and any(shows_secret(p.text) for p in e.passages) else None

    return [reason(e, alike) for e, alike in zip(examples, near, strict=True)]


def pairs(found: Sequence[Pair], context: Context, options: Options) -> list[str | None]:
    """The same for preference pairs: the question and the chosen answer, without the quotes before it, as these are the documents' own words."""
    return sift([answer_of(pair) for pair in found], context, options)
