"""From a model's name in the config to the model."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..config import Config, Endpoint
from ..errors import ConfigError, ModelError
from ..registry import nearest
from .base import Model, Reply, Request
from .journal import Journal
from .journaled import Journaled
from .weights import RUN, described_run, resolve_weights

if TYPE_CHECKING:
    from .api import Api

T = TypeVar("T")
_DAY, _SLOT = 86_400.0, 144.0  # seconds


def open_model(name: str, config: Config | None = None, relative_to: Path | None = None, beside: Path | None = None) -> Model:
    """The model of that name: `template`, one of the config's `models`, a checkpoint (`nano`, a folder, owner/model of a hub), or `run:NAME`.

    `relative_to` is where relative paths start, `beside` the folder in which runs lie. Nothing is sent and no key is read.
    Raises ConfigError with the nearest name, ModelError for a folder that does not exist.
    """
    if name == "template":
        from .template import Template

        return Template()
    endpoints = config.models if config else {}
    if name in endpoints:
        return _endpoint(name, endpoints[name])
    if name != "nano" and "/" not in name and not name.startswith((".", "~", RUN)):
        known = sorted({"template", "nano", *endpoints})
        raise ConfigError(f'There is no model "{name}": neither under models in the config, nor built in.{nearest(name, known)}')
    if name.startswith(RUN) and (held := described_run(name, beside)).get("method") == "api":
        from .hosted import endpoint_of

        return _endpoint(*endpoint_of(held, config))
    from .local import Local

    return Local(*resolve_weights(name, relative_to, beside), name=name)


def _endpoint(name: str, endpoint: Endpoint) -> Api:
    from .api import Api
    from .batch import Batch

    return (Batch if endpoint.batch else Api)(name, endpoint)


class Occasional:
    """An endpoint that is asked now and then, from whichever event loop, with journal, budget and limits around it (implements `base.Model`).

    They are opened with the first call under way and closed with the last. Asked so, nobody waits for a batch.
    """

    documents_role = False

    def __init__(self, name: str, endpoint: Endpoint, journal: Path, config: Config, say: Callable[[str], None] = lambda text: None) -> None:
        from .api import Api

        self.name, self._endpoint, self._journal, self._config, self._say = name, endpoint.model_copy(update={"batch": False}), journal, config, say
        self.fingerprint = Api(name, self._endpoint).fingerprint
        self._open: Journaled | None = None
        self._asking = 0

    def bare(self) -> Api:
        """The endpoint alone, for who brings a journal and an event loop of its own."""
        from .api import Api

        return Api(self.name, self._endpoint)

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        if self._open is None:
            self._open = remembered(self.bare(), Journal(self._journal), self._config, self._say)
        self._asking += 1
        try:
            return await self._open.replies(requests)
        finally:
            self._asking -= 1
            if not self._asking:
                last, self._open = self._open, None
                await last.drain()
                last.journal.close()


def remembered(model: Model, journal: Journal, config: Config, say: Callable[[str], None]) -> Journaled:
    """A model with a journal around it; an endpoint also gets its budget, and knows what earlier runs of the folder have used today.

    Raises ModelError where an endpoint's key is missing.
    """
    from .api import Api
    from .batch import Batch

    if isinstance(model, Occasional):
        model = model.bare()
    if isinstance(model, Batch):
        model.folder = journal.path.parent
    if isinstance(model, Api):
        _fetched(model, journal)
        if not isinstance(model, Batch):
            _nothing_under_way(model, journal)
        from .budget import Budget

        model.ready()
        model.say = say
        journal.budget = journal.budget or Budget(config.budget_usd, config.budget_tokens, journal)
        model.budget = journal.budget
        model.gate.limits.used_before(journal.recent(model.name, _DAY, _SLOT))
    return Journaled(model, journal)


async def drained(work: Coroutine[Any, Any, T], models: Sequence[Any]) -> T:
    """What the work comes to; then the calls in flight, which are paid for, are waited for, and connections are closed."""
    try:
        return await work
    finally:
        for model in models:
            await model.drain()


def _fetched(model: Api, journal: Journal) -> None:
    """Replies that batches brought after whoever waited for them was gone are in the journal from now on."""
    from .batchstore import bring_over
    from .journal import Origin

    def put(replies: dict[str, Reply]) -> None:
        there = journal.get_many(list(replies))
        journal.put({key: r for key, r in replies.items() if key not in there}, Origin(model.name, paid=True), model.usd)

    bring_over(journal.path.parent, put)


def _nothing_under_way(model: Api, journal: Journal) -> None:
    """Calls one by one would pay a second time for what a batch is working on. Raises ModelError where there is one."""
    from .batchstore import NAME, known

    found = known(journal.path.parent, model.fingerprint)
    if found.open:
        raise ModelError(
            f"{found.requests:,} requests are in {len(found.open)} of {model.name}'s batches from before. Asked one by one they would be paid for "
            f"twice. Run with models.{model.name}.batch=true to fetch them first; to give them up, delete {journal.path.parent / NAME}."
        )
