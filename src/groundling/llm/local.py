"""A checkpoint on this machine, through stock transformers (and PEFT where the folder holds an adapter)."""

from __future__ import annotations

import asyncio
import logging as python_logging
import math
import os
import threading
import warnings
from collections.abc import AsyncIterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import memory
from ..errors import MachineError, ModelError
from .base import Reply, Request
from .sampling import Drawn, seed_of
from .schema import prompted
from .stops import cut, until
from .stretches import Processor, generated
from .verbatim import KeepVerbatim, Table, table
from .weights import Weights

if TYPE_CHECKING:
    import torch

    from .branches import Likelihood

VERSION = 3  # raised when the same weights would reply otherwise: another way of decoding or of keeping quotes verbatim
_PROBE = "zxq documents probe"
MAX_ROWS, MAX_TOKENS = 64, 16 * 1024  # of one batch of replies; the tokens count padding and the longest reply


def need_torch(extra: str = "train") -> None:
    """Raise MachineError with the pip line where the extra that brings torch is not installed."""
    # Read by torch when it first allocates: huge pages for tensors, which on a CPU halve the time that page faults take.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Two caches of compiled multiplications, each with a place for every shape that was ever seen: with 1,024 places they grow to gigabytes.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
    os.environ.setdefault("LRU_CACHE_CAPACITY", "256")
    # How often an OpenMP thread looks whether the others are ready before it sleeps. By default milliseconds long: beside any other busy process,
    # threads that only wait take the cores from those that are waited for, and training is ten times slower (docs/train.md).
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        import torch  # noqa: F401
        from transformers.utils import logging
    except ImportError as error:
        raise MachineError(f'A local model needs the extra [{extra}] ({error.name} is missing): pip install "groundling[{extra}]".') from error
    _keep_to_ourselves()
    logging.disable_progress_bar()
    python_logging.getLogger("bitsandbytes").setLevel(python_logging.ERROR)  # it warns of kernels that are fetched from a hub
    python_logging.getLogger("huggingface_hub.utils._http").setLevel(python_logging.ERROR)  # each retry; what comes of them is told as an error
    python_logging.getLogger("transformers.trainer_utils").addFilter(_of_use)
    # Their warnings to each other of names that will change: nobody who trains or asks can act on them.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft|accelerate|datasets)\b")


def _keep_to_ourselves() -> None:
    """TRL tells the hub of every trainer that is made. Said in both ways: hub code that was imported before does not look at the variable again."""
    from huggingface_hub import constants

    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    constants.HF_HUB_DISABLE_TELEMETRY = True


def _of_use(record: python_logging.LogRecord) -> bool:
    """All but one warning: of two checkpoints within a second it doubts the file system's times and goes by their steps, which is what is wanted."""
    return "mtime may not be reliable" not in record.getMessage()


