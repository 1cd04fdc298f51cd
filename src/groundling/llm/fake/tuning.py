"""The fine-tuning endpoints: jobs over uploaded files, their states, events, checkpoints and file of results; what the tuned models learnt."""

from __future__ import annotations

import base64
import math
import time
from typing import Any

import msgspec
from aiohttp import web

from . import wire
from .content import Call, flat, tokens
from .files import page
from .script import Script

ENDED = ("succeeded", "failed", "cancelled")
KNOWN = {"model", "training_file", "validation_file", "hyperparameters", "method", "suffix", "seed", "metadata", "integrations"}
AUTO = {"n_epochs": 3, "batch_size": 1, "learning_rate_multiplier": 1.8}
KEPT = 3  # epochs whose checkpoints can be asked, the last one's among them


class Job(msgspec.Struct):
    """A job. `order` is the body that made it, `fault` what is wrong with its files, `lessons` a reply for each prompt of them."""

    id: str
    number: int
    made: float
    order: dict[str, Any]
    settings: dict[str, Any]
    rows: int
    tokens: int
    fault: dict[str, Any] | None
    lessons: dict[bytes, str]
    status: str = "validating_files"
    ended: float = 0.0

    @property
    def epochs(self) -> int:
        return int(self.settings["n_epochs"])

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return math.ceil(self.rows / self.settings["batch_size"])

    def name(self, epoch: int) -> str:
        """The model of an epoch's end."""
        last = f"ft:{self.order['model']}:groundling:{self.order.get('suffix') or ''}:{self.number:04d}"
        return last if epoch == self.epochs else f"{last}:ckpt-step-{epoch * self.steps}"


