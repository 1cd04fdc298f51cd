"""The web app: OpenAI's chat API, the passages behind its citations, and the chat page."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from .. import __version__
from ..errors import InputError, UserError
from ..records import Chunk
from . import wire
from .guard import Guard, is_local
from .service import Service, ask

LIMIT = 1_000_000  # bytes of a request's body
DRAIN = 16 * LIMIT  # so much of a longer body is read and thrown away, so that its sender gets to see the refusal
CONTEXT = 2_000  # characters shown before and after a passage


def create_app(service: Service) -> FastAPI:
    """The app that answers for a service. Questions run side by side; nothing is shared between them but the service."""
    app = FastAPI(title=service.name, version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, loopback=is_local(service.options.host))
    _errors(app)
    _routes(app, service)
    html, policy = page()

    @app.get("/")
    def chat_page() -> Response:
        return HTMLResponse(html, headers={"Content-Security-Policy": policy, "Cache-Control": "no-cache"})

    return app


def _routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        call = wire.read(await _body(request))
        told = await ask(service, call.question, call.given, call.max_tokens)
        if call.stream:
            return StreamingResponse(wire.events(service.name, told, call), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        return JSONResponse(wire.completion(service.name, told, call))

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": service.name, "object": "model", "created": 0, "owned_by": "groundling"}]}

    @app.get("/health")
    def health() -> dict[str, Any]:
        model = service.answerer.model.name
        return {"status": "ok", "name": service.name, "model": model, "passages": len(service.chunks), "version": __version__}

    @app.get("/v1/passages/{chunk_id:path}")
    def passage(chunk_id: str) -> dict[str, Any]:
        chunk = service.chunks.get(chunk_id)
        if chunk is None:
            raise HTTPException(404, f'There is no passage "{chunk_id}". Its document may have changed since: ask the question again.')
        return in_context(service, chunk)


def in_context(service: Service, chunk: Chunk) -> dict[str, Any]:
    """A chunk with the text around it: `document.text` starts at `document.offset`, so an offset `n` of the document is at `n - offset`.

    Where the document is gone, or no longer holds the chunk at its place, the text is the chunk's own.
    """
    document = service.document(chunk.document)
    whole = document is not None and document.text[chunk.start : chunk.end] == chunk.text
    offset = max(0, chunk.start - CONTEXT) if whole else chunk.start
    text = document.text[offset : chunk.end + CONTEXT] if whole else chunk.text
    return {
        "id": chunk.id, "title": chunk.title, "path": chunk.path, "page": chunk.page, "start": chunk.start, "end": chunk.end,
        "text": chunk.text,
        "document": {
            "id": chunk.document, "title": document.title if document else "", "offset": offset, "text": text,
            "length": len(document.text) if whole else None,
        },
    }  # fmt: skip


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size <= LIMIT:
            parts.append(part)
        elif size > DRAIN:
            break
    if size > LIMIT:
        raise HTTPException(413, f"The request is larger than {LIMIT:,} bytes. Send fewer or shorter documents.")
    return b"".join(parts)


def _errors(app: FastAPI) -> None:
    """Every error in OpenAI's shape. A fault of our own keeps its traceback: starlette raises it again after the reply."""

    @app.exception_handler(UserError)
    def user_error(request: Request, raised: UserError) -> Response:
        status = 400 if isinstance(raised, InputError) else 502
        return JSONResponse(wire.error(status, str(raised)), status)

    @app.exception_handler(HTTPException)
    def http_error(request: Request, raised: HTTPException) -> Response:
        path, status = request.url.path, raised.status_code
        ours = {"Not Found": f"There is nothing at {path}. The API is at /v1/chat/completions, the chat page at /.",
                "Method Not Allowed": f"{path} does not take {request.method}. Questions are posted to /v1/chat/completions."}  # fmt: skip
        return JSONResponse(wire.error(status, ours.get(raised.detail, raised.detail)), status, headers=raised.headers)

    @app.exception_handler(Exception)
    def fault(request: Request, raised: Exception) -> Response:
        return JSONResponse(wire.error(500, "The server failed on this request; its terminal shows where."), 500)


def page() -> tuple[str, str]:
    """The chat page, and the policy that lets exactly its own script and style run and reach nothing but this server."""
    html = files("groundling.serve").joinpath("page.html").read_text("utf-8")
    [style], [script] = (re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL) for tag in ("style", "script"))
    style_hash, script_hash = (base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in (style, script))
    policy = (
        f"default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return html, policy
