"""An exported model to the Hugging Face hub (or one that speaks as it does): only on request, private where the place is new."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, MachineError, ModelError
from ..llm.weights import Weights


def check_push(repo: str, target: str, weights: Weights) -> None:
    """Raise ConfigError for what is no name on a hub, ModelError for an adapter whose base nobody else has."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    if not re.fullmatch(r"[^/]+/[^/]+", repo):
        raise ConfigError(f"--push {repo}: write it as OWNER/NAME.")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise ConfigError(f"--push {repo} is no name on the hub: {str(error).rstrip('.')}. Write it as OWNER/NAME.") from error
    if target == "adapter" and Path(weights.base).is_dir():
        raise ModelError("--push of an adapter needs a base that others can load, and this one's is a folder of this machine. Use --to merged.")


def push(folder: Path, repo: str, record: Mapping[str, Any]) -> str:
    """Upload the folder as one commit, and say where it is. Raises MachineError in a sentence where the hub refuses or is not reached."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    # The base of all that the hub's HTTP client raises; which package it is differs between releases of the hub's own.
    failed = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        api.create_repo(repo, private=True, exist_ok=True)
        done = api.upload_folder(repo_id=repo, folder_path=str(folder), commit_message=f"{record['target']}, by groundling {record['version']}")
    except (failed, LocalTokenNotFoundError, ConnectionError, TimeoutError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise MachineError(
            f"{folder} is exported, but could not be pushed to {repo}: {first} Log in with `hf auth login`, or set HF_TOKEN to a token that may "
            "write there, and export again."
        ) from error
    return f"Pushed to {repo}: {done.commit_url}"