class Tuning:
    """Jobs of one server over its uploaded `files`, in memory."""

    def __init__(self, script: Script, files: dict[str, bytes]) -> None:
        self.play, self.files = script.tuning, files
        self.jobs: dict[str, Job] = {}

    async def answer(self, request: web.BaseRequest, parts: list[str]) -> wire.Raw | None:
        """The answer to a call about fine-tuning; None for any other."""
        if parts[:2] != ["fine_tuning", "jobs"]:
            return None
        match request.method, parts[2:]:
            case "POST", []:
                return self._create(await request.read())
            case "GET", []:
                return page(request, [self.told(job) for job in reversed(self.jobs.values())])
            case "GET", [job] if job in self.jobs:
                return wire.json(self.told(self.jobs[job]))
            case "POST", [job, "cancel"] if job in self.jobs:
                return self._cancel(self.jobs[job])
            case "GET", [job, "events"] if job in self.jobs and self.play.lists:
                return page(request, self._events(self.jobs[job]))
            case "GET", [job, "checkpoints"] if job in self.jobs and self.play.lists:
                return page(request, self._checkpoints(self.jobs[job]))
        return None

    def knows(self, model: str) -> bool:
        """Whether a model that a job would have made is there."""
        return not model.startswith("ft:") or self._maker(model) is not None

    def recalls(self, call: Call) -> str | None:
        """What a tuned model was taught to say to these very messages; None where it was not."""
        job = self._maker(call.model) if call.model.startswith("ft:") else None
        return job.lessons.get(_key([{"role": m.role, "content": flat(m.content)} for m in call.messages])) if job else None

    def _maker(self, model: str) -> Job | None:
        made = (job for job in self.jobs.values() if self._advance(job) == "succeeded" and model in self._models(job))
        return next(made, None)

    def _models(self, job: Job) -> list[str]:
        return [job.name(epoch) for epoch in range(max(1, job.epochs - KEPT + 1), job.epochs + 1)]

    def _create(self, body: bytes) -> wire.Raw:
        order = msgspec.json.decode(body)
        if unknown := sorted(set(order) - KNOWN):
            return wire.error(400, f"Unrecognized request argument supplied: {unknown[0]}", "invalid_request_error")
        named = [order.get("training_file"), *([order["validation_file"]] if order.get("validation_file") else [])]
        if not order.get("model") or any(name not in self.files for name in named):
            return wire.error(400, "A job needs a model, and files that were uploaded.", "invalid_request_error")
        if len(order.get("suffix") or "") > 64:
            return wire.error(400, "suffix is too long: at most 64 characters.", "invalid_request_error")
        kind, given = _settings(order)
        if kind not in ("supervised", "dpo"):
            return wire.error(400, f"There is no method {kind!r}.", "invalid_request_error")
        settings = AUTO | {name: value for name, value in given.items() if value != "auto"}
        lines = self.files[named[0]].splitlines()
        fault = _fault(lines, kind, self.play.least, self.play.bad_line)
        job = Job(
            id=f"ftjob-{len(self.jobs):04d}", number=len(self.jobs), made=time.monotonic(), order=order, settings=settings, rows=len(lines),
            tokens=sum(map(tokens, (line.decode() for line in lines))), fault=fault, lessons={} if fault else _lessons(lines, kind),
        )  # fmt: skip
        self.jobs[job.id] = job
        return wire.json(self.told(job))

    def _cancel(self, job: Job) -> wire.Raw:
        if self._advance(job) in ENDED:
            return wire.error(400, f"The job {job.id} has already ended: {job.status}.", "invalid_request_error")
        job.status, job.ended = "cancelled", time.monotonic()
        return wire.json(self.told(job))

    def _gone(self, job: Job) -> float:
        """How much of a job is done, 0 to 1."""
        until = job.ended or time.monotonic()
        return min(1.0, (until - job.made) / self.play.seconds) if self.play.seconds else 1.0

    def _advance(self, job: Job) -> str:
        """The state that a job has come to by now."""
        if job.status in ENDED:
            return job.status
        gone = self._gone(job)
        if gone < 1 and not (job.fault and gone >= 0.1):
            job.status = "validating_files" if gone < 0.1 else "queued" if gone < 0.2 else "running"
            return job.status
        job.status, job.ended = "failed" if job.fault else self.play.outcome, time.monotonic()
        if job.status == "succeeded":
            csv = self._results(job)
            self.files[f"file-results-{job.id}"] = base64.b64encode(csv) if self.play.base64 else csv
        return job.status

    def told(self, job: Job) -> dict[str, Any]:
        """A job as it is told."""
        status = self._advance(job)
        failed = job.fault or {"code": "server_error", "message": self.play.reason, "param": None}
        trained = {"succeeded": job.tokens * job.epochs, "cancelled": int(job.tokens * job.epochs * self._gone(job))}
        kind, _ = _settings(job.order)
        return {
            "id": job.id, "object": "fine_tuning.job", "model": job.order["model"], "status": status, "created_at": int(time.time()),
            "fine_tuned_model": job.name(job.epochs) if status == "succeeded" else None, "trained_tokens": trained.get(status),
            "training_file": job.order["training_file"], "validation_file": job.order.get("validation_file"), "seed": job.order.get("seed"),
            "result_files": [f"file-results-{job.id}"] if status == "succeeded" else [], "error": failed if status == "failed" else {},
            "method": {"type": kind, kind: {"hyperparameters": job.settings}}, "hyperparameters": job.settings, "suffix": job.order.get("suffix"),
        }  # fmt: skip

    def _curve(self, job: Job) -> list[dict[str, Any]]:
        """A line of metrics for each step."""
        every, best = job.steps * job.epochs, (self.play.best_epoch or job.epochs) * job.steps
        found = []
        for step in range(1, every + 1):
            far = abs(step - best) / every
            valid = round(0.5 + far, 5) if job.order.get("validation_file") and step % job.steps == 0 else None
            found.append({"step": step, "train_loss": round(0.3 + 2 * math.exp(-3 * step / every), 5), "full_valid_loss": valid})
        return found

    def _results(self, job: Job) -> bytes:
        lines = ["step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"]
        for row in self._curve(job):
            lines.append(f"{row['step']},{row['train_loss']},0.5,{'' if row['full_valid_loss'] is None else row['full_valid_loss']},")
        return "\n".join(lines).encode() + b"\n"

    def _events(self, job: Job) -> list[dict[str, Any]]:
        """The newest first, as far as the job has come."""
        status, curve = self._advance(job), self._curve(job)
        said = [("message", "Created fine-tuning job", {})]
        if status != "failed":
            done = curve[: int(len(curve) * self._gone(job))]
            said += [("metrics", f"Step {r['step']}/{len(curve)}: training loss={r['train_loss']}", r) for r in done]
        said += [("message", f"The job has ended: {status}", {})] if status in ENDED else []
        return [
            {"id": f"ftevent-{job.id}-{n}", "object": "fine_tuning.job.event", "level": "info", "type": kind, "message": text, "data": data}
            for n, (kind, text, data) in enumerate(said)
        ][::-1]

    def _checkpoints(self, job: Job) -> list[dict[str, Any]]:
        if self._advance(job) != "succeeded":
            return []
        curve, first = self._curve(job), job.epochs - len(self._models(job)) + 1
        return [
            {
                "id": f"ftckpt-{job.id}-{epoch}", "object": "fine_tuning.job.checkpoint", "fine_tuning_job_id": job.id,
                "fine_tuned_model_checkpoint": job.name(epoch), "step_number": epoch * job.steps,
                "metrics": {name: value for name, value in curve[epoch * job.steps - 1].items() if value is not None},
            }
            for epoch in range(job.epochs, first - 1, -1)
        ]  # fmt: skip


