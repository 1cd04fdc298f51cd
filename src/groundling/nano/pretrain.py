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
from . import tasks
from .aim import CHOICES, Aim, Marks, aims
from .model import MARKS
from .sight import Sights
from .tokenizer import JOINER, encode

if TYPE_CHECKING:
    import numpy as np
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast


class Plan(NamedTuple):
    """One leg of training. It ends after `minutes` of wall time, or after `steps` where that is not 0. `tokens` is the size of a batch, `longest`
    the most passages of a context, `stage` what is taught (see `tasks.draw`), `aim_weight` the weight of each kind of aim but the
    choices (see `aim`).
    """

    leg: int = 1
    minutes: float = 60.0
    steps: int = 0
    rate: float = 2e-3
    decay: bool = False
    tokens: int = 8192
    limit: int = 1024
    longest: int = 5
    stage: int = 4
    context_share: float = 0.2
    context_weight: float = 0.3
    aim_weight: float = 0.5
    choice_weight: float = 0.5
    seed: int = 0


class Batch(NamedTuple):
    ids: torch.Tensor  # [rows, length]
    weight: torch.Tensor  # [rows, length]; weight of predicting the token at that place
    aims: torch.Tensor  # [aims, 5]: row, kind, place, and the range of tokens that should be in view there


# Of forty tokens of an answer, the first few decide: abstain or quote, and which sentence. The rest is copying, learnt long before. Weighted
# alike, the choice is a fortieth of the loss and comes tens of millions of tokens late.
_DECIDING, _CHOICE, _ANSWER = 6, 6.0, 3.0


def weights(ids: list[int], answer: list[bool], context: float, mark: int) -> list[float]:
    """The weight of predicting each token: `context` outside answers; in answers 1, more at the start of a turn and in what follows <ANSWER>:."""
    found, since, answering = [], 0, False
    for token, inside in zip(ids, answer, strict=True):
        since = since + 1 if inside else 0
        deciding = _CHOICE if since <= _DECIDING else _ANSWER if answering else 1.0
        answering = inside and (answering or token == mark)
        found.append(deciding if inside else context)
    return found


def batches(tokenizer: PreTrainedTokenizerFast, plan: Plan, worker: int = 0, meaning: np.ndarray | None = None) -> Iterator[Batch]:
    """Endless batches of about `plan.tokens` tokens, rows of like length together. Rows over `plan.limit` tokens are skipped."""

    marks = reading_marks(tokenizer, meaning)
    number, pool = 0, []
    while True:
        while len(pool) < 256:
            r = rng(plan.seed, "pretrain", plan.leg, worker, number)
            number += 1
            ids, answer = encode(tokenizer, tasks.draw(r, plan.longest, plan.stage))
            if len(ids) <= plan.limit:
                context = plan.context_weight if r.random() < plan.context_share else 0.0
                pool.append((ids, weights(ids, answer, context, marks.answer), aims(ids, answer, marks)))
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
            yield _padded(rows)


# Words that a question is built of; what it is about stands between them.
_SMALL = (
    "a about after an and any are as at be been before by can could did do does for from had has have he her his how i if in into is it its many "
    "much my of on one or out she should so some tell than that the their them there they this to under up us was we were what when where which "
    "who whom whose why will with would you your line said say described like kind"
)


def reading_marks(tokenizer: PreTrainedTokenizerFast, meaning: np.ndarray | None = None) -> Marks:
    """The tokens that `aims` goes by, and what they mean."""
    single = (tokenizer.encode(text, add_special_tokens=False)[0] for text in (*MARKS, JOINER[0], " Question"))
    names = {token: tokenizer.convert_ids_to_tokens(token) for token in range(len(tokenizer))}
    stops = frozenset(token for token, name in names.items() if name.endswith((".", "?", "!", "Ċ", "。".encode().decode("latin1"))))
    opens = frozenset(token for token, name in names.items() if name[0] in "ĠĊ") | set(tokenizer.all_special_ids)
    return Marks(*single, _small(tokenizer), stops, opens | {tokenizer.encode(JOINER[0], add_special_tokens=False)[0]}, meaning)


def _small(tokenizer: PreTrainedTokenizerFast) -> frozenset[int]:
    """The tokens of small words, of marks, and the one that ends a turn."""
    words = [f" {form}" for word in _SMALL.split() for form in (word, word.capitalize())]
    coded = [tokenizer.encode(text, add_special_tokens=False) for text in (*words, *"?.,:;()'\"-/", "\n", " (", "),")]
    return frozenset({code[0] for code in coded if len(code) == 1} | set(tokenizer.all_special_ids))


