"""From a model's name in the config to the model."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import Config
from ..errors import ConfigError, ModelError
from ..registry import nearest
from .base import Model, Reply
from .journal import Journal
from .journaled import Journaled

if TYPE_CHECKING:
    from .api import Api

_DAY, _SLOT = 86_400.0, 144.0  # seconds


def teacher(name: str, config: Config | None = None, relative_to: Path | None = None) -> Model:
    """The model of that name: `template`, one of the config's `models`, or a checkpoint (`nano`, a folder, owner/model of a hub).

    Nothing is sent and no key is read. Raises ConfigError with the nearest name, ModelError for a folder that does not exist.
    """
    if name == "template":
        from .template import Template

        return Template()
    endpoints = config.models if config else {}
    if name in endpoints:
        from .api import Api
        from .batch import Batch

        return (Batch if endpoints[name].batch else Api)(name, endpoints[name])
    if name != "nano" and "/" not in name and not name.startswith((".", "~")):
        known = sorted({"template", "nano", *endpoints})
        raise ConfigError(f'There is no model "{name}": neither under models in the config, nor built in.{nearest(name, known)}')
    from .local import Local

    return Local(resolve(name, relative_to), name=name)


def remembered(model: Model, journal: Journal, config: Config, say: Callable[[str], None]) -> Journaled:
    """A model with a journal around it; an endpoint also gets its budget, and knows what earlier runs of the folder have used today.

    Raises ModelError where an endpoint's key is missing.
    """
    from .api import Api
    from .batch import Batch

    if isinstance(model, Batch):
        model.folder = journal.path.parent
    if isinstance(model, Api):
        _fetched(model, journal)
        if not isinstance(model, Batch):
            _nothing_under_way(model, journal)
        from .budget import Budget

        model.ready()
        model.say = say
        model.budget = Budget(config.budget_usd, config.budget_tokens, journal)
        model.gate.limits.used_before(journal.recent(model.name, _DAY, _SLOT))
    return Journaled(model, journal)


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


def resolve(base: str, relative_to: Path | None = None) -> str:
    """The folder or hub name of a base model: `nano` is the one in the package. Raises ModelError for a path that does not exist."""
    if base == "nano":
        return str(resources.files("groundling.nano") / "weights")
    path = Path(base).expanduser()
    if relative_to is not None and not path.is_absolute() and (relative_to / path).is_dir():
        path = relative_to / path
    if path.is_dir():
        return str(path.resolve())
    first = Path(base).parts[0]
    beside = Path(first).is_dir() or (relative_to is not None and (relative_to / first).is_dir())
    looks_like_path = base.startswith((".", "/", "~")) or base.count("/") != 1 or beside
    if looks_like_path:
        raise ModelError(f'The base model "{base}" does not exist: {path} is not a folder. Use "nano", a folder, or a hub name such as owner/model.')
    return base
