"""Examples to a model that a provider trains: messages as JSON lines, a fine-tuning job, and the name of what came of it.

What is charged for is written down before it happens (`llm/tuning.py`). The tokens are estimated from characters, as the provider's tokenizer is
not here; for every refusal the estimate is taken at its upper end.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from .. import grounding
from ..config import Train
from ..errors import InputError, Interrupted, ModelError
from ..export.targets import openai
from ..grounding import FORMATS, conversation
from ..interrupts import stoppable, until_stopped
from ..llm import tokens
from ..llm.api import Api
from ..llm.base import Request, call_key
from ..llm.budget import Budget, Cost
from ..llm.hosted import METHOD, Place, describe
from ..llm.journal import Journal
from ..llm.open import remembered
from ..llm.tunehttp import TuneHttp
from ..llm.tunestore import Job, JobStore
from ..llm.tunewire import State, curve, plain, shown
from ..llm.tuning import Tuner, Wanted
from ..panel import Watch
from ..records import Pair, Record
from ..workspace import Output, write_atomic, write_json
from . import Aside, drawn
from .options import options_of
from .tokens import TOO_LONG

LENGTH = 65_536  # tokens of an example, where max_length is not set: what the larger providers take
EMPTY = "an empty message or answer"
ALIKE = "both replies are the same"
FILES = ("training.jsonl", "validation.jsonl")
CURVE = "metrics.csv"


class Line(Record):
    """An example as it goes up, with its estimated tokens."""

    id: str
    tokens: int
    body: dict[str, Any]

    @property
    def data(self) -> bytes:
        return msgspec.json.encode(self.body) + b"\n"


def train_there(records: Iterable[Any], options: Train, seed: int, place: Place, out: Output, watch: Watch) -> None:
    """Have the records of the `train` split trained; leave what was sent, the losses and groundling.json in the output's folder.

    With `keep: best` the held-out ones go up too, and of the checkpoints that the provider keeps the one that does best on them is taken; where
    they must not choose, they stay here. Raises InputError, BudgetError, StaleError, ModelError, and Interrupted where the person stops the waiting.
    """
    sides: dict[str, list[Any]] = {"train": [], "held_out": []}
    for record in records:
        sides[record.split].append(record)
    lines = lines_of(sides["train"], options, out)
    if not lines:
        raise InputError("There is nothing to train on: no example is left. See dropped.jsonl of this stage and of curate for the reasons.")
    beside = lines_of(drawn(sides["held_out"], options, seed), options, Aside()) if options.keep == "best" else []
    for line in lines:
        out.keep(line)
    for name, some in zip(FILES, (lines, beside), strict=True):
        write_atomic(out.folder / name, b"".join(line.data for line in some))
    store, journal = JobStore(place.journal), Journal(place.journal)
    try:
        wanted = wanted_of(lines, beside, options, seed, place)
        asyncio.run(_trained(_tuner(place, store), wanted, options, place, (out, journal, watch)))
    finally:
        journal.close()
        store.close()


def _tuner(place: Place, store: JobStore) -> Tuner:
    return Tuner(Api(place.name, place.endpoint, say=place.say), store, place.root, place.say)


async def _trained(tuner: Tuner, wanted: Wanted, options: Train, place: Place, into: tuple[Output, Journal, Watch]) -> None:
    out, journal, watch = into
    budget = Budget(place.config.budget_usd, place.config.budget_tokens, journal)
    taken = _taken(out)
    tuner.api.ready()
    try:
        with watch(tuner.view), stoppable("the job at the provider goes on") as stop:
            try:
                job, state = await until_stopped(tuner.train(wanted, budget, taken), stop)
            except Interrupted:
                raise Interrupted(tuner.interrupted()) from None
        model = await _chosen(tuner.calls, job, state, bool(wanted.validation) and options.keep == "best")
        log = await _curve(tuner.calls, state, out)
    finally:
        await tuner.api.close()
    held = describe(place.name, place.endpoint, model)
    await _proved(held, journal, wanted, place)
    _describe(out, options, place, job, held)
    out.note(
        log=log, rows=len(wanted.training), held_out_rows=len(wanted.validation), trained_tokens=job.tokens, base=options.base, job=job.id,
        model=model, usd=round(job.usd, 6), started_from=place.endpoint.model, told_epochs=state.epochs,
    )  # fmt: skip
    tuner.store.note(job, tuned=model, over=1)


def lines_of(records: Sequence[Any], options: Train, out: Any) -> list[Line]:
    """The records as lines of a file; what is too long at the upper end of the estimate, is empty or prefers nothing is dropped and counted."""
    form = FORMATS[options.format]
    most = options.max_length if "max_length" in options.model_fields_set else LENGTH
    found = []
    for number, record in enumerate(records):
        body = preference(record, form) if isinstance(record, Pair) else openai.row(record, number, form)
        line = Line(id=record.id, tokens=math.ceil(sum(tokens.of_messages(talk) for talk in _talks(body))), body=body)
        if any(not m["content"].strip() for talk in _talks(body) for m in talk):
            out.drop(EMPTY, {"id": record.id})
        elif isinstance(record, Pair) and record.chosen == record.rejected:
            out.drop(ALIKE, {"id": record.id})
        elif max(map(tokens.of_messages, _talks(body))) * (1 + tokens.SPREAD) > most:
            out.drop(TOO_LONG, {"id": record.id, "tokens": line.tokens})
        else:
            found.append(line)
    return found


def preference(pair: Pair, form: grounding.Format) -> dict[str, Any]:
    """A pair as OpenAI's preference fine-tuning takes it."""
    said = {name: [{"role": "assistant", "content": text}] for name, text in (("preferred", pair.chosen), ("non_preferred", pair.rejected))}
    return {"input": {"messages": conversation(form, pair)}, **{f"{name}_output": reply for name, reply in said.items()}}


