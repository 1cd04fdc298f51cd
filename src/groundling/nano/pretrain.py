"""nano's training: legs at a constant rate, each from the last one's weights; the rate decays in the last leg only.

The hidden matrices are trained with Muon, embeddings and norms with AdamW. The vocabulary projection is computed only where the loss looks:
on answers, and on a share of the contexts, which teaches plain language and copying.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..seeds import rng
from . import model, tasks
from .model import MARKS
from .tokenizer import encode

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


class Plan(NamedTuple):
    """One leg of training. `minutes` is wall time; `tokens` is the size of a batch; `longest` the most passages of a context."""

    leg: int = 1
    minutes: float = 60.0
    rate: float = 2e-3
    decay: bool = False
    tokens: int = 8192
    limit: int = 1024
    longest: int = 5
    context_share: float = 0.2
    context_weight: float = 0.3
    seed: int = 0


class Batch(NamedTuple):
    ids: torch.Tensor  # [rows, length]
    weight: torch.Tensor  # [rows, length]; weight of predicting the token at that place


# Of forty tokens of an answer, the first few decide: abstain or quote, and which sentence. The rest is copying, learnt long before. Weighted
# alike, the choice is a fortieth of the loss and comes tens of millions of tokens late.
_DECIDING, _CHOICE, _ANSWER = 5, 6.0, 3.0


def weights(ids: list[int], answer: list[bool], context: float, mark: int) -> list[float]:
    """The weight of predicting each token: `context` outside answers; in answers 1, more at the start of a turn and after <ANSWER>:."""
    found, since, asked = [], 0, 99
    for token, inside in zip(ids, answer, strict=True):
        since = since + 1 if inside else 0
        asked = 0 if token == mark else asked + 1
        deciding = _CHOICE if since <= _DECIDING else _ANSWER if asked in (1, 2) else 1.0
        found.append(deciding if inside else context)
    return found


def batches(tokenizer: PreTrainedTokenizerFast, plan: Plan, worker: int = 0) -> Iterator[Batch]:
    """Endless batches of about `plan.tokens` tokens, rows of like length together. Rows over `plan.limit` tokens are skipped."""
    import torch

    number, pool = 0, []
    while True:
        while len(pool) < 256:
            r = rng(plan.seed, "pretrain", plan.leg, worker, number)
            number += 1
            ids, answer = encode(tokenizer, tasks.draw(r, plan.longest))
            if len(ids) <= plan.limit:
                context = plan.context_weight if r.random() < plan.context_share else 0.0
                pool.append((ids, weights(ids, answer, context, tokenizer.convert_tokens_to_ids(MARKS[-1]))))
        pool.sort(key=lambda row: len(row[0]))
        groups, group = [], []
        for row in pool:
            if group and (len(group) + 1) * len(row[0]) > plan.tokens:
                groups.append(group)
                group = []
            group.append(row)
        pool = group  # the longest, unfilled group waits for more
        rng(plan.seed, "order", plan.leg, worker, number).shuffle(groups)
        for rows in groups:
            length = max(len(ids) for ids, _ in rows)
            ids = torch.zeros(len(rows), length, dtype=torch.long)
            weight = torch.zeros(len(rows), length)
            for n, (row, w) in enumerate(rows):
                ids[n, : len(row)] = torch.tensor(row)
                weight[n, : len(row)] = torch.tensor(w)
            yield Batch(ids, weight)


def loss_of(network: LlamaForCausalLM, batch: Batch) -> tuple[torch.Tensor, float]:
    """Weighted mean cross-entropy (nats a token), and the plain mean over answer tokens. Padding stands right, so no mask is needed."""
    from torch.nn.functional import cross_entropy, linear

    hidden = network.model(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
    weight = batch.weight[:, 1:]
    at = weight > 0
    logits = linear(hidden[at], network.model.embed_tokens.weight).float()
    losses = cross_entropy(logits, batch.ids[:, 1:][at], reduction="none")
    w = weight[at]
    answers = losses.detach()[w >= 1.0]
    return (losses * w).sum() / w.sum(), float(answers.mean()) if len(answers) else float("nan")


def _optimizers(network: LlamaForCausalLM, rate: float) -> list[torch.optim.Optimizer]:
    import torch

    matrices = [p for n, p in network.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in network.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


class Workers:
    """One training process, or several side by side under torchrun. Gradients are averaged once a step.

    On a CPU, processes of one thread each waste less than threads that meet after every small operation.
    """

    def __init__(self) -> None:
        import torch.distributed as distributed

        self.rank, self.count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        if self.count > 1 and not distributed.is_initialized():
            distributed.init_process_group("gloo")

    def average(self, network: LlamaForCausalLM) -> None:
        """Replace every gradient by the mean over the processes."""
        import torch
        import torch.distributed as distributed

        if self.count == 1:
            return
        gradients = [p.grad for p in network.parameters()]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        distributed.all_reduce(flat)
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient) / self.count)
            at += gradient.numel()

    def agreed(self, value: float) -> float:
        """The first process's value, so that all see the same clock."""
        import torch
        import torch.distributed as distributed

        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(shared, 0)
        return float(shared)


def save(network: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """bf16 weights, configuration and tokenizer, as stock transformers reads them."""
    import torch

    clone = type(network)(network.config)
    clone.load_state_dict(network.state_dict())
    clone.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train(network: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, plan: Plan, out: Path, device: str = "cpu") -> list[dict]:
    """Run one leg and write its weights to `out`, every five minutes and at the end. Returns the log: step, tokens, loss."""
    import torch

    network.to(device).train()
    workers = Workers()
    optimizers = _optimizers(network, plan.rate)
    log: list[dict] = []
    seen, start, saved = 0, time.monotonic(), time.monotonic()
    recent: list[float] = []
    for step, batch in enumerate(batches(tokenizer, plan, workers.rank), 1):
        done = workers.agreed((time.monotonic() - start) / (plan.minutes * 60))
        if done >= 1:
            break
        _set_rate(optimizers, plan.rate * min(1.0, step / 50) * (max(0.02, 1 - done) if plan.decay else 1.0))
        with torch.autocast(device, torch.bfloat16):
            loss, answers = loss_of(network, Batch(batch.ids.to(device), batch.weight.to(device)))
        loss.backward()
        workers.average(network)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        seen += batch.ids.numel() * workers.count
        recent = [*recent[-24:], answers]
        if workers.rank:
            continue
        if step % 25 == 0:
            log.append({"step": step, "tokens": seen, "loss": round(sum(recent) / len(recent), 4), "seconds": round(time.monotonic() - start, 1)})
            print(json.dumps(log[-1]), flush=True)
        if time.monotonic() - saved > 300:
            save(network, tokenizer, out)
            saved = time.monotonic()
    if not workers.rank:
        save(network, tokenizer, out)
    return log


def _set_rate(optimizers: list[torch.optim.Optimizer], rate: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


def fresh(width: int = 256, layers: int = 4, heads: int = 8, seed: int = 0) -> LlamaForCausalLM:
    """An untrained network."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(model.config(width, layers, heads))
