"""A provider's fine-tuning job from its files to its model. Nothing is paid for twice: each step is written down before the next.

A run that was interrupted or killed finds its job again and waits on; one whose id was not told yet is looked for at the provider by the file
that it was made of. The job is never cancelled by the run itself: `groundling jobs` does that, when it is asked to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ..errors import BudgetError, ModelError, StaleError
from ..panel import View
from ..seeds import digest
from .api import Api
from .budget import Budget, Cost
from .filehttp import NotMade
from .tunehttp import TuneHttp
from .tunestore import Job, JobStore
from .tunewire import ENDED, State, Step

POLL = (2.0, 60.0)  # seconds between looks at a job: first, and later
GONE = "gone"  # the status of a job that the provider does not know
UNNAMED = 4  # more looks at a job that succeeded and names no model, before it is taken to have brought none


class Wanted(NamedTuple):
    """What is to be trained: the lines of two files, the ids of the examples in the first, the order but for the files, and its cost at most.

    `name` is no part of what is paid for: it only stands in the tuned model's name.
    """

    training: Sequence[bytes]
    validation: Sequence[bytes]
    ids: Sequence[str]
    order: dict[str, Any]
    epochs: int
    worst: Cost
    name: str

    @property
    def mark(self) -> str:
        """What tells this work from any other."""
        lines = digest(*(line.decode() for line in self.training)), digest(*(line.decode() for line in self.validation))
        return digest(msgspec.json.encode(self.order, order="deterministic").decode(), *lines, length=16)


class Tuner:
    """Jobs at one endpoint, noted in the run's journal. `root` is the run's folder as a person names it."""

    def __init__(self, api: Api, store: JobStore, root: Path, say: Callable[[str], None]) -> None:
        self.api, self.store, self.root, self.say = api, store, root, say
        self.calls, self.poll = TuneHttp(api), POLL
        self.job: Job | None = None
        self._status, self._step = "", Step(0, 0, None)

    def view(self) -> View:
        """Where the job stands, for the panel."""
        facts = {"job": self.job.id or "", "at": self.job.endpoint, "": self._status} if self.job else {"": self._status}
        facts |= {"loss": f"{self._step.loss:.3f}"} if self._step.loss is not None else {}
        return View("train", "steps", self._step.step, self._step.steps, facts=facts, steady=False)

    def begun(self, mark: str, taken: str) -> Job | None:
        """The job of this work that is there already, paid for: one that is under way, or that brought the model `taken` into the folder.

        Raises StaleError where a job of other work is open: making one more would pay again for what is not even used yet.
        """
        for job in self.store.open():
            if job.mark == mark and job.url == self.api.endpoint.base_url:
                return job
        if others := self.store.open():
            told = f"job {others[0].id}" if others[0].id else "job"
            raise StaleError(
                f"A fine-tuning {told} with other examples or settings is under way at {others[0].endpoint}, and is paid for. Set them back, and the "
                f"same command goes on with it; or give it up with `groundling jobs {self.root} --cancel`, and a new one is made."
            )
        return next((job for job in self.store.all() if taken and job.id == taken and job.mark == mark), None)

    def afford(self, worst: Cost, budget: Budget) -> None:
        """Raise BudgetError where a job that costs so much at most could pass the budget."""
        if budget.allows(worst):
            return
        limits = [f"{budget.spent_usd:.4f} of budget_usd {budget.usd:g}"] if budget.usd else []
        limits += [f"{budget.spent_tokens:,} of budget_tokens {budget.tokens:,}"] if budget.tokens else []
        raise BudgetError(
            f"This training may take {worst.tokens:,} tokens, {worst.usd:.4f} USD, which could pass the budget: {' and '.join(limits)} are spent on "
            "this run's folder. No job was made. Raise the budget, lower train.epochs, or train on fewer examples."
        )

    async def train(self, wanted: Wanted, budget: Budget, taken: str = "") -> tuple[Job, State]:
        """The job, made or found again, and how it ended: well. Raises ModelError where it did not, and as `begun` and `afford` do."""
        job = self.begun(wanted.mark, taken)
        if job is None:
            self.afford(wanted.worst, budget)
            endpoint = self.api.endpoint
            job = self.store.plan(wanted.mark, (self.api.name, endpoint.base_url, endpoint.model), wanted.worst)
        elif not job.over:
            self.say(f"  the job {job.id or 'of before'} at {job.endpoint} is there already, and goes on.")
        self.job = job = await self._made(job, wanted)
        state = await self._follow(job, wanted)
        self.job = job = self.ended(job, state)
        if state.status == "succeeded" and state.tuned:
            return job, state
        raise ModelError(self._lost(job, state, wanted))

    async def found(self, job: Job) -> Job:
        """The job, with its id where the provider lists one that was made of its file."""
        file = job.file
        if job.id is None and file is not None and (id := await self.calls.sought(lambda: self.calls.made_of(file))):
            return self.store.note(job, id=id)
        return job

    async def _made(self, job: Job, wanted: Wanted) -> Job:
        """The job with its id: found again, or made."""
        job = await self.found(job)
        if job.id is not None:
            return job
        self._status = "files go up"
        try:
            files = {"training_file": await self.calls.upload(wanted.training, "fine-tune")}
            if wanted.validation:
                files["validation_file"] = await self.calls.upload(wanted.validation, "fine-tune")
            job = self.store.note(job, file=files["training_file"])
            return self.store.note(job, id=await self.calls.make({**wanted.order, **files, "suffix": wanted.name}))
        except NotMade:  # any other error leaves open whether the job was made, and the next run looks for it
            self.store.forget(job)
            raise

    async def _follow(self, job: Job, wanted: Wanted) -> State:
        """Wait until it has ended."""
        assert job.id
        wait, unnamed = self.poll[0], 0
        while True:
            state = await self.calls.state(job.id)
            if state is None:
                raise ModelError(
                    f"{job.endpoint} does not know the job {job.id} any more. If it is gone for good, `groundling jobs {self.root} --cancel` forgets "
                    "it, and the same command makes a new one."
                )
            if state.status != self._status:
                self.say(f"  job {job.id} at {job.endpoint}: {state.status}")
                self._compare(state, wanted)
            self._status = state.status
            if state.status in ENDED:
                if state.tuned or state.status != "succeeded" or unnamed == UNNAMED:
                    return state
                unnamed += 1
            if state.status == "running":
                self._step = await self.calls.progress(job.id) or self._step
            await asyncio.sleep(wait)
            wait = min(self.poll[1], wait * 1.5)

    def _compare(self, state: State, wanted: Wanted) -> None:
        """Say where the provider trains otherwise than ordered."""
        if not self._status and isinstance(state.epochs, int) and state.epochs != wanted.epochs:
            self.say(f"  it trains {state.epochs} epochs, and train.epochs is {wanted.epochs}: that costs other than was planned.")

    def ended(self, job: Job, state: State) -> Job:
        """Write down what it cost."""
        return self.store.note(job, **self.outcome(job, state))

    def outcome(self, job: Job, state: State) -> dict[str, Any]:
        """What it cost, to be noted. One that brought a model stays open until that is taken. Of a cancelled one that is silent its most counts."""
        unknown = 0 if state.status == "failed" else job.tokens
        tokens = state.tokens if state.tokens is not None else unknown
        usd = tokens * self.api.endpoint.price_train / 1e6 if state.tokens is not None or not unknown else job.usd
        over = job.over or int(not (state.status == "succeeded" and state.tuned))
        return {"status": state.status, "tuned": state.tuned or None, "tokens": tokens, "usd": usd, "over": over}

    def _lost(self, job: Job, state: State, wanted: Wanted) -> str:
        """Why a job brought no model, and what to do."""
        again = f"It cost {job.usd:.4f} USD. The same command makes a new one."
        if state.status == "cancelled":
            return f'The job {job.id} of "{job.endpoint}" was cancelled at the provider. {again}'
        why = state.reason or "the provider gives no reason"
        why += "" if why.endswith((".", "!", "?")) else "."
        if 0 < state.line <= len(wanted.ids):
            why += f" Line {state.line} is the example {wanted.ids[state.line - 1]}."
        how = "failed" if state.status == "failed" else "ended without a model"
        return f'The job {job.id} of "{job.endpoint}" {how}: {why} Mend that first. {again}'

    def interrupted(self) -> str:
        """What is said when the person stops the run."""
        if self.job is None or self.job.id is None:
            return "Interrupted. If a fine-tuning job was made already, the same command finds it and goes on with it."
        return (
            f"Interrupted. The job {self.job.id} goes on at {self.job.endpoint}, and is paid for. The same command waits for it again; "
            f"`groundling jobs {self.root} --cancel` ends it."
        )
