"""A provider's batch mode behind the same interface: requests that wait at the same time go up in one file, and are awaited for hours if need be.

Nothing is paid for twice. A batch is written down before it is made (see `batchstore`); a run that was killed finds its batches again and goes on
waiting for them, and what a batch brought is stored before anybody gets it. Lines that failed, expired or are missing go into a later batch.
The fingerprint is that of the endpoint without batch mode, so a journal serves both.

`open.teacher` gives a `Batch` for an endpoint with `batch: true`; `open.remembered` tells it the journal's `folder`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from ..config import Endpoint
from ..errors import BudgetError, ModelError
from ..panel import span
from .api import Api
from .base import Reply, Request, call_key
from .batchhttp import BatchHttp, Full, NotMade
from .batchprogress import Progress
from .batchqueue import Queue, Waiting
from .batchroom import Place, Room
from .batchstore import NAME, BatchStore, Open
from .batchwire import ENDED, MAX_BYTES, MAX_LINES, Line, parts
from .budget import Budget, Cost
from .completions import Trouble, body
from .gate import Stopped

POLL = (2.0, 60.0)  # seconds between looks at a batch: first, and later
ROUNDS = 4  # batches that a request may be in before it counts as failed


class Batch(Api):
    """Implements `base.Model`. As many requests as there are may wait at once: `parallel` is the size of a file."""

    stopping = "no batch is waited for"

    def __init__(self, name: str, endpoint: Endpoint, budget: Budget | None = None, say: Callable[[str], None] | None = None) -> None:
        super().__init__(name, endpoint, budget, say)
        self.folder: Path | None = None
        self.parallel, self.poll, self.most = MAX_LINES, POLL, (MAX_LINES, MAX_BYTES)
        self.calls, self.queue = BatchHttp(self), Queue(self._submit, self._broken)
        self._store: BatchStore | None = None
        self._waiting: dict[str, Waiting] = {}
        self._under_way: dict[str, int] = {}  # key -> number of its batch
        self._tasks: set[asyncio.Task[None]] = set()
        self.room = Room()
        self.progress = Progress(self.queue.__len__, held=self.room.standing)
        self.meter.standing = self.progress.standing

    async def reply(self, request: Request) -> Reply:
        """One reply, whenever its batch is done; `finish` is `error` where it failed in four batches.

        Raises as `Api.reply` does; ModelError also where the provider refuses the batch.
        """
        if self.gate.stopping:
            raise Stopped
        store, key = self._opened(), call_key(self.fingerprint, request)
        one = self._waiting.get(key)
        if one is None:
            if known := store.result(key):
                self.meter.answered(*self._cost(known.tokens_in, known.tokens_out))  # its batch was settled when it came
                return known
            one = self._waiting[key] = Waiting(key, request, self._line(key, request))
            if key not in self._under_way:
                self.queue.add(one)
        return await asyncio.shield(one.future)

    def stop(self) -> None:
        """Wait no longer. Batches go on at the provider; the next run fetches what they brought."""
        super().stop()
        if self._under_way and self._tasks:
            self.say(f"  {len(self._under_way)} requests are in batches at {self.name}. The same command later fetches their replies.")
        self.queue.clear()
        for task in self._tasks:
            task.cancel()
        self._broken(list(self._waiting), Stopped())

    async def close(self) -> None:
        """Close the connections and the store."""
        self.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await super().close()
        if self._store:
            self._store.close()
            self._store = None

    def _opened(self) -> BatchStore:
        """The store; opened first, it starts to wait for the batches that earlier runs left."""
        if self._store is None:
            if self.folder is None:
                raise ModelError(f"models.{self.name}: batch mode needs a run folder to keep its batches in.")
            self._store = BatchStore(self.folder / NAME)
            for left in self._store.open(self.fingerprint):
                self._under_way |= dict.fromkeys(left.keys, left.number)
                if self.budget:  # what they may cost is set aside again, over the limit too: it is under way
                    self.budget.settle(Cost(*(-n for n in left.worst)), Cost())
                place = self.room.enter(left.worst.tokens_in)
                self._start(self._go_on(left, place), left.keys, place)
        return self._store

    def _start(self, work: Coroutine[Any, Any, None], keys: list[str], place: Place) -> None:
        """A task for a batch; what stops it stops whoever waits for one of its keys."""

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            self.room.leave(place)
            if task.cancelled():
                return
            if error := task.exception():
                self._broken(keys, error)

        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(ended)

    def _cost(self, tokens_in: int, tokens_out: int) -> Cost:
        whole = super()._cost(tokens_in, tokens_out)
        return whole._replace(usd=whole.usd * self.endpoint.batch_price)

    def _line(self, key: str, request: Request) -> Line:
        return Line(key, body(request, self.endpoint, self._native is not False))

    async def _submit(self, waiting: list[Waiting]) -> int:
        """Start batches of as many as the provider and the budget allow now, from the first on; how many.

        Raises BudgetError where nothing fits any more, ModelError where the provider has had no room for too long.
        """
        if self.room.hopeless:
            why = f"for {span(self.room.patience)} its batch queue has had no room for as much as one request."
            raise self._error(Trouble("fatal", why), "If other batches of the account fill it, give the same command again when they have ended.")
        chosen: list[Waiting] = []
        room = self.room.free()
        for one in waiting:
            if not room or (chosen and one.line.body.most_in > room):
                break
            room = max(1, room - one.line.body.most_in)
            one.held = self._cost(one.line.body.most_in, one.line.body.most_out)
            try:
                if not await self._reserve(one.held):
                    break
            except BudgetError:
                if chosen or self._tasks:  # what is under way is waited for first: it is paid for, and is stored
                    break
                raise
            chosen.append(one)
        for part in parts((one.line for one in chosen), *self.most):
            keys = [line.key for line in part]
            self._under_way |= dict.fromkeys(keys, 0)
            worst = Cost(*(sum(column) for column in zip(*(self._waiting[key].held for key in keys))))
            place = self.room.enter(worst.tokens_in)
            self._start(self._make(part, worst, place), keys, place)
        return len(chosen)

    def _broken(self, keys: Iterable[str], error: BaseException) -> None:
        """Whoever waits for one of these requests gets the error."""
        for key in keys:
            self._under_way.pop(key, None)
            one = self._waiting.pop(key, None)
            if one and not one.future.done():
                one.future.set_exception(error)
                one.future.exception()  # read: nobody may be waiting any more

    async def _reserve(self, worst: Cost) -> bool:
        """Set aside what a request may cost; False where that must wait for a batch that is under way."""
        if self.budget is None:
            return True
        task = asyncio.ensure_future(self.budget.reserve(worst))
        await asyncio.sleep(0)  # it ends at once, or it waits
        if not task.done():
            task.cancel()
            return False
        task.result()
        return True

    async def _make(self, part: list[Line], worst: Cost, place: Place) -> None:
        """Upload a part, make a batch of it, wait for it; each step is written down before the next."""
        store, keys = self._opened(), [line.key for line in part]
        number = store.plan(self.fingerprint, keys, worst)
        self._under_way |= dict.fromkeys(keys, number)
        self.progress.begun(number, len(keys))
        try:
            file = await self.calls.upload(line.data for line in part)
            store.uploaded(number, file)
            id = await self.calls.make(file)
        except NotMade as error:  # any other error leaves open whether the batch was made, and the next run looks for it
            self._nothing(number, worst)
            if isinstance(error, Full):
                return self._turned_away(keys, place, str(error))
            raise
        store.made(number, id)
        await self._follow(Open(number, file, id, keys, worst), place)

    async def _go_on(self, left: Open, place: Place) -> None:
        """A batch that an earlier run left: wait for it where it was made, else free its requests to be asked."""
        file = left.file
        id = left.id or (await self.calls.sought(lambda: self.calls.made_of(file)) if file else None)
        if id is None:
            self._nothing(left.number, left.worst)
            return self._once_more(left.keys)
        self._opened().made(left.number, id)
        self.progress.begun(left.number, len(left.keys), left.made)
        self.say(f"  {self.name}: {len(left.keys)} requests are in the batch {id} from before; waiting for it.")
        await self._follow(left._replace(id=id), place)

    def _nothing(self, number: int, worst: Cost) -> None:
        """A batch brought nothing and never will."""
        self._opened().finish(number, {})
        self.progress.gone(number, brought=False)
        self._release(worst)

    def _once_more(self, keys: list[str]) -> None:
        """These requests are in no batch any more: those that somebody waits for go up again."""
        for key in keys:
            self._under_way.pop(key, None)
            if key in self._waiting:
                self.queue.add(self._waiting[key])

    def _turned_away(self, keys: list[str], place: Place, why: str) -> None:
        """The provider's queue was full: nothing is lost, and its requests go up later, in smaller batches."""
        if not self.room.bounded:
            self.say(f"  {self.name} has no room for so much at once: {why} Smaller batches go up from here on, as it has room; nothing is lost.")
        self.room.refused(place)
        self._once_more(keys)

    async def _follow(self, batch: Open, place: Place) -> None:
        """Wait for a batch, store what it brought, hand it on."""
        assert batch.id
        wait = self.poll[0]
        while True:
            state = await self.calls.state(batch.id)
            self.progress.looked(batch.number, state, wait)
            if state.taken:
                self.room.taken(place)
            if state.status in ENDED:
                break
            await asyncio.sleep(wait)
            wait = min(self.poll[1], wait * 1.5)
        if state.status == "failed":
            self._nothing(batch.number, batch.worst)
            if state.full:
                return self._turned_away(batch.keys, place, state.reason)
            why = state.reason or "the provider gives no reason"
            raise ModelError(f'The batch {batch.id} of "{self.name}" failed: {why} None of its {len(batch.keys)} requests was answered.')
        sent = {k: self._waiting[k].line.body for k in batch.keys if k in self._waiting}
        found = await self.calls.results(batch.id, state, sent)
        mine = set(batch.keys)
        good = {k: r for k, r in found.items() if isinstance(r, Reply) and k in mine}
        self._opened().finish(batch.number, good)
        self.progress.gone(batch.number, brought=True)
        self._deliver(batch, {k: found[k] for k in batch.keys if k in found})

    def _deliver(self, batch: Open, found: dict[str, Reply | Trouble]) -> None:
        """Replies to who waits for them; the rest once more, or as failed."""
        self._release(batch.worst)
        for key in batch.keys:
            self._under_way.pop(key, None)
            one, got = self._waiting.get(key), found.get(key, Trouble("broken", "the batch has no result for it"))
            if one is None or one.future.done():
                self._waiting.pop(key, None)
                if isinstance(got, Reply) and self.budget:  # nobody waits for it in this run, but it is paid for
                    self.budget.settle(Cost(), self._cost(got.tokens_in, got.tokens_out))
            elif isinstance(got, Reply):
                self._paid(got, Cost())
                self._say_what_works(one.line.body)
                del self._waiting[key]
                one.future.set_result(got)
            else:
                self._again(one, got)

    def _again(self, one: Waiting, got: Trouble) -> None:
        one.rounds += 1
        in_words = got.kind == "fatal" and one.line.body.native and self._words_instead(got)
        if got.kind == "fatal" and not in_words:
            self._waiting.pop(one.key).future.set_exception(self._error(got))
        elif one.rounds >= ROUNDS and not in_words:
            self.meter.failed += 1
            told = f"No reply in {one.rounds} batches. The last: {got.reason}"
            self._waiting.pop(one.key).future.set_result(Reply(text=told, finish="error"))
        else:
            self.meter.retries += 1
            one.line = self._line(one.key, one.request)
            self.queue.add(one)

    def _paid(self, reply: Reply, held: Cost) -> None:
        cost = self._cost(reply.tokens_in, reply.tokens_out)
        self.meter.answered(*cost)
        if self.budget:
            self.budget.settle(held, cost)

    def _release(self, worst: Cost) -> None:
        if self.budget:
            self.budget.settle(worst, Cost())