def _padded(rows: list[tuple[list[int], list[float], list[Aim]]]) -> Batch:
    import torch

    length = _filled(max(len(ids) for ids, _, _ in rows))
    ids, weight = torch.zeros(len(rows), length, dtype=torch.long), torch.zeros(len(rows), length)
    for n, (row, w, _) in enumerate(rows):
        ids[n, : len(row)] = torch.tensor(row)
        weight[n, : len(row)] = torch.tensor(w)
    return Batch(ids, weight, torch.tensor([(n, *aim) for n, (_, _, found) in enumerate(rows) for aim in found], dtype=torch.long).reshape(-1, 5))


_STEP = 64  # every new shape of a product is compiled once, in tens of milliseconds: so there are few shapes


def _filled(count: int) -> int:
    return -(-count // _STEP) * _STEP


def loss_of(network: LlamaForCausalLM, batch: Batch) -> tuple[torch.Tensor, float]:
    """Weighted mean cross-entropy (nats a token), and the plain mean over answer tokens. Padding stands right, so no mask is needed."""
    from torch.nn.functional import cross_entropy, linear, pad

    hidden = network.model(input_ids=batch.ids, use_cache=False).last_hidden_state[:, :-1]
    weight = batch.weight[:, 1:]
    at = (weight > 0).flatten().nonzero().flatten()
    at = pad(at, (0, _filled(len(at)) - len(at)))
    w = weight.flatten()[at]
    w[int((weight > 0).sum()) :] = 0.0
    logits = linear(hidden.flatten(0, 1)[at], network.model.embed_tokens.weight).float()
    losses = cross_entropy(logits, batch.ids[:, 1:].flatten()[at], reduction="none")
    answers = losses.detach()[w >= 1.0]
    return (losses * w).sum() / w.sum(), float(answers.mean()) if len(answers) else float("nan")


_WORDS = 0.3  # the embeddings' rate, as a share of the matrices'


def _optimizers(network: LlamaForCausalLM, rate: float) -> list[torch.optim.Optimizer]:
    import torch

    from .muon import muon

    matrices = [p for n, p in network.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in network.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        muon(matrices, lr=rate, weight_decay=0.05),
        torch.optim.AdamW(rest, lr=rate * _WORDS, betas=(0.9, 0.99), weight_decay=0.0),
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

    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

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


def train(
    network: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, plan: Plan, out: Path, device: str = "cpu", meaning: np.ndarray | None = None
) -> list[dict]:
    """Run one leg and write its weights to `out`, every four minutes and at the end. Returns the log: step, tokens, loss.

    `meaning` holds a vector for each token, by which `aims` knows words that mean nearly the same.
    """
    import torch

    from ..llm.local import bf16_is_fast

    network.to(device).train()
    if device == "cpu":
        network.set_attn_implementation("eager")  # measured: a fifth more tokens a second than the fused kernel
    workers = Workers()
    optimizers = _optimizers(network, plan.rate)
    sights = Sights(network)
    log: list[dict] = []
    seen, start, saved = 0, time.monotonic(), time.monotonic()
    recent: list[tuple[float, ...]] = []
    for step, batch in enumerate(batches(tokenizer, plan, workers.rank, meaning), 1):
        done = workers.agreed((step - 1) / plan.steps if plan.steps else (time.monotonic() - start) / (plan.minutes * 60))
        if done >= 1:
            break
        _set_rate(optimizers, min(1.0, step / 50) * (max(0.02, 1 - done) if plan.decay else 1.0))
        with torch.autocast(device, torch.bfloat16, enabled=bf16_is_fast()):
            loss, answers = loss_of(network, Batch(*(part.to(device) for part in batch)))
            missed = sights.losses(batch.aims.to(device))
        chosen = sum(missed[kind] for kind in CHOICES)
        (loss + plan.aim_weight * sum(missed) + (plan.choice_weight - plan.aim_weight) * chosen).backward()
        workers.average(network)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        seen += batch.ids.numel() * workers.count
        recent = [*recent[-24:], (answers, *(float(m.detach()) for m in missed))]
        if workers.rank:
            continue
        if step % 25 == 0:
            means = [round(sum(values) / len(recent), 4) for values in zip(*recent, strict=True)]
            log.append({"step": step, "tokens": seen, "loss": means[0], "missed": means[1:], "seconds": round(time.monotonic() - start, 1)})
            print(json.dumps(log[-1]), flush=True)
        if time.monotonic() - saved > 240:
            save(network, tokenizer, out)
            saved = time.monotonic()
    if not workers.rank:
        save(network, tokenizer, out)
    return log


def _set_rate(optimizers: list[torch.optim.Optimizer], share: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault("full", group["lr"]) * share
