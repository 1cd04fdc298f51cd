"""The calls that batch mode makes. Each is repeated until it works, for half an hour; only making a batch is looked up before it is repeated."""

from __future__ import annotations

from .api import Api
from .base import Reply
from .batchwire import State, full, results, state
from .completions import Body, Damaged, Trouble
from .filehttp import PATIENCE, FileHttp, NotMade

__all__ = ["BatchHttp", "Full", "NotMade"]
_WAITS = (0.5, 30.0)  # seconds between tries: first, longest
_FETCHES = 3  # of a file with fewer results than the provider counts; after that, they are taken as missing


class Full(NotMade):
    """The provider refused the batch because too much is enqueued: it was certainly not made, and will be taken later."""


class BatchHttp(FileHttp):
    """Make, look, fetch."""

    def __init__(self, api: Api) -> None:
        super().__init__(api, _WAITS, PATIENCE)

    async def make(self, file: str) -> str:
        """Make a batch of a file; its id. Raises Full. Where the answer was lost, the batch is looked for before it is made again."""

        def check(got: Trouble) -> None:
            if got.kind in ("fatal", "refused") and full(got.code, got.reason):
                raise Full(got.reason)

        order = {"input_file_id": file, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        return await self.order("/batches", order, lambda: self.made_of(file), check)

    async def made_of(self, file: str) -> str | None:
        """The id of the batch that was made of a file, or None. Looks through the newest 2,000 batches."""
        return await self.find("/batches", lambda one: one.get("input_file_id") == file, "batches")

    async def state(self, batch: str) -> State:
        return await self._insist("GET", f"/batches/{batch}", read=state)

    async def results(self, batch: str, told: State, sent: dict[str, Body]) -> dict[str, Reply | Trouble]:
        """What a batch brought, by key: its file of results over its file of errors. A file that did not arrive whole is fetched again."""
        found: dict[str, Reply | Trouble] = {}
        tries = iter(range(_FETCHES))

        def whole(data: bytes) -> dict[str, Reply | Trouble]:
            lines = results(data, sent)
            if len(lines) < told.done and next(tries, None) is not None:
                raise Damaged(f"{len(lines)} of {told.done} results arrived")
            return lines

        if told.errors:
            found |= await self._insist("GET", f"/files/{told.errors}/content", read=lambda data: results(data, sent), raw=True)
        if told.output:
            found |= await self._insist("GET", f"/files/{told.output}/content", read=whole, raw=True)
        return found
