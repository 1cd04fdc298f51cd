"""Retrieve, ask, cite: the one path that evaluation, serving and chat all take."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from .choosing import Asking, choose
from .grounding import ABSTAIN, Format, Message, language
from .llm.base import Model, Reply, Request, Verbatim
from .records import Answer, Chunk, Hit, Passage, Source

Search = Callable[[str, int], list[Hit]]
Prompt = Callable[[str, Sequence[Passage]], list[Message]]


class Asked(NamedTuple):
    """A question with the passages it is to be answered from."""

    question: str
    passages: list[Passage]


def passages_of(hits: Sequence[Hit]) -> list[Passage]:
    """Hits as a prompt shows them, in the retriever's order."""
    return [Passage(id=h.chunk.id, title=h.chunk.title, text=h.chunk.text) for h in hits]


class Answerer:
    """Asks one model in one format. `prompt` replaces the format's own first messages (evaluation tries several on a base model)."""

    def __init__(self, model: Model, fmt: Format, prompt: Prompt | None = None, max_tokens: int = 256) -> None:
        self.model, self.format, self.max_tokens = model, fmt, max_tokens
        self._prompt = prompt or (lambda question, passages: fmt.prompt(question, passages, model.documents_role))

    def request(self, asked: Asked, turns: Sequence[str] = (), max_tokens: int | None = None) -> Request:
        """The call for the next assistant turn, after the given earlier ones."""
        said = [{"role": "assistant", "content": t} for t in turns]
        marks = self.format.quote_marks
        rule = None
        if marks and asked.passages:
            rule = Verbatim(begin=marks[0], end=marks[1], texts=[p.text for p in asked.passages], answer=getattr(self.format, "answer", ""))
        messages = [*self._prompt(asked.question, asked.passages), *said]
        return Request(messages=messages, max_tokens=max_tokens or self.max_tokens, task="answer", verbatim=rule)

    async def answers(self, asked: Sequence[Asked], max_tokens: int | None = None, retrieved: bool = False) -> list[Answer]:
        """Answers in the order asked. All first turns are sent together, then all second ones where the format has two.

        Where passages were `retrieved` and none was found, the model is not asked: nothing could be cited, so the answer is an abstention.
        Passages that do not fit into the model's context are left out from the end, and counted in the answer. In the format `labels` they are the
        labels: none is ever left out, and the answer is always one of them.
        """
        if self.format.name == "labels":
            return await self._chosen(asked)
        asking = [n for n, one in enumerate(asked) if one.passages or not retrieved]
        shown = {n: self._fitting(asked[n], max_tokens) for n in asking}
        turns: dict[int, list[str]] = {n: [] for n in asking}
        counted: dict[int, list[Reply]] = {n: [] for n in asking}
        for _ in range(self.format.turns):
            replies = await self.model.replies([self.request(shown[n], turns[n], max_tokens) for n in asking])
            for n, reply in zip(asking, replies, strict=True):
                turns[n].append(reply.text)
                counted[n].append(reply)
        found = []
        for n, one in enumerate(asked):
            if n in shown:
                left = len(one.passages) - len(shown[n].passages)
                found.append(self.read(shown[n], turns[n], counted[n], left))
            else:
                found.append(nothing_found(one.question))
        return found

    async def _chosen(self, asked: Sequence[Asked]) -> list[Answer]:
        """For each text the label that the model chooses; a text that cannot be asked about has ended in an error."""
        found = []
        prompts = [Asking(self._prompt(one.question, one.passages), [p.title for p in one.passages]) for one in asked]
        for one, made in zip(asked, await choose(self.model, prompts), strict=True):
            answer = self.read(one, [made.label])
            found.append(msgspec.structs.replace(answer, finish="error") if made.fault else answer)
        return found

    def _fitting(self, asked: Asked, max_tokens: int | None) -> Asked:
        """The question with as many of its first passages as the model's context holds, one at least."""
        fits = getattr(self.model, "fits", None)
        while fits and len(asked.passages) > 1 and not fits(self.request(asked, (), max_tokens)):
            asked = asked._replace(passages=asked.passages[:-1])
        return asked

    def read(self, asked: Asked, turns: list[str], replies: Sequence[Reply] = (), left_out: int = 0) -> Answer:
        """The answer that stands in the reply's turns."""
        reading = self.format.read(turns, asked.passages)
        return Answer(
            question=asked.question, passages=asked.passages, turns=turns, text=reading.text, abstained=reading.abstained,
            quotes=reading.quotes, citations=[] if reading.abstained else reading.citations, invalid=reading.invalid,
            tokens_in=sum(r.tokens_in for r in replies), tokens_out=sum(r.tokens_out for r in replies),
            finish=_worst([r.finish for r in replies]), left_out=left_out,
        )  # fmt: skip


def nothing_found(question: str) -> Answer:
    """The abstention where search found no passage."""
    said = ABSTAIN[language(question)]
    return Answer(question=question, passages=[], turns=[said], text=said, abstained=True, quotes=[], citations=[])


def _worst(finishes: Sequence[str]) -> str:
    return next((f for f in ("error", "length") if f in finishes), "stop")


def find(quote: str, text: str) -> tuple[int, int] | None:
    """Where a quote stands in a text: exactly, or with other white space. None where it does not."""
    quote = quote.strip()
    if not quote:
        return None
    at = text.find(quote)
    if at >= 0:
        return at, at + len(quote)
    found = re.search(r"\s+".join(re.escape(word) for word in quote.split()), text)
    return found.span() if found else None


def sources(answer: Answer, chunks: Mapping[str, Chunk]) -> list[Source]:
    """The cited passages, once each, with the span of each verbatim quote in its document; a quote that is not verbatim gets no span."""
    found = []
    for number in answer.citations:
        chunk = chunks.get(answer.passages[number].id)
        if chunk is None:
            continue
        common = {
            "number": number, "chunk": chunk.id, "document": chunk.document, "path": chunk.path, "title": chunk.title, "page": chunk.page,
        }  # fmt: skip
        spans = [(q.text, find(q.text, chunk.text)) for q in answer.quotes if q.passage == number]
        verbatim = [(text, span) for text, span in spans if span]
        if not verbatim:
            found.append(Source(**common))
        for text, (start, end) in verbatim:
            found.append(Source(**common, quote=text, start=chunk.start + start, end=chunk.start + end))
    return found
