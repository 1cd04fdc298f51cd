"""The trials of a search, one after the other: each from its beginning or its last checkpoint to its end."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..curating import filtering
from ..errors import GroundlingError, InputError, MachineError, ModelError, TooLarge
from ..settings import sampling, space
from ..settings.trials import Book, Trial, best, seconds
from ..workspace import Output, read_lines
from .search_ground import Ground, document

STARTS = 3  # starts from the same step after which a trial counts as failed: what ends it would end it again


class Pruned(Exception):
    """Ends a training whose held-out loss is too far behind."""


class OutOfTime(Exception):
    """Ends a training at the end of `search.minutes`; it can go on."""


def go(found: Ground, book: Book, wanted: int) -> str:
    """Try until there are so many trials; returns why it ended: `done`, `minutes` or `exhausted`."""
    run, limit = found.run, found.run.config.search.minutes * 60
    while True:
        trials = book.read()
        book.tidy(trials)
        begun = next((t for t in trials if not t.ended), None)
        if begun is None and len(trials) >= wanted:
            return "done"
        if limit and seconds(trials) >= limit:
            return "minutes"
        begun = begun or _next(found, trials)
        if begun is None:
            return "exhausted"
        run.say(f"trial {begun.number} of {wanted}: {words(begun)}")
        others = [t for t in trials if t.number != begun.number]
        try:
            ended = Attempt(found, book, begun, others).run()
        except OutOfTime:
            return "minutes"
        first = best([*others, ended])
        run.say(f"  {outcome(ended)}{', the best so far' if first and first.number == ended.number else ''}")


def _next(found: Ground, trials: Sequence[Trial]) -> Trial | None:
    number = next(n for n in range(1, len(trials) + 2) if n not in {t.number for t in trials})
    if number == 1:
        return Trial(number=1, settings=space.values_of(found.run.config, list(found.space)), given=True)
    settings = sampling.propose(found.space, trials, found.run.config.seed, number)
    return None if settings is None else Trial(number=number, settings=settings)


def words(trial: Trial) -> str:
    """Its settings in a line."""
    told = ", ".join(f"{key.removeprefix('train.').removeprefix('curate.filters.')} {value}" for key, value in trial.settings.items())
    return told + (" (as configured)" if trial.given else "")


def outcome(trial: Trial) -> str:
    """How it ended, in a line."""
    loss = f"held-out loss {trial.value:.4f}" if trial.value is not None else ""
    if trial.state == "pruned":
        step, last = trial.losses[-1]
        loss = f"held-out loss {last:.4f} at step {step}"
    return ", ".join(part for part in (f"{trial.state}: {loss or trial.reason}", f"{trial.seconds:.0f} s") if part)


class Attempt:
    """One start of a trial."""

    def __init__(self, found: Ground, book: Book, trial: Trial, others: Sequence[Trial]) -> None:
        self.found, self.book, self.trial, self.others = found, book, trial, others
        self.folder = book.place(trial.number)
        self.before, self.start = trial.seconds, time.monotonic()

    def run(self) -> Trial:
        """The ended trial. Raises OutOfTime where it is to go on another time."""
        from ..train.checkpoints import last_checkpoint, step_of

        last = last_checkpoint(self.folder / "checkpoints")
        self._write(begun=[*self.trial.begun, step_of(last) if last else 0])
        if len(self.trial.begun) > STARTS and len(set(self.trial.begun[-STARTS - 1 :])) == 1:
            where = f"after step {self.trial.begun[-1]}" if last else "at its beginning"
            return self._end("failed", f"it was ended from outside {STARTS} times {where}; perhaps the memory did not suffice")
        try:
            self._train()
        except Pruned:
            return self._end("pruned", "above the median of the finished trials")
        except (ModelError, InputError, TooLarge) as error:
            return self._end("failed", str(error).split(". ")[0].rstrip("."))
        except (KeyboardInterrupt, OutOfTime, GroundlingError):
            with suppress(MachineError):  # where the disk is full; what was raised first says it
                self._write(begun=self.trial.begun[:-1])
            raise
        finally:
            _free()
        losses = [loss for _, loss in self.trial.losses]
        self._write(value=min(losses) if self.found.options.keep == "best" else losses[-1])
        return self._end("complete")

    def _train(self) -> None:
        from ..train import train
        from ..train.progress import Judged

        found = self.found
        changes = {key.removeprefix("train."): value for key, value in self.trial.settings.items() if key.startswith("train.")}
        out = Output(self.folder)
        try:
            train(self._records(), found.options.model_copy(update=changes), found.base, found.run.config.seed, out,
                  Judged(found.run.watch, self.measured))  # fmt: skip
        except BaseException:
            out.abandon()
            raise
        out.close()

    def _records(self) -> list[Any]:
        """What is trained on, and what is measured on: that never changes, whatever is curated otherwise."""
        import msgspec

        learnt = [r for r in self._curated() if r.split == "train" and document(r) not in self.found.aside]
        return learnt + [msgspec.structs.replace(r, split="held_out") for r in self.found.measured]

    def _curated(self) -> list[Any]:
        run = self.found.run
        settings = {key: value for key, value in self.trial.settings.items() if key.startswith("curate.")}
        if self.trial.given or not settings:
            return list(run.space.read("curate", self.found.kind))
        from ..curate import curate

        out = Output(self.folder / "curated")
        try:
            curate(run.space.read("synthesize", self.found.kind), space.changed(run.config, settings).curate, filtering(run), out)
        except BaseException:
            out.abandon()
            raise
        out.close()
        return list(read_lines(Path(out.folder) / "data.jsonl", self.found.kind))

    def measured(self, step: int, loss: float, steps: int) -> None:
        """Keep a held-out loss. Raises Pruned or OutOfTime; never at the last step, where the trial is done anyway."""
        losses = sorted({**dict(self.trial.losses), step: loss}.items())
        self._write(losses=losses)
        if step >= steps:
            return
        if self.found.run.config.search.prune and sampling.give_up(self.others, [pair for pair in losses if pair[0] <= step]):
            raise Pruned
        limit = self.found.run.config.search.minutes * 60
        if limit and seconds([*self.others, self.trial]) >= limit:
            raise OutOfTime

    def _end(self, state: Any, reason: str = "") -> Trial:
        self._write(state=state, reason=reason)
        return self.trial

    def _write(self, **changes: Any) -> None:
        import msgspec

        took = round(self.before + time.monotonic() - self.start, 2)
        self.trial = self.book.write(msgspec.structs.replace(self.trial, seconds=took, **changes))


def _free() -> None:
    """Give back what a training held: the next one may need all of it."""
    gc.collect()
    with suppress(ImportError):
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()
