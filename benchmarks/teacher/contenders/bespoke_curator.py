"""Bespoke Curator with limits so high that they do not bind, as many requests in parallel as the others."""

from __future__ import annotations

import importlib.util
import os
import tempfile

from _timed import IN_FLIGHT, PROMPTS, URL, timed

# It estimates tokens with tiktoken, which would fetch its vocabulary; litellm, which it depends on, brings the same file.
litellm = importlib.util.find_spec("litellm").submodule_search_locations[0]
os.environ["TIKTOKEN_CACHE_DIR"] = f"{litellm}/litellm_core_utils/tokenizers"
folder = tempfile.TemporaryDirectory()
os.environ |= {"CURATOR_CACHE_DIR": folder.name, "TELEMETRY_ENABLED": "0", "CURATOR_DISABLE_RICH_DISPLAY": "1", "OPENAI_API_KEY": "none"}

from bespokelabs import curator  # noqa: E402

limits = {"max_requests_per_minute": 10_000_000, "max_tokens_per_minute": 10_000_000_000, "max_concurrent_requests": IN_FLIGHT, "max_retries": 3}
llm = curator.LLM(
    model_name="fake", backend="openai", backend_params={"base_url": URL, "api_key": "none", **limits}, generation_params={"max_tokens": 256}
)  # fmt: skip


def work() -> int:
    got = llm(PROMPTS)
    return len(got.dataset if hasattr(got, "dataset") else got)


timed(work)
folder.cleanup()
