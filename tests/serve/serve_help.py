"""A service over two real documents with a scripted model, and a client that asks over real HTTP."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import NamedTuple

from groundling.answer import Answerer
from groundling.config import Serve
from groundling.grounding import FORMATS
from groundling.llm.base import Reply
from groundling.records import Chunk, Document, Hit
from groundling.serve.service import Service

LEAVE = "Chapter 1 🌱\n\nStaff have 25 days\nof leave a year. Unused days end in March.\n\nChapter 2\n\nThe office closes at six."
QUOTE = "Staff have 25 days\nof leave a year."


class Scripted:
    """Replies by a word of the question; counts how many questions it works on at once."""

    name, fingerprint, documents_role = "scripted", "scripted:1", False

    def __init__(self, script: dict[str, str | Exception], delay: float = 0.0) -> None:
        self.script, self.delay, self.requests, self.running, self.most = script, delay, [], 0, 0

    async def replies(self, requests):
        self.requests += requests
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(self.delay)
        self.running -= 1
        return [self._reply(r) for r in requests]

    def _reply(self, request):
        question = request.messages[-1]["content"].rsplit("Question: ", 1)[-1]
        text = next((text for word, text in self.script.items() if word in question), "<ANSWER>: Not in the documents.")
        if isinstance(text, Exception):
            raise text
        cut = len(text.split()) > request.max_tokens
        return Reply(text=text, tokens_in=7, tokens_out=len(text.split()), finish="length" if cut else "stop")


def chunk_of(document: Document, text: str, name: str, page: int | None = None) -> Chunk:
    start = document.text.index(text)
    title = f"{document.title} › {name}"
    return Chunk(id=f"{document.id}/{name}", document=document.id, path=document.path, title=title, text=text, start=start,
                 end=start + len(text), page=page)  # fmt: skip


def make_service(script: dict[str, str | Exception], delay: float = 0.0, **options) -> Service:
    """A service whose search finds the passages in the order of the documents, and nothing where the question says "nothing"."""
    long = Document(id="d2", path="office/<b>rules</b>.txt", title="Rules", text="x" * 5000 + "The door code is 1234." + "y" * 5000)
    documents = {"d1": Document(id="d1", path="leave.pdf", title="Leave", text=LEAVE), "d2": long}
    first = chunk_of(documents["d1"], QUOTE + " Unused days end in March.", "days", page=1)
    all_chunks = [
        first,
        chunk_of(documents["d1"], "The office closes at six.", "hours", page=2),
        chunk_of(long, "The door code is 1234.", "door"),
    ]
    hits = [Hit(chunk=c, score=3.0 - n) for n, c in enumerate(all_chunks)]
    answerer = Answerer(Scripted(script, delay), FORMATS["raft"])
    settings = Serve(port=0, **options)
    return Service("handbook", answerer, lambda q, k: [] if "nothing" in q else hits[:k], {c.id: c for c in all_chunks}, documents.get, settings)


class Heard(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self):
        return json.loads(self.text)


class Client:
    """HTTP without a proxy, against the server of one test."""

    def __init__(self, port: int) -> None:
        self.port, self.opener = port, urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __call__(self, path: str, body=None, **headers: str) -> Heard:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with self.opener.open(request, timeout=20) as reply:
                return Heard(reply.status, dict(reply.headers), reply.read().decode())
        except urllib.error.HTTPError as error:
            return Heard(error.code, dict(error.headers), error.read().decode())

    def ask(self, question: str, **more) -> Heard:
        return self("/v1/chat/completions", {"messages": [{"role": "user", "content": question}], **more})
