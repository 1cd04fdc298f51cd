"""From a model's name in the config to the model."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ..errors import ModelError
from .base import Model


def teacher(name: str) -> Model:
    """The teacher of that name. Only `template` is there so far."""
    from .template import Template

    if name == "template":
        return Template()
    raise ModelError(f'The teacher "{name}" is not known. This version has "template" (rules, no model).')


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
