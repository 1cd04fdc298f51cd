"""How likely a model finds given replies to a prompt: the prompt is read once, and no reply sees another.

Training (preferences, labels) and inference (label scoring) both score through this module, so that one optimises what the other does.
A reply is what the chat template makes of it, from the end of the prompt to its end token: the header before it belongs to the prompt, and
what a template writes after the end token belongs to no one, as no model ever has to write it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ModelError

if TYPE_CHECKING:
    import torch

    from .base import Message

# Networks of which it is known that all layers see what the mask lets them see, and no less.
_WHOLE_SIGHT = {"llama", "mistral", "qwen2", "qwen3"}


class Branches(NamedTuple):
    """A prompt and the replies to it, as token ids."""

    prompt: list[int]
    replies: list[list[int]]


class Likelihood(NamedTuple):
    """The log-probability of a reply given its prompt, end token included, and how many tokens it has."""

    total: float
    tokens: int

    @property
    def mean(self) -> float:
        return self.total / self.tokens


def branches(tokenizer: Any, messages: Sequence[Message], replies: Sequence[str]) -> Branches:
    """Prompt and replies through the model's own chat template, each reply rendered behind the whole prompt.

    Raises ModelError where the template renders the prompt in another way once a reply follows it.
    """
    prompt = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)
    found = []
    for reply in replies:
        whole = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": reply}], return_dict=False)
        if whole[: len(prompt)] != prompt:
            raise ModelError(
                "The chat template of the base model renders the prompt differently once an answer follows it, so the answer's tokens "
                "cannot be told apart. Use another base, or a template whose prompt is a prefix of the whole."
            )
        found.append(_to_its_end(whole[len(prompt) :], tokenizer.eos_token_id))
    return Branches(prompt, found)


def _to_its_end(reply: list[int], end: int) -> list[int]:
    """A reply up to its last end token; whole where the template ends it with another."""
    after = reply[::-1].index(end) if end in reply else 0
    return reply[: len(reply) - after]


def sees_all(kind: str, window: int | None) -> bool:
    """Whether a network of that kind, with that sliding window, lets a mask of ours say what is seen: by its configuration alone."""
    return kind in _WHOLE_SIGHT and not window


def can_share(network: Any) -> bool:
    """Whether a prompt can be read once for all its replies: that takes a mask of our own, which other networks and kernels pass over."""
    config = network.config
    return sees_all(config.model_type, getattr(config, "sliding_window", None)) and config._attn_implementation == "sdpa"


def batch_of(items: Sequence[Branches], pad: int, share: bool, whole: int = 1) -> dict[str, Any]:
    """The tensors of a batch: what the network reads, and which tokens of it are scored.

    All prompts end at the same column, so that the vocabulary is projected from there on only (`keep` columns). Of scored token n, `target`
    is its id, `row` and `source` are where its probability stands in those columns, and `owner` is the number of its reply, counted
    over the whole batch. The columns are filled up to a multiple of `whole`.
    """
    import torch

    rows = list(items) if share else [Branches(item.prompt, [reply]) for item in items for reply in item.replies]
    longest = max(sum(map(len, row.replies)) for row in rows)
    lead = max(len(row.prompt) for row in rows)
    lead += -(lead + longest) % whole  # before the prompts, where the vocabulary is not projected
    width = lead + longest
    ids = torch.full((len(rows), width), pad)
    part = torch.full((len(rows), width), -1)  # -1 padding, 0 prompt, then the replies from 1 on
    places = torch.zeros((len(rows), width), dtype=torch.long)
    scored: list[tuple[int, int, int, int]] = []
    owner = 0
    for n, row in enumerate(rows):
        start, size = lead - len(row.prompt), len(row.prompt)
        ids[n, start:lead], part[n, start:lead], places[n, start:lead] = torch.tensor(row.prompt), 0, torch.arange(size)
        column = lead
        for number, reply in enumerate(row.replies, 1):
            end = column + len(reply)
            ids[n, column:end], part[n, column:end], places[n, column:end] = torch.tensor(reply), number, torch.arange(size, size + len(reply))
            # The first token of a reply is foretold by the prompt's last, the others by the one before them.
            scored += [(n, column + i - lead if i else 0, token, owner) for i, token in enumerate(reply)]
            column, owner = end, owner + 1
    at, source, target, owners = torch.tensor(scored).T
    return {
        "input_ids": ids, "position_ids": places, "attention_mask": _sight(part) if share else (part >= 0).long(),
        "row": at, "source": source, "target": target, "owner": owners, "keep": width - lead + 1,
    }  # fmt: skip


def _sight(part: torch.Tensor) -> torch.Tensor:
    """Who sees whom (batch, 1, who, whom): what stands before in the prompt or in the same reply. Padding sees itself, or it would be NaN."""
    import torch

    width = part.shape[1]
    before = torch.ones(width, width, dtype=torch.bool).tril()
    who, whom = part[:, :, None], part[:, None, :]
    seen = before & (whom >= 0) & ((whom == 0) | (whom == who))
    return (seen | torch.eye(width, dtype=torch.bool))[:, None]


def log_probs(network: Any, batch: dict[str, Any]) -> torch.Tensor:
    """The log-probability of each scored token of a batch."""
    read = {name: batch[name] for name in ("input_ids", "position_ids", "attention_mask")}
    logits = network(**read, use_cache=False, logits_to_keep=batch["keep"]).logits[:, -batch["keep"] :].float()
    at, source = batch["row"], batch["source"]
    return logits[at, source, batch["target"]] - logits.logsumexp(-1)[at, source]


def totals(values: torch.Tensor, owner: torch.Tensor, count: int) -> torch.Tensor:
    """The sum of the tokens' values for each of `count` replies."""
    return values.new_zeros(count).index_add(0, owner, values)


def likelihoods(network: Any, items: Sequence[Branches], pad: int) -> list[list[Likelihood]]:
    """For each prompt the likelihoods of its replies."""
    import torch

    batch = {
        name: value.to(network.device) if isinstance(value, torch.Tensor) else value
        for name, value in batch_of(items, pad, can_share(network)).items()
    }
    with torch.inference_mode():
        sums = totals(log_probs(network, batch).double(), batch["owner"], sum(len(item.replies) for item in items)).tolist()
    found = iter(sums)
    return [[Likelihood(next(found), len(reply)) for reply in item.replies] for item in items]