def _talks(body: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The conversations of a line: one, or one for each reply."""
    if "messages" in body:
        return [body["messages"]]
    return [[*body["input"]["messages"], *body[name]] for name in ("preferred_output", "non_preferred_output")]


def wanted_of(lines: Sequence[Line], beside: Sequence[Line], options: Train, seed: int, place: Place) -> Wanted:
    """The work as the provider is told it, with what it costs at most."""
    read = most(sum(line.tokens for line in lines), options)
    worst = Cost(read, 0, read * place.endpoint.price_train / 1e6)
    order = {"model": place.endpoint.model, "seed": seed} | _method(options)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", options.suffix or place.suffix).strip("-")[:40] or "groundling"
    sent = [[line.data for line in some] for some in (lines, beside)]
    return Wanted(sent[0], sent[1], [line.id for line in lines], order, int(options.epochs), worst, name)


def most(estimated: float, options: Train) -> int:
    """The most tokens that training on so many may be charged as."""
    return math.ceil(estimated * (1 + tokens.SPREAD) * options.epochs)


def _method(options: Train) -> dict[str, Any]:
    """What is said of how to train. `hyperparameters` at the top is the older place, which every provider knows; dpo has the newer alone."""
    told: dict[str, Any] = {"n_epochs": int(options.epochs)}
    told |= {"batch_size": options.batch} if "batch" in options.model_fields_set else {}
    told |= {"learning_rate_multiplier": options.rate_multiplier} if options.rate_multiplier else {}
    if options.objective == "sft":
        return {"hyperparameters": told}
    from .objectives import dpo

    beta = options_of(dpo, options.options).model_dump()["beta"]
    return {"method": {"type": "dpo", "dpo": {"hyperparameters": {**told, "beta": beta}}}}


def _taken(out: Output) -> str:
    """The job whose model an interrupted run had already put into the folder."""
    path = out.folder / "groundling.json"
    return json.loads(path.read_bytes()).get("job", "") if path.is_file() else ""


async def _chosen(calls: TuneHttp, job: Job, state: State, best: bool) -> str:
    """The model's name: of the checkpoint with the lowest loss on the validation file where that may choose, else the job's last."""
    known = [c for c in await calls.checkpoints(job.id or "") if c.loss is not None] if best else []
    return min(known, key=lambda c: (c.loss, c.step)).model if known else state.tuned


async def _curve(calls: TuneHttp, state: State, out: Output) -> list[dict[str, float]]:
    """The losses of the job's file of results, which is kept; none where there is no such file."""
    if not state.results:
        return []
    data = plain(await calls.content(state.results))
    write_atomic(out.folder / CURVE, data)
    out.note(metrics=CURVE)
    return shown(curve(data))


async def _proved(held: dict[str, Any], journal: Journal, wanted: Wanted, place: Place) -> None:
    """Ask the tuned model once, as training on a machine does. Raises ModelError where it says nothing.

    Every reply is in the journal, as it is paid for; after an empty one the same command asks anew, as the next attempt.
    """
    from ..config import Endpoint

    model = remembered(Api(place.name, Endpoint(**held["endpoint"])), journal, place.config, place.say)
    first = msgspec.json.decode(wanted.training[0])
    talk = first["input"]["messages"] if "input" in first else first["messages"]
    last = max(n for n, m in enumerate(talk) if m["role"] != "assistant")
    prompt = [{"role": m["role"], "content": m["content"]} for m in talk[: last + 1]]
    request = Request(messages=prompt, max_tokens=16)
    while (known := journal.get(call_key(model.fingerprint, request))) and not known.tokens_out:
        request = msgspec.structs.replace(request, attempt=request.attempt + 1)
    try:
        [reply] = await model.replies([request])
    finally:
        await model.drain()
    if reply.finish == "error" or not reply.tokens_out:
        raise ModelError(
            f"The job is done, but its model {held['endpoint']['model']} does not answer yet ({reply.text or 'an empty reply'}). Give the same "
            "command again in a while: nothing is trained or paid for twice."
        )


def _describe(out: Output, options: Train, place: Place, job: Job, held: dict[str, Any]) -> None:
    """groundling.json: the format the model was taught, and where it is asked. No key stands in it, only the name of its variable."""
    write_json(
        out.folder / "groundling.json",
        {
            "format": options.format, "format_fingerprint": grounding.fingerprint(options.format), "template_hash": "", "base": options.base,
            "base_fingerprint": f"{place.endpoint.model} at {place.endpoint.base_url}", "objective": options.objective, "method": METHOD,
            "job": job.id, **held,
        },
    )  # fmt: skip
