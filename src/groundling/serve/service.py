"""What is served, and the one way in which server and terminal ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..agent import Agent
from ..answer import Answerer, Asked, Search, passages_of, sources
from ..config import Serve
from ..errors import ModelError
from ..records import Answer, Chunk, Document, Hit, Passage, Source
from .text import numbered


class Service(NamedTuple):
    """Everything that serving needs, as values. `document` gives a document by its id, to show a passage in its context.

    `search` and `document` are called from worker threads. An `agent`, where there is one, searches and answers in the place of both.
    """

    name: str
    answerer: Answerer
    search: Search
    chunks: Mapping[str, Chunk]
    document: Callable[[str], Document | None]
    options: Serve
    agent: Agent | None = None


class Told(NamedTuple):
    """An answer with its sources, numbered from 1, and the hits that it was made from. `finish` is `stop` or `length`."""

    answer: Answer
    sources: list[Source]
    hits: list[Hit]
    finish: str = "stop"


async def ask(service: Service, question: str, given: Sequence[Hit] | None = None, max_tokens: int | None = None) -> Told:
    """Answer a question from the `given` passages, else from the `k` that search finds.

    Where there is no passage at all, the model is not asked: nothing could be cited, so the answer is that the documents do not hold it.
    `max_tokens` can shorten the longest reply of the options, never lengthen it. Raises ModelError where the model failed.
    """
    if service.agent is not None:
        return await _walked(service.agent, service, question, given)
    hits = list(given) if given is not None else await asyncio.to_thread(service.search, question, service.options.k)
    longest = min(max_tokens or service.options.max_tokens, service.options.max_tokens)
    [answer] = await service.answerer.answers([Asked(question, passages_of(hits))], longest, retrieved=True)
    if answer.finish == "error":
        raise ModelError(f"The model {service.answerer.model.name} failed on this question. Ask again; if it stays, look at the terminal.")
    found = sources(answer, {hit.chunk.id: hit.chunk for hit in hits})
    return Told(answer, numbered(found), hits, answer.finish)


async def _walked(agent: Agent, service: Service, question: str, given: Sequence[Hit] | None) -> Told:
    """What the agent answers. Among given passages it finds all of them, whatever it searches for."""
    known = {hit.chunk.id: hit.chunk for hit in given} if given is not None else service.chunks
    if given is not None:
        passages = passages_of(given)

        async def among(query: str, count: int) -> Sequence[Passage]:
            return passages

        agent = agent.searching(among, len(passages))
    walked = await agent.ask(question)
    if walked.outcome == "failed":
        raise ModelError(f"The agent came to no answer ({walked.fault}). Ask in other words; if it stays, its model needs more training.")
    hits = [Hit(chunk=known[p.id], score=0.0) for p in walked.passages if p.id in known]
    return Told(walked.told, numbered(sources(walked.told, known)), hits)
