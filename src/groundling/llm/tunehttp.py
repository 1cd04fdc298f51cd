"""The calls that a fine-tuning job takes. Each is repeated until it works; only making a job is looked up before it is repeated."""

from __future__ import annotations

from typing import Any

from .completions import Damaged
from .filehttp import FileHttp
from .tunewire import Checkpoint, State, Step, checkpoints, newest, state

_JOBS = "/fine_tuning/jobs"
ABSENT = (404, 405, 501)  # a provider that has no such list


class TuneHttp(FileHttp):
    """Make, look, cancel, fetch."""

    async def make(self, order: dict[str, Any]) -> str:
        """Make a job; its id. Raises NotMade. Where the answer was lost, the job is looked for before it is made again."""
        return await self.order(_JOBS, order, lambda: self.made_of(order["training_file"]))

    async def made_of(self, file: str) -> str | None:
        """The id of the job that was made of an uploaded file, or None: each upload has an id of its own."""
        return await self.find(_JOBS, lambda one: one.get("training_file") == file, "fine-tuning jobs")

    async def state(self, job: str) -> State | None:
        """How a job stands; None where the provider does not know it."""
        return await self._insist("GET", f"{_JOBS}/{job}", read=state, absent=(404,))

    async def cancel(self, job: str) -> State | None:
        """The state after it was asked to end; one that has ended already stays as it is. None where the provider does not know it."""
        await self._insist("POST", f"{_JOBS}/{job}/cancel", lambda: b"", absent=(400, 404, 409))
        return await self.state(job)

    async def progress(self, job: str) -> Step | None:
        """How far a job is; None where the provider does not say."""
        return newest(await self._there(f"{_JOBS}/{job}/events?limit=10"))

    async def checkpoints(self, job: str) -> list[Checkpoint]:
        return checkpoints(await self._there(f"{_JOBS}/{job}/checkpoints?limit=100"))

    async def content(self, file: str) -> bytes:
        """A file of results."""

        def whole(data: bytes) -> bytes:
            if not data.strip():
                raise Damaged("an empty file of results")
            return data

        return await self._insist("GET", f"/files/{file}/content", read=whole, raw=True)

    async def _there(self, path: str) -> Any:
        """What a list says; None where there is no such list."""
        return await self._insist("GET", path, absent=ABSENT)
