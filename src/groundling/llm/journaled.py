"""A model whose replies are remembered: what stands between whoever asks and whoever answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..interrupts import WAITING
from .base import Model, Reply, Request, call_key
from .journal import Journal, Origin
from .meter import Meter


class Journaled:
    """Implements `base.Model` around another model. Each reply is stored as it arrives; equal requests in flight are sent once.

    A model that says `batched` gets the missing requests of one call together, and gives them in `parts`; any other is asked for each by itself.
    """

    def __init__(self, model: Model, journal: Journal) -> None:
        self.inner, self.journal = model, journal
        self.asked = 0  # requests that the journal did not answer
        self.name, self.fingerprint, self.documents_role = model.name, model.fingerprint, model.documents_role
        self.fits = getattr(model, "fits", None)
        self.parallel: int = getattr(model, "parallel", 64)
        self.meter: Meter = getattr(model, "meter", None) or Meter()
        self.stopping: str = getattr(model, "stopping", WAITING)
        self._origin = Origin(model.name, bool(getattr(model, "paid", False)))
        self._usd = getattr(model, "usd", lambda reply: 0.0)

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        """Stored replies where there are any; the rest from the model, in the order of the requests."""
        keys = [call_key(self.fingerprint, request) for request in requests]
        known = self.journal.get_many(list(dict.fromkeys(keys)))
        self.meter.from_journal += len(known)
        missing = {key: request for key, request in zip(keys, requests, strict=True) if key not in known}
        self.asked += len(missing)
        if missing and getattr(self.inner, "batched", False):
            known |= await self._together(missing)
        elif missing:
            known |= await self._each(missing)
        return [known[key] for key in keys]

    async def _together(self, missing: dict[str, Request]) -> dict[str, Reply]:
        """Stored batch by batch, as the model generates them: what a kill costs is the batch under way."""
        keys, found = list(missing), {}
        async for part in self.inner.parts(list(missing.values())):
            new = {keys[n]: reply for n, reply in part.items()}
            self.journal.put({key: reply for key, reply in new.items() if reply.finish != "error"}, self._origin)  # a failed call is asked again
            found |= new
        return found

    async def _each(self, missing: dict[str, Request]) -> dict[str, Reply]:
        """At most `parallel` at once, so that a call with a million requests does not make a million tasks."""
        if len(missing) == 1:
            [(key, request)] = missing.items()
            return {key: await self._one(key, request)}
        found: dict[str, Reply] = {}
        rest = iter(missing.items())

        async def work() -> None:
            for key, request in rest:  # one that had to wait its turn may have been stored meanwhile, for another caller
                found[key] = self.journal.get(key) or await self._one(key, request)

        workers = [asyncio.ensure_future(work()) for _ in range(min(len(missing), self.parallel))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
        return found

    async def _one(self, key: str, request: Request) -> Reply:
        """Wait for the call of this key, which this or another caller began. Being cancelled ends the waiting, not the call: it is paid for."""
        flying = self.journal.in_flight
        call = flying.get(key)
        if call is None:
            call = flying[key] = asyncio.ensure_future(self._ask(key, request))
            call.add_done_callback(lambda done: self._over(key, done))
        return await asyncio.shield(call)

    def _over(self, key: str, call: asyncio.Task[Reply]) -> None:
        self.journal.in_flight.pop(key, None)
        if not call.cancelled():
            call.exception()  # read, or asyncio prints it where every caller was cancelled before the call failed

    async def _ask(self, key: str, request: Request) -> Reply:
        [reply] = await self.inner.replies([request])
        if reply.finish != "error":  # a failed call is asked again
            await self.journal.store(key, reply, self._origin, self._usd(reply))
        return reply

    def stop(self) -> None:
        """Send nothing more; what is in flight still comes and is stored. May be called from a signal's handler."""
        if hasattr(self.inner, "stop"):
            self.inner.stop()

    async def drain(self) -> None:
        """Send nothing more, wait until what is in flight has come and is stored, close the connections.

        Errors of calls that nobody waits for are dropped: the run is ending for another reason.
        """
        self.stop()
        while calls := list(self.journal.in_flight.values()):
            await asyncio.wait(calls)
            for call in calls:
                if not call.cancelled():
                    call.exception()  # read, so that asyncio does not complain that nobody did
            await asyncio.sleep(0)
        await self.journal.settled()
        if hasattr(self.inner, "close"):
            await self.inner.close()
