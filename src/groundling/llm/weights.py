"""What a model on disk is made of: a base and a chain of adapters, and how a run's trained model is found by `run:NAME`."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ModelError
from ..workspace import Workspace

RUN = "run:"


def weights_fingerprint(folder: Path) -> str:
    """16 hex digits over the weights, the configuration, the tokenizer and the template. Large files are sampled: head, tail, 64 places."""
    found = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".safetensors", ".json", ".jinja", ".model") or path.name in ("record.json", "groundling.json"):
            continue
        size = path.stat().st_size
        found.update(f"{path.name}:{size}".encode())
        with path.open("rb") as handle:
            if size <= 256 << 20:
                found.update(handle.read())
            else:
                for n in range(65):
                    handle.seek(n * (size - (1 << 20)) // 64)
                    found.update(handle.read(1 << 20))
    return found.hexdigest()[:16]


def identity(model: str | Path) -> str:
    """What tells a model from others: the fingerprint of its weights, or its name on a hub."""
    return weights_fingerprint(Path(model)) if Path(model).is_dir() else str(model)


class Weights(NamedTuple):
    """A base (a folder, or a hub name) and the adapters that are merged into it, in turn."""

    base: str
    adapters: tuple[Path, ...] = ()

    @property
    def outermost(self) -> str | Path:
        """Where the tokenizer and the chat template are: with the last adapter, else with the base."""
        return self.adapters[-1] if self.adapters else self.base

    @property
    def fingerprint(self) -> str:
        """Hashes of all parts; a hub name stands for itself."""
        return "+".join(identity(part) for part in (self.base, *self.adapters))


class Trained(NamedTuple):
    """A run's trained model: its weights and what groundling.json says of it."""

    weights: Weights
    described: dict[str, Any]


def trained(root: Path) -> Trained:
    """The trained model in a run folder. Raises ModelError where there is none, or where its base is not the one that it was trained on."""
    space = Workspace(root)
    folder, described = space.folder("train"), space.described()
    if described is None:
        raise ModelError(f"{root} holds no trained model yet. Run `groundling run` on its project first.")
    if described.get("method") == "api":
        raise ModelError(
            f"The model of {root} was trained by a provider and is held there ({described['endpoint']['model']}): there are no weights here. It can "
            "be asked (evaluate, serve, chat, predict; run:NAME as teacher, student or judge) and trained further with train.method api."
        )
    parent = resolve_weights(described["base"], space.started(), root.parent)
    if described["base_fingerprint"] != parent.fingerprint:
        raise ModelError(
            f"The model in {folder} was trained on other weights of {described['base']} than are there now ({described['base_fingerprint']}, now "
            f"{parent.fingerprint}). Together they would answer nonsense. Put the old weights back, or train again: groundling run … --redo train."
        )
    if described.get("method") == "full":
        return Trained(Weights(str(folder)), described)
    return Trained(Weights(parent.base, (*parent.adapters, folder)), described)


def run_folder(name: str, beside: Path | None) -> Path:
    """The folder of `run:NAME`, beside a run's own. Raises ModelError where there is none."""
    bare = name.removeprefix(RUN)
    if bare in ("", ".", "..") or "/" in bare or "\\" in bare:
        raise ModelError(f'"{name}" is no name of a run: it is the name of a folder beside this run\'s, without a path.')
    folder = (beside or Path("runs")) / bare
    if not folder.is_dir():
        raise ModelError(f'"{name}" names no run: there is no folder {folder}. Run that round first, or name another.')
    return folder


def described_run(name: str, beside: Path | None) -> dict[str, Any]:
    """What groundling.json says of the model of `run:NAME`, which must be finished. Raises ModelError."""
    space = Workspace(run_folder(name, beside))
    described = space.described()
    if space.record("train") is None or described is None:
        raise ModelError(f'"{name}" has no finished model: its training is not done. Run that round first.')
    return described


def trained_run(name: str, beside: Path | None) -> Trained:
    """The trained model of `run:NAME`, which must be finished. Raises ModelError."""
    described_run(name, beside)
    return trained(run_folder(name, beside))


def scores_only(name: str) -> ModelError:
    """Why nothing can be trained from a reward model, and nobody can ask it."""
    return ModelError(f'"{name}" is a reward model: it scores and cannot write. It can only be a judge (synthesize.judge).')


def resolve_weights(base: str, relative_to: Path | None = None, beside: Path | None = None) -> Weights:
    """The weights of a model's name in the config: `nano`, a folder, a hub name, or `run:NAME` for a run's trained model.

    `relative_to` is where relative paths start, `beside` the folder in which runs lie. Raises ModelError for what does not exist.
    """
    if base.startswith(RUN):
        found = trained_run(base, beside)
        if found.described.get("objective") == "reward":
            raise scores_only(base)
        return found.weights
    return Weights(resolve(base, relative_to))


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
