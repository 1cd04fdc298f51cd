"""What is known of a model on a hub: whether it was fetched before, and what the hub says of its name. No weights are fetched here."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelError

SECONDS = 10  # how long the hub may take to answer


def cached(name: str) -> Path | None:
    """A hub's config.json that was fetched before; nothing is sent."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    try:
        found = try_to_load_from_cache(name, "config.json")
    except ValueError:  # a folder that is not there: no hub has such a name
        return None
    return Path(found) if isinstance(found, str) else None


def look_up(name: str) -> str:
    """Where a base that is no folder comes from. Raises ModelError where it is not on this machine and the hub does not have it, or cannot say."""
    if cached(name):
        return f"{name}, from a model hub, fetched before"
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
    except ImportError:
        return f"{name}, from a model hub, which was not asked: that needs the extra [train]"
    # The base of all that the hub's HTTP client raises; which package it is differs between releases of the hub's own.
    failed = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    here = f'The base model "{name}" is not on this machine'
    try:
        HfApi().model_info(name, timeout=SECONDS)
    except GatedRepoError as error:
        raise ModelError(f"{here}, and it is gated: accept its terms on the hub and log in with `hf auth login`, or name another.") from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"{here}, and the hub shows none of that name. Check it; if it is private, log in with `hf auth login`.") from error
    except (failed, OSError, ValueError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{here}, and the hub could not be asked for it ({why.rstrip('.')}). Name a folder, or one fetched before.") from error
    return f"{name}, from a model hub: it is not on this machine yet, a run fetches it"