def _settings(order: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The method of an order and its hyper-parameters, wherever they stand."""
    method = order.get("method") or {"type": "supervised"}
    kind = method.get("type", "")
    return kind, (method.get(kind) or {}).get("hyperparameters") or order.get("hyperparameters") or {}


def _fault(lines: list[bytes], kind: str, least: int, bad: int) -> dict[str, Any] | None:
    """What is wrong with a training file, as the job's error."""
    if len(lines) < least:
        text = f"Training file has {len(lines)} example(s), but must have at least {least} examples."
        return {"code": "invalid_n_examples", "message": text, "param": "training_file"}
    for number, line in enumerate(lines, 1):
        why = "the script says so" if number == bad else _wrong(line, kind)
        if why:
            text = f"The job failed due to an invalid training file. Invalid file format. Line {number}: {why}"
            return {"code": "invalid_file_format", "message": text, "param": "training_file"}
    return None


def _wrong(line: bytes, kind: str) -> str:
    try:
        told = msgspec.json.decode(line)
        given, replies = _parts(told, kind)
        talk = [*given, *replies]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        return f"it is no example ({error!r})"
    if set(told) - {"messages", "input", "preferred_output", "non_preferred_output", "tools", "parallel_tool_calls"}:
        return "it has keys that no example has"
    if not replies or replies[-1]["role"] != "assistant":
        return "its last message is not from the assistant"
    return "" if all(isinstance(m["content"], str) and m["content"].strip() for m in talk) else "a message is empty"


def _parts(told: dict[str, Any], kind: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The prompt and the replies of a line."""
    if kind == "dpo":
        assert told["non_preferred_output"] is not None
        return told["input"]["messages"], [*told["non_preferred_output"], *told["preferred_output"]]
    last = max((n for n, m in enumerate(told["messages"]) if m["role"] != "assistant"), default=-1)
    return told["messages"][: last + 1], told["messages"][last + 1 :]


def _lessons(lines: list[bytes], kind: str) -> dict[bytes, str]:
    """What each prompt was answered with, also that of a second turn."""
    found = {}
    for line in lines:
        told = msgspec.json.decode(line)
        given, replies = _parts(told, kind)
        for n, said in enumerate(replies[-1:] if kind == "dpo" else replies):
            found[_key([*given, *([] if kind == "dpo" else replies[:n])])] = said["content"]
    return found


def _key(messages: list[dict[str, Any]]) -> bytes:
    return msgspec.json.encode([[m["role"], m["content"]] for m in messages])
