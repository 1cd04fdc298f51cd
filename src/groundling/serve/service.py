"""What is served, and the one way in which server and terminal ask it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ..answer import Answerer, Asked, Search, passages_of, sources
from ..config import Serve
from ..errors import ModelError
from ..records import Answer, Chunk, Document, Hit, Source
from .text import numbered


class Service(NamedTuple):
    """Everything that serving needs, as values. `document` gives a document by its id, to show a passage in its context.

    `search` and `document` are called from worker threads.
    """

    name: str
    answerer: Answerer
    search: Search
    chunks: Mapping[str, Chunk]
    document: Callable[[str], Document | None]
    options: Serve


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
    hits = list(given) if given is not None else await asyncio.to_thread(service.search, question, service.options.k)
    longest = min(max_tokens or service.options.max_tokens, service.options.max_tokens)
    [answer] = await service.answerer.answers([Asked(question, passages_of(hits))], longest, retrieved=True)
    if answer.finish == "error":
        raise ModelError(f"The model {service.answerer.model.name} failed on this question. Ask again; if it stays, look at the terminal.")
    found = sources(answer, {hit.chunk.id: hit.chunk for hit in hits})
    return Told(answer, numbered(found), hits, answer.finish)
