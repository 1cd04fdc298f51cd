"""The fine-tuning jobs of a run: what each cost, where it stands, and its end where that is asked for."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import MachineError, ModelError, UserError

if TYPE_CHECKING:
    from ..config import Endpoint
    from ..llm.tunestore import Job
    from ..llm.tuning import Tuner
    from ..runs import Run, Say


def jobs(
    path: Annotated[Path, typer.Argument(help="a project or run folder")],
    cancel: Annotated[bool, typer.Option("--cancel", help="end the job that is under way; what it trained until then may be charged")] = False,
    out: Annotated[Optional[Path], typer.Option("--out", help="the run's folder (else runs/NAME)")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """The fine-tuning jobs that a run had made at a provider (train.method api)."""
    from ..runs import open_run

    tell(open_run(path, out, [], lambda text: print(text, flush=True)), cancel, as_json)


def tell(run: Run, cancel: bool, as_json: bool) -> None:
    """Print the jobs, those under way as the provider tells them now. Needs no lock where a job has its id: a run may be waiting for it."""
    from ..llm import tunestore

    if not tunestore.jobs(run.space.journal):
        raise ModelError(f"{run.space.root} had no fine-tuning job made. They are made by training with train.method api (docs/train.md).")
    found = asyncio.run(_looked(replace(run, say=lambda text: None) if as_json else run, cancel))
    if as_json:
        return run.say(json.dumps([job._asdict() for job in found], indent=1))
    for job in found:
        _show(job, run.say)


def _show(job: Job, say: Say) -> None:
    cost = f"{job.tokens:,} tokens, {job.usd:.4f} USD"
    known = {"succeeded": f"{cost} -> {job.tuned or 'no model'}", "failed": cost, "gone": "the provider does not know it any more"}
    what = known.get(job.status, f"at most {cost}")
    say(f"{job.id or 'no id yet'}  {job.status}  {job.model} at {job.endpoint}: {what}{'' if job.over else '; under way'}")


async def _looked(run: Run, cancel: bool) -> list[Job]:
    """All jobs; of those under way what is noted is renewed. A job that ended well stays open: its model is the next run's to take."""
    from ..llm.tunestore import JobStore

    store = JobStore(run.space.journal)
    try:
        for job in store.open():
            await _renewed(run, store, job, cancel)
        return store.all()
    finally:
        store.close()


async def _renewed(run: Run, store: Any, job: Job, cancel: bool) -> None:
    from ..llm.api import Api
    from ..llm.tuning import Tuner

    tuner = Tuner(Api(job.endpoint, _endpoint(run, job), say=run.say), store, run.space.root, run.say)
    tuner.api.ready()
    try:
        known = await (_settled(run, tuner, job) if cancel and job.id is None else tuner.found(job))
        if known is not None and known.id is not None and not known.over:
            await _told(tuner, known, known.id, cancel)
    finally:
        await tuner.api.close()


async def _settled(run: Run, tuner: Tuner, job: Job) -> Job | None:
    """The job that is to end, with its id; one that was not made is forgotten. A run that is at work may be having it made this very moment."""
    with ExitStack() as held:
        try:
            held.enter_context(run.space.lock())
        except MachineError as error:
            raise MachineError(
                f"A run is at work in {run.space.root}, and may be having the job made this very moment: it has no id yet, so it cannot be ended. "
                "Give the same command again when `groundling jobs` shows its id, or stop the run first."
            ) from error
        now = tuner.store.get(job.number)  # a run that was at work until now may have noted more
        found = await tuner.found(now) if now else None
        if found is None or found.id is not None:
            return found
        tuner.store.forget(found)
        return None


async def _told(tuner: Tuner, job: Job, id: str, cancel: bool) -> None:
    """Note what the provider says of a job, after it was asked to end where that is wanted."""
    from ..llm.tunewire import ENDED
    from ..llm.tuning import GONE

    state, store = await (tuner.calls.cancel if cancel else tuner.calls.state)(id), tuner.store
    if state is None:
        there = store.renew(job, status=GONE, **({"tokens": 0, "usd": 0.0, "over": 1} if cancel else {}))
    elif state.status not in ENDED or (state.status == "succeeded" and not (state.tuned or cancel)):  # without a model's name, the run looks again
        there = store.renew(job, status=state.status)
    elif cancel and job.status == "succeeded" and job.tuned:  # it was said before that the model is ready
        there = store.renew(job, over=1)
    else:
        there = store.renew(job, **tuner.outcome(job, state))
        if there and state.status == "succeeded" and state.tuned and cancel:
            tuner.say(f"The job {id} had ended: its model {state.tuned} is ready, and the next run takes it. --cancel once more gives it up.")
    if not there:
        tuner.say(f"A run that is at work was done with the job {id} just now: what it noted stays.")


def _endpoint(run: Run, job: Job) -> Endpoint:
    """Where the job is: the config's endpoint, else that of the run whose model it goes on from. Raises ModelError where neither names it."""
    from ..llm.hosted import started_from

    found = run.config.models.get(job.endpoint)
    if found is not None and found.base_url == job.url:
        return found
    with suppress(UserError):  # that run may be gone
        name, found = started_from(run.config, run.beside)
        if (name, found.base_url) == (job.endpoint, job.url):
            return found
    raise ModelError(f"The job {job.id or ''} is at {job.url}, which models.{job.endpoint} of the config does not name any more. Put it back.")