def device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def bf16_is_fast() -> bool:
    """Whether this machine multiplies bf16 in hardware."""
    import torch

    if device() == "cuda":
        return torch.cuda.is_bf16_supported()
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a model, which must have an end token and a chat template. Raises ModelError."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    except (OSError, ValueError) as error:
        raise ModelError(f"The tokenizer of {folder} could not be loaded: {str(error).splitlines()[0]}") from error
    if tokenizer.eos_token_id is None:
        raise ModelError(f"The tokenizer of {folder} has no end-of-sequence token, so a reply would never end. Set one in tokenizer_config.json.")
    if not tokenizer.chat_template:
        raise ModelError(f"The tokenizer of {folder} has no chat template. Use an instruction-tuned base, or add chat_template.jinja to its folder.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    return tokenizer


def load_network(weights: Weights) -> torch.nn.Module:
    """The network of a model for inference, its adapters merged into it. Raises ModelError."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    dtype = torch.float32 if device() == "cpu" else torch.bfloat16
    try:
        network = AutoModelForCausalLM.from_pretrained(weights.base, dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"The model {weights.base} could not be loaded: {str(error).splitlines()[0]}") from error
    return merged(network, weights.adapters).to(device()).eval()


def merged(network: torch.nn.Module, adapters: Sequence[Path]) -> torch.nn.Module:
    """The network with each adapter merged into it, in turn. Raises ModelError for one that does not fit."""
    for adapter in adapters:
        from peft import PeftModel

        try:
            network = PeftModel.from_pretrained(network, str(adapter)).merge_and_unload()
        except (ValueError, RuntimeError) as error:
            first = next(line for line in str(error).splitlines() if line.strip())
            raise ModelError(f"The adapter {adapter} does not fit its base: {first.strip()} It was made for a model of another shape.") from error
    return network


def accepts_documents(tokenizer: Any) -> bool:
    """Whether the chat template shows the content of a `documents` role. Templates that refuse or skip it get them in the user turn."""
    from jinja2.exceptions import TemplateError

    try:
        shown = tokenizer.apply_chat_template(
            [{"role": "documents", "content": _PROBE}, {"role": "user", "content": "?"}], tokenize=False, add_generation_prompt=True
        )
    except (TemplateError, ValueError, KeyError, TypeError):
        return False
    return _PROBE in shown


def batches(requests: Sequence[Request], prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Groups of request numbers to be generated together: like settings, like lengths, bounded in rows and in padded tokens.

    Sampled requests are generated with those of the same prompt alone: a unit's draws come together, and padding changes none of them.
    """

    def settings(n: int) -> tuple[Any, ...]:
        r = requests[n]
        return (r.max_tokens, r.temperature, r.top_p, tuple(prompts[n]) if r.temperature > 0 else (), r.stop)

    groups: list[list[int]] = []
    for n in sorted(range(len(requests)), key=lambda n: (settings(n), len(prompts[n]), n)):
        size = len(prompts[n]) + requests[n].max_tokens  # sorted by length: the newest is the longest
        group = groups[-1] if groups else []
        if group and settings(group[0]) == settings(n) and len(group) < MAX_ROWS and (len(group) + 1) * size <= MAX_TOKENS:
            group.append(n)
        else:
            groups.append([n])
    return groups


class Local:
    """Implements `base.Model`. Batches are formed from the requests of one call, sorted by length: the same call gives the same batches."""

    batched = True

    def __init__(self, folder: str | Path, adapters: Sequence[Path] = (), name: str = "") -> None:
        need_torch()
        self.weights = Weights(str(folder), tuple(adapters))
        self.name = name or str(folder)
        self.tokenizer = load_tokenizer(self.weights.outermost)
        self.documents_role = accepts_documents(self.tokenizer)
        self.fingerprint = f"local/{VERSION}/{device()}/{self.weights.fingerprint}"
        self._lock = threading.Lock()

    @cached_property
    def table(self) -> Table | None:
        """The bytes of the tokens; None where the tokenizer is not byte-level, and quotes cannot be kept verbatim while they are written."""
        return table(self.tokenizer)

    @cached_property
    def network(self) -> torch.nn.Module:
        return load_network(self.weights)

    async def replies(self, requests: Sequence[Request]) -> list[Reply]:
        found: dict[int, Reply] = {}
        async for part in self.parts(requests):
            found |= part
        return [found[n] for n in range(len(requests))]

    async def parts(self, requests: Sequence[Request]) -> AsyncIterator[dict[int, Reply]]:
        """The replies by the numbers of their requests, a batch at a time, so that each batch can be stored before the next is begun.

        Where the first batches of a call are left out because they are known, the others are the same as they would have been.
        """
        requests = list(requests)
        prompts = await asyncio.to_thread(lambda: [self.encode(prompted(r).messages) for r in requests])  # a schema is asked for in words
        for group in batches(requests, prompts):
            replies = await asyncio.to_thread(self._batch, [prompts[n] for n in group], [requests[n] for n in group])
            yield dict(zip(group, replies, strict=True))

    def _batch(self, prompts: list[list[int]], requests: list[Request]) -> list[Reply]:
        with self._lock:  # one generation at a time: the cores are shared anyway, and memory stays bounded
            replies = self._generate(prompts, requests)
        memory.give_back()
        return replies

    def encode(self, messages: list[dict[str, str]]) -> list[int]:
        return self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)

    def fits(self, request: Request) -> bool:
        """Whether a request and its longest reply fit into the model's context."""
        return len(self.encode(prompted(request).messages)) + request.max_tokens <= self._limit()

    async def scores(self, messages: list[dict[str, str]], replies: Sequence[str], mean: bool = False) -> list[float]:
        """The log-probability of each reply to one prompt, its end included: the sum over its tokens, or their mean."""
        return [told.mean if mean else told.total for told in await asyncio.to_thread(self._likelihoods, messages, replies)]

    async def perplexities(self, messages: list[dict[str, str]], replies: list[str]) -> list[float]:
        """How much each reply to one prompt surprises the model, its end included: the least surprising is nearest to 1."""
        return [math.exp(min(-mean, 700.0)) for mean in await self.scores(messages, replies, mean=True)]

    def _likelihoods(self, messages: list[dict[str, str]], replies: Sequence[str]) -> list[Likelihood]:
        from .branches import Branches, branches, can_share, likelihoods

        if not replies:
            return []
        asked = branches(self.tokenizer, messages, replies)
        longest, limit = len(asked.prompt) + max(map(len, asked.replies)), self._limit()
        if longest > limit:
            raise ModelError(f"A prompt with its longest reply, {longest} tokens, does not fit into the {limit} tokens of {self.name}. Shorten it.")
        found: list[Likelihood] = []
        with self._lock:
            size = len(replies) if can_share(self.network) else max(1, MAX_TOKENS // longest)  # rows of their own: bounded as replies are
            for at in range(0, len(replies), size):
                [told] = likelihoods(self.network, [Branches(asked.prompt, asked.replies[at : at + size])], self.tokenizer.pad_token_id)
                found += told
        return found

    def _limit(self) -> int:
        return getattr(self.network.config, "max_position_embeddings", None) or 1 << 30

    def _generate(self, prompts: list[list[int]], requests: list[Request]) -> list[Reply]:
        request = requests[0]
        longest = max(len(p) for p in prompts)
        limit = self._limit()
        if longest + request.max_tokens > limit:
            raise ModelError(
                f"A prompt of {longest} tokens and a reply of {request.max_tokens} do not fit into the {limit} tokens of {self.name}. "
                "Use smaller chunks (chunk.size) or fewer passages (k)."
            )
        processors: list[Processor] = []
        if self.table and any(r.verbatim for r in requests):
            processors.append(KeepVerbatim(self.table, longest, [r.verbatim for r in requests], self.tokenizer.eos_token_id))
        options: dict[str, Any] = {}
        if request.temperature > 0:  # draws are greedy too, once their noise is added: see `Drawn`
            seeds = [seed_of(prompt, r) for prompt, r in zip(prompts, requests, strict=True)]
            processors.append(Drawn(seeds, request.temperature, request.top_p))
        if any(request.stop):
            options["stopping_criteria"] = until(request.stop, longest, self._text)
        written = generated(
            self.network, prompts, self.tokenizer.pad_token_id, request.max_tokens, lambda ids: self._ended(ids, request.stop), processors, **options
        )
        return [self._reply(ids, len(p), request.stop) for ids, p in zip(written, prompts, strict=True)]

    def _ended(self, ids: list[int], stop: Sequence[str]) -> bool:
        return self.tokenizer.eos_token_id in ids or (any(stop) and cut(ids, stop, self._text) is not None)

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def _reply(self, ids: list[int], tokens_in: int, stop: Sequence[str]) -> Reply:
        end = self.tokenizer.eos_token_id
        stopped = end in ids
        kept = ids[: ids.index(end)] if stopped else [i for i in ids if i != self.tokenizer.pad_token_id]
        if found := cut(kept, stop, self._text):
            return Reply(text=found.text, tokens_in=tokens_in, tokens_out=found.tokens, finish="stop")
        return Reply(text=self._text(kept), tokens_in=tokens_in, tokens_out=len(kept), finish="stop" if stopped else "length")
